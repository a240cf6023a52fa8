"""What a tenant's own catalogs say: who owns its objects, and who may do what with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tenants import naming
from tenants.databases import bookkeeping
from tenants.databases.audit.finding import Finding, from_rows

if TYPE_CHECKING:
    from uuid import UUID

    from tenants.models import Tenant
    from tenants.routing.backend.base import DatabaseWrapper

# Silo gives rights in `public` and `silo`. A tenant app that makes a schema of its own gives the rights in it itself;
# there, and of what belongs to an extension, only owners are looked at, and who may make something.
_OBJECTS = """
WITH me AS (SELECT oid, rolname FROM pg_roles WHERE rolname = current_user),
grp AS (SELECT oid, rolname FROM pg_roles WHERE rolname = %(group)s),
extended AS (SELECT classid, objid FROM pg_depend WHERE deptype = 'e'),
spaces AS (
    SELECT oid, nspname, nspowner, nspacl FROM pg_namespace
    WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
        AND ('pg_namespace'::regclass, oid) NOT IN (SELECT classid, objid FROM extended)
), relations AS (
    SELECT c.oid, c.oid::regclass::text AS name, nspname, relowner, relkind, relacl,
        CASE WHEN relkind = 'S' THEN 'SEQUENCE' ELSE 'TABLE' END AS kind
    FROM pg_class c JOIN spaces ON spaces.oid = relnamespace WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
        AND ('pg_class'::regclass, c.oid) NOT IN (SELECT classid, objid FROM extended)
), wanted AS (
    SELECT relations.oid, kind, name, privilege FROM relations, LATERAL unnest(CASE
        WHEN name IN ('django_migrations', 'silo.facts') THEN '{SELECT}'
        WHEN nspname <> 'public' OR name = 'django_migrations_id_seq' THEN '{}'
        WHEN kind = 'SEQUENCE' THEN '{USAGE,SELECT,UPDATE}'
        ELSE '{SELECT,INSERT,UPDATE,DELETE}' END::text[]) AS privilege
    UNION ALL SELECT oid, 'SCHEMA', nspname, 'USAGE' FROM spaces WHERE nspname IN ('public', 'silo')
), granted AS (
    SELECT relations.oid, kind, name, grantee, privilege_type AS privilege, NULL AS field FROM relations,
        LATERAL aclexplode(relacl) WHERE grantee <> relowner AND nspname IN ('public', 'silo')
    UNION ALL
    SELECT relations.oid, kind, name, grantee, privilege_type, quote_ident(attname) FROM relations
        JOIN pg_attribute ON attrelid = relations.oid, LATERAL aclexplode(attacl)
        WHERE grantee <> relowner AND nspname IN ('public', 'silo')
    UNION ALL
    SELECT oid, 'SCHEMA', quote_ident(nspname), grantee, privilege_type, NULL FROM spaces, LATERAL aclexplode(nspacl)
        WHERE grantee <> nspowner AND (nspname IN ('public', 'silo') OR privilege_type = 'CREATE')
), defaults(type, kind, wanted) AS (
    VALUES ('r'::"char", 'TABLES', '{SELECT,INSERT,UPDATE,DELETE}'::text[]),
           ('S', 'SEQUENCES', '{USAGE,SELECT,UPDATE}')
), default_granted AS (
    SELECT type, kind, wanted, grantee, privilege_type AS privilege FROM me, pg_default_acl JOIN defaults
        ON type = defaclobjtype, LATERAL aclexplode(defaclacl)
    WHERE defaclrole = me.oid AND defaclnamespace = 'public'::regnamespace
), owned AS (
    SELECT kind, name, relowner AS owner FROM relations
    UNION ALL SELECT 'SCHEMA', quote_ident(nspname), nspowner FROM spaces WHERE nspname <> 'public'
    UNION ALL
    SELECT 'ROUTINE', p.oid::regprocedure::text, proowner FROM pg_proc p JOIN spaces ON spaces.oid = pronamespace
        WHERE ('pg_proc'::regclass, p.oid) NOT IN (SELECT classid, objid FROM extended)
    UNION ALL
    SELECT 'TYPE', t.oid::regtype::text, typowner FROM pg_type t JOIN spaces ON spaces.oid = typnamespace
        WHERE typtype IN ('e', 'd', 'r') AND ('pg_type'::regclass, t.oid) NOT IN (SELECT classid, objid FROM extended)
)
SELECT %(slug)s, format('%%s %%s is owned by %%I', lower(kind), name, pg_get_userbyid(owner)),
    format('ALTER %%s %%s OWNER TO %%I', kind, name, me.rolname), NULL
FROM owned, me WHERE owner <> me.oid
UNION ALL
SELECT %(slug)s, format('the group role lacks %%s on %%s %%s', privilege, lower(kind), name),
    format('GRANT %%s ON %%s %%s TO %%I', privilege, kind, name, grp.rolname), NULL
FROM wanted, grp WHERE NOT EXISTS (
    SELECT FROM granted WHERE granted.oid = wanted.oid AND granted.kind = wanted.kind AND grantee = grp.oid
        AND granted.privilege = wanted.privilege AND field IS NULL)
UNION ALL
SELECT %(slug)s, format('%%s has %%s on %%s %%s',
        CASE grantee WHEN 0 THEN 'every role' WHEN own.oid THEN 'its role' WHEN grp.oid THEN 'the group role'
            ELSE quote_ident(pg_get_userbyid(grantee)) END, privilege, lower(kind), name),
    format('REVOKE %%s%%s ON %%s %%s FROM %%s', privilege, '(' || field || ')', kind, name,
        CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END), NULL
FROM granted LEFT JOIN grp ON true LEFT JOIN pg_roles own ON own.rolname = current_database()
WHERE NOT EXISTS (
    SELECT FROM wanted WHERE wanted.oid = granted.oid AND wanted.kind = granted.kind AND grantee = grp.oid
        AND wanted.privilege = granted.privilege AND field IS NULL)
UNION ALL
SELECT %(slug)s, format('the group role will lack %%s on new %%s', needed, lower(kind)),
    format('ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT %%s ON %%s TO %%I', needed, kind, grp.rolname), NULL
FROM defaults, unnest(wanted) AS needed, grp WHERE NOT EXISTS (
    SELECT FROM default_granted found
    WHERE found.type = defaults.type AND found.privilege = needed AND grantee = grp.oid)
UNION ALL
SELECT %(slug)s, format('%%s will have %%s on new %%s',
        CASE grantee WHEN 0 THEN 'every role' ELSE quote_ident(pg_get_userbyid(grantee)) END, privilege, lower(kind)),
    format('ALTER DEFAULT PRIVILEGES IN SCHEMA public REVOKE %%s ON %%s FROM %%s', privilege, kind,
        CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END), NULL
FROM default_granted LEFT JOIN grp ON true WHERE grantee IS DISTINCT FROM grp.oid OR privilege <> ALL(wanted)
"""


def look_inside(connection: DatabaseWrapper, tenant: Tenant, installation_id: UUID) -> list[Finding]:
    """What the owner sees in a tenant's database. Raises Django's database errors."""
    with connection.cursor() as cursor:
        cursor.execute(_OBJECTS, {"group": naming.group_role(installation_id), "slug": tenant.slug})
        found = from_rows(cursor.fetchall())
    stamp = bookkeeping.read(connection).tenant_id
    if stamp != str(tenant.id):
        by_hand = "do not serve it before it is known whose it is; see the runbook on restoring"
        says = "says nothing of whose it is" if stamp is None else "says that it is another tenant's"
        found.append(Finding(f"its database {says}", tenant.slug, by_hand=by_hand))
    return found
