"""Rows that must differ per tenant, such as secrets: made anew in a clone.

What a migration inserts into the template is the same in every clone. A migration that says
``run_again_after_clone = True`` has its RunPython and RunSQL operations run once more in each new tenant, with the
models as they are at that tenant's head, so they must overwrite what the template brought.
"""

from __future__ import annotations

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.operations import RunPython, RunSQL

from tenants.databases.bookkeeping import MigrationKey
from tenants.rollout.disk import marked_to_run_again
from tenants.rollout.plan import GroupExecutor
from tenants.rollout.program import state_of


def run_again_after_clone(connection: BaseDatabaseWrapper, applied: tuple[MigrationKey, ...]) -> None:
    """Run those operations of the applied migrations, in their order, in the caller's transaction."""
    marked = marked_to_run_again().keys() & set(applied)
    if not marked:
        return
    executor = GroupExecutor(applied)
    state = state_of(executor)
    with connection.schema_editor(atomic=False) as editor:
        for migration, _ in executor.whole_plan():
            if (migration.app_label, migration.name) not in marked:
                continue
            for operation in migration.operations:
                if isinstance(operation, RunPython | RunSQL):
                    operation.database_forwards(migration.app_label, editor, state, state)
