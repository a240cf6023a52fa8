"""What the transaction in hand has locked, rewritten and read whole: PostgreSQL itself is asked."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

_TABLES = """
    SELECT c.oid, CASE n.nspname WHEN 'public' THEN c.relname ELSE n.nspname || '.' || c.relname END,
           pg_relation_filenode(c.oid), pg_stat_get_xact_numscans(c.oid)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'm', 'v', 'f')
      AND n.nspname NOT IN ('silo', 'information_schema') AND n.nspname NOT LIKE 'pg\\_%'
"""
_HELD = """
    SELECT l.relation, l.mode, CASE WHEN c.relisshared AND c.relkind = 'r' THEN c.relname END
    FROM pg_locks l LEFT JOIN pg_class c ON c.oid = l.relation
    WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND l.granted
"""
_INDEXES = "SELECT indexrelid, indrelid FROM pg_index"


class LockMode(Enum):
    """PostgreSQL's lock modes on tables, the weakest first, by their names in ``pg_locks``.

    Source: https://www.postgresql.org/docs/current/explicit-locking.html, 13.3.1.
    """

    ACCESS_SHARE = "AccessShareLock"
    ROW_SHARE = "RowShareLock"
    ROW_EXCLUSIVE = "RowExclusiveLock"
    SHARE_UPDATE_EXCLUSIVE = "ShareUpdateExclusiveLock"
    SHARE = "ShareLock"
    SHARE_ROW_EXCLUSIVE = "ShareRowExclusiveLock"
    EXCLUSIVE = "ExclusiveLock"
    ACCESS_EXCLUSIVE = "AccessExclusiveLock"

    def __str__(self) -> str:
        return self.name.replace("_", " ")

    @property
    def strength(self) -> int:
        return list(LockMode).index(self)

    @property
    def blocks(self) -> str:
        """What of other sessions waits for it, in words."""
        if self is LockMode.ACCESS_EXCLUSIVE:
            return "blocks reads and writes"
        return "blocks writes" if self.strength >= LockMode.SHARE.strength else "blocks neither reads nor writes"


@dataclass(frozen=True)
class TableLock:
    """The strongest lock on one table, and what is done under it."""

    table: str
    mode: LockMode
    rewrites: bool = False
    scans: bool = False
    """Whether all rows are read, as building an index or checking a constraint does."""

    def joined_with(self, other: TableLock) -> TableLock:
        """Two locks on the same table as one."""
        mode = max(self.mode, other.mode, key=lambda one: one.strength)
        return TableLock(self.table, mode, self.rewrites or other.rewrites, self.scans or other.scans)


@dataclass(frozen=True)
class Table:
    """``filenode`` is another once the table was rewritten; ``scans`` counts the times that all its rows were read."""

    name: str
    filenode: int | None
    scans: int


@dataclass(frozen=True)
class Held:
    """``tables`` by oid, each with its strongest mode; ``shared`` are written catalogs that all databases share."""

    tables: dict[int, LockMode]
    shared: frozenset[str]


def tables(connection: BaseDatabaseWrapper) -> dict[int, Table]:
    """The database's tables and views by oid, without PostgreSQL's own and Silo's notes.

    ``scans`` grows inside a transaction only, so it is to be compared with an earlier reading in the same one.
    """
    with connection.cursor() as cursor:
        cursor.execute(_TABLES)
        return {oid: Table(name, filenode, scans) for oid, name, filenode, scans in cursor.fetchall()}


def held(connection: BaseDatabaseWrapper) -> Held:
    """What this session holds now."""
    with connection.cursor() as cursor:
        cursor.execute(_HELD)
        rows = [(oid, LockMode(mode), shared) for oid, mode, shared in cursor.fetchall()]
    strongest: dict[int, LockMode] = {}
    for oid, mode, _ in sorted(rows, key=lambda row: row[1].strength):
        strongest[oid] = mode
    # pg_shdepend says who owns what and is written by every CREATE; its rows go with their database.
    written = {
        shared
        for _, mode, shared in rows
        if shared and shared != "pg_shdepend" and mode.strength >= LockMode.ROW_EXCLUSIVE.strength
    }
    return Held(strongest, frozenset(written))


def indexes(connection: BaseDatabaseWrapper) -> set[tuple[int, int]]:
    """Each index and its table, by oid."""
    with connection.cursor() as cursor:
        cursor.execute(_INDEXES)
        return set(cursor.fetchall())
