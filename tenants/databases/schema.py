"""A database's schema as lines of text, to compare one with another: how drift is found and named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

_FINGERPRINT = """
WITH ours AS (
    SELECT oid, nspname FROM pg_namespace
    WHERE nspname NOT IN ('silo', 'information_schema') AND nspname NOT LIKE 'pg\\_%'
), extended AS (
    SELECT classid, objid FROM pg_depend WHERE deptype = 'e'
)
SELECT line FROM (
    SELECT format('extension %s', extname) AS line FROM pg_extension WHERE extname <> 'plpgsql'
    UNION ALL
    SELECT format('%s %s.%s', CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
                                 WHEN 'S' THEN 'sequence' ELSE 'table' END, n.nspname, c.relname)
           || CASE WHEN c.relkind IN ('v', 'm') THEN ': ' || pg_get_viewdef(c.oid) ELSE '' END
    FROM pg_class c JOIN ours n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
      AND ('pg_class'::regclass, c.oid) NOT IN (SELECT classid, objid FROM extended)
    UNION ALL
    SELECT format('column %s.%s.%s: %s%s%s%s%s', n.nspname, c.relname, a.attname,
                  format_type(a.atttypid, a.atttypmod),
                  CASE WHEN a.attcollation = t.typcollation THEN ''
                       ELSE ' collate ' || a.attcollation::regcollation::text END,
                  CASE WHEN a.attnotnull THEN ' not null' ELSE '' END,
                  CASE a.attidentity WHEN '' THEN '' ELSE ' identity ' || a.attidentity::text END,
                  CASE WHEN d.oid IS NULL THEN '' WHEN a.attgenerated <> '' THEN ' generated ' ELSE ' default ' END
                      || coalesce(pg_get_expr(d.adbin, d.adrelid), ''))
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN ours n ON n.oid = c.relnamespace
         JOIN pg_type t ON t.oid = a.atttypid
         LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'f')
      AND ('pg_class'::regclass, c.oid) NOT IN (SELECT classid, objid FROM extended)
    UNION ALL
    SELECT format('constraint %s on %s: %s', k.conname, k.conrelid::regclass, pg_get_constraintdef(k.oid))
    FROM pg_constraint k JOIN ours n ON n.oid = k.connamespace WHERE k.conrelid <> 0 AND k.contype <> 'n'
    UNION ALL
    SELECT format('index %s%s', pg_get_indexdef(i.indexrelid), CASE WHEN i.indisvalid THEN '' ELSE ' INVALID' END)
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN ours n ON n.oid = c.relnamespace
    UNION ALL
    SELECT format('trigger %s', pg_get_triggerdef(g.oid))
    FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid JOIN ours n ON n.oid = c.relnamespace
    WHERE NOT g.tgisinternal
    UNION ALL
    SELECT format('function %s: %s', p.oid::regprocedure, md5(pg_get_functiondef(p.oid)))
    FROM pg_proc p JOIN ours n ON n.oid = p.pronamespace
    WHERE p.prokind IN ('f', 'p') AND ('pg_proc'::regclass, p.oid) NOT IN (SELECT classid, objid FROM extended)
    UNION ALL
    SELECT format('enum %s: %s', t.oid::regtype, string_agg(e.enumlabel, ', ' ORDER BY e.enumsortorder))
    FROM pg_type t JOIN pg_enum e ON e.enumtypid = t.oid JOIN ours n ON n.oid = t.typnamespace GROUP BY t.oid
) AS described ORDER BY line COLLATE "C"
"""


@dataclass(frozen=True)
class SchemaDifference:
    """``missing``: lines that the migrations make and the database lacks. ``added``: lines that it has beyond them."""

    missing: tuple[str, ...]
    added: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.missing or self.added)

    def __str__(self) -> str:
        return "\n".join([f"- {line}" for line in self.missing] + [f"+ {line}" for line in self.added])


def fingerprint(connection: BaseDatabaseWrapper) -> list[str]:
    """One line for each table, column, constraint, index, view, trigger, function, enum and extension; sorted.

    Silo's own schema is left out, and so are rows, owners, rights, and the order of columns.
    """
    with connection.cursor() as cursor:
        cursor.execute(_FINGERPRINT)
        return [line for (line,) in cursor.fetchall()]


def compare(expected: Sequence[str], found: Sequence[str]) -> SchemaDifference:
    """What ``found`` lacks and what it has beyond ``expected``. Both are fingerprints."""
    return SchemaDifference(
        missing=tuple(sorted(set(expected) - set(found))), added=tuple(sorted(set(found) - set(expected)))
    )
