from django.db import migrations

# What is said on the channel is read by tenants.routing.news.
INSTALL = """
CREATE FUNCTION silo_tell_of_tenant() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    before tenants_tenant := CASE WHEN TG_OP = 'INSERT' THEN NEW ELSE OLD END;
    after tenants_tenant := CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
    closes boolean := TG_OP = 'DELETE'
        OR (before.state, before.server_id, before.credentials_generation)
            IS DISTINCT FROM (after.state, after.server_id, after.credentials_generation);
BEGIN
    PERFORM pg_notify('silo_tenants', json_build_object(
        'id', after.id, 'slugs', json_build_array(before.slug, after.slug), 'closes', closes)::text);
    RETURN NULL;
END $$;

CREATE TRIGGER silo_tell_of_tenant AFTER INSERT OR UPDATE OR DELETE ON tenants_tenant
    FOR EACH ROW EXECUTE FUNCTION silo_tell_of_tenant();

CREATE FUNCTION silo_tell_of_servers() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('silo_tenants', '{}');
    RETURN NULL;
END $$;

CREATE TRIGGER silo_tell_of_servers AFTER UPDATE ON tenants_server
    FOR EACH STATEMENT EXECUTE FUNCTION silo_tell_of_servers();
"""
REMOVE = """
DROP TRIGGER silo_tell_of_servers ON tenants_server;
DROP FUNCTION silo_tell_of_servers;
DROP TRIGGER silo_tell_of_tenant ON tenants_tenant;
DROP FUNCTION silo_tell_of_tenant;
"""


class Migration(migrations.Migration):
    """Each change of a tenant or a server is told, at its commit, to the processes that remember tenants."""

    dependencies = [("tenants", "0002_rollout_ledger")]

    operations = [migrations.RunSQL(INSTALL, REMOVE)]
