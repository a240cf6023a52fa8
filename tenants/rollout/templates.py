"""Templates: made by the same worker that migrates tenants, before any tenant is touched.

A template is immutable once ready, and is found by server and head. New tenants are cloned from the one that the
installation's pointer names.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from tenants import naming
from tenants.databases import bookkeeping, roles, schema
from tenants.databases.bookkeeping import Facts
from tenants.databases.clone import EMPTY, clone, close_connections, drop, open_connections
from tenants.databases.sessions import maintenance, owner_session, take_server_lock
from tenants.errors import TemplateError
from tenants.models import Installation, Server, Template, Tenant
from tenants.rollout.footprint import FOOTPRINT
from tenants.rollout.heads import key_of
from tenants.rollout.outcome import Outcome, failed_with
from tenants.rollout.plan import unknown_migrations
from tenants.rollout.policy import MAX_TRIES, Verdict, pause_before
from tenants.rollout.program import Programs
from tenants.rollout.target import exactly, latest
from tenants.rollout.worker import WorkOptions, bring
from tenants.routing.backend.base import DatabaseWrapper

if TYPE_CHECKING:
    from psycopg2.extensions import cursor as Cursor

T = TypeVar("T")

BUILD_LOCK = 0x5111
"""One builder an installation on a server; whoever waited finds the template ready."""

BUILD_WAIT = timedelta(minutes=10)
SCRATCH_WAIT = timedelta(seconds=10)
"""How long a preview waits for a builder before it does without."""

KEPT = 2
"""How many ready templates a server keeps beside the current one, so that a fleet can go back to them at once."""


class TemplateFailedError(TemplateError):
    """A migration failed on the template, so no tenant was touched."""

    outcome: Outcome


def current(server: Server) -> Template:
    """The template of the fleet's head on this server; made where it is missing. Raises ``TemplateError``."""
    head_key = Installation.current().head_key
    if not head_key:
        template = build(server, Programs(latest()))
        Installation.move_head(template.head_key)
        return template
    found = _ready(server, head_key)
    if found is not None:
        return found
    elsewhere = Template.objects.filter(head_key=head_key, state=Template.State.READY).first()
    if elsewhere is None:
        raise TemplateError("the fleet's head has no template on any server; run `manage.py migrate_tenants`")
    return build(server, Programs(exactly(applied_in(elsewhere))))


def build(server: Server, programs: Programs, options: WorkOptions | None = None) -> Template:
    """The template for the programs' target on this server: one that is ready, or a new one, migrated from the nearest.

    Raises ``TemplateFailedError`` with the outcome where a migration fails on it.
    """
    source = _nearest(server)
    goal_key = key_of(programs.result_of(_facts(source)))
    found = _ready(server, goal_key)
    if found is not None:
        return found
    with maintenance(server) as cursor:
        if not take_server_lock(cursor, BUILD_LOCK, Installation.current().id, wait=BUILD_WAIT):
            raise TemplateError(f"another process has been building one on {server} for {BUILD_WAIT}")
        found = _ready(server, goal_key)
        if found is not None:
            return found
        _drop_unfinished(cursor, server)
        return _build(cursor, server, source, programs, goal_key, options or WorkOptions())


def prune(server: Server) -> list[str]:
    """Drop templates that nothing needs any more, and what killed builders left; gives the names of the former."""
    current_key = Installation.current().head_key
    found = list(Template.objects.filter(server=server).defer("schema").order_by("-created_at"))
    unfinished = any(template.state == Template.State.BUILDING for template in found)
    ready = [template for template in found if template.state == Template.State.READY]
    spare = [template for template in ready if template.head_key != current_key][KEPT:]
    if not (spare or unfinished):
        return []
    with maintenance(server) as cursor:
        # Where another process has the lock it is building, and what is unfinished may be what it builds.
        if unfinished and take_server_lock(cursor, BUILD_LOCK, Installation.current().id, wait=timedelta(0)):
            _drop_unfinished(cursor, server)
        for template in spare:
            _drop(cursor, template)
    return [template.name for template in spare]


def reference_schema(tenant: Tenant, applied: tuple[bookkeeping.MigrationKey, ...]) -> list[str]:
    """The schema that these migrations make: that of the template of this head, which is made where there is none."""
    template = Template.objects.filter(head_key=key_of(applied), state=Template.State.READY).first()
    return (template or build(tenant.server, Programs(exactly(applied)))).schema


@contextmanager
def scratch(server: Server, applied: tuple[bookkeeping.MigrationKey, ...]) -> Iterator[Template]:
    """A database to try migrations on, dropped at the end: a clone of this head's template, or else of the nearest.

    Its ``applied`` says which. It is recorded as one that is being built, under the builders' lock: so none drops it
    while this process lives, and the next one does where it was killed. Raises ``TemplateError``.
    """
    with maintenance(server) as cursor:
        installation = Installation.current()
        if not take_server_lock(cursor, BUILD_LOCK, installation.id, wait=SCRATCH_WAIT):
            raise TemplateError(f"another process is building one on {server}")
        _drop_unfinished(cursor, server)
        source = _ready(server, key_of(applied)) or _nearest(server)
        name = naming.template_name(installation.id, key_of(applied), uuid.uuid4().hex)
        template = Template.objects.create(server=server, name=name, applied=source.applied if source else [])
        try:
            clone(cursor, source.name if source else EMPTY, name)
            open_connections(cursor, name)
            yield template
        finally:
            _drop(cursor, template)


def _build(
    cursor: Cursor, server: Server, source: Template | None, programs: Programs, goal_key: str, options: WorkOptions
) -> Template:
    installation = Installation.current()
    name = naming.template_name(installation.id, goal_key, uuid.uuid4().hex)
    template = Template.objects.create(server=server, name=name)
    clone(cursor, source.name if source else EMPTY, name)
    open_connections(cursor, name)
    roles.ensure_group(cursor, installation.id)
    try:
        if source is None:
            _inside(template, lambda session: _furnish(session, installation.id), options)
        outcome = bring(template, programs, options)
        if outcome.failure is not None or outcome.verdict is Verdict.STOPPED:
            raise _failed(outcome)
        return _seal(cursor, template, options)
    except TemplateFailedError:
        _drop(cursor, template)
        raise


def _inside(template: Template, act: Callable[[DatabaseWrapper], T], options: WorkOptions) -> T:
    """What ``act`` gives with an owner's connection; tried again like a tenant that got no session.

    A session that has ended counts against its role's limit until the server has heard of it, so the next one can be
    refused where there is room for one alone.
    """
    for attempt in range(1, MAX_TRIES + 1):
        with owner_session(template, limits=options.limits) as connection:
            try:
                return act(connection)
            except Exception as error:
                outcome = failed_with(error, template, connection)
        if not outcome.may_pass:
            break
        time.sleep(pause_before(attempt + 1))
    raise _failed(outcome)


def _failed(outcome: Outcome) -> TemplateFailedError:
    return TemplateFailedError(outcome.failure.message if outcome.failure else outcome.reason, outcome=outcome)


def _furnish(connection: DatabaseWrapper, installation: uuid.UUID) -> None:
    """What stands in a template before any migration."""
    bookkeeping.install(connection)
    with connection.cursor() as cursor:
        roles.grant_in_template(cursor.cursor, installation)


def _seal(cursor: Cursor, template: Template, options: WorkOptions) -> Template:
    """Note what the template holds, and let nobody in again: one session inside makes a clone fail."""
    facts, lines = _inside(template, lambda session: (bookkeeping.read(session), schema.fingerprint(session)), options)
    close_connections(cursor, template.name)
    found = _ready(template.server, key_of(facts.applied))
    if found is not None:
        _drop(cursor, template)
        return found
    template.applied = [list(key) for key in facts.applied]
    template.head_key = key_of(facts.applied)
    template.footprint = facts.notes.get(FOOTPRINT, "")
    template.schema = lines
    template.state = Template.State.READY
    template.save()
    return template


def _drop_unfinished(cursor: Cursor, server: Server) -> None:
    """What a kill left while it was being built, or dropped. The lock is ours, so none of these is being built."""
    for template in Template.objects.filter(server=server, state=Template.State.BUILDING):
        _drop(cursor, template)


def _drop(cursor: Cursor, template: Template) -> None:
    # Not ready any more before its database goes: a kill in between would leave a row that tenants are cloned from.
    Template.objects.filter(pk=template.pk).update(state=Template.State.BUILDING)
    drop(cursor, template.name)
    template.delete()


def _nearest(server: Server) -> Template | None:
    """What to start from: the current template, else the newest, of those that this code knows."""
    head_key = Installation.current().head_key
    # Not their schemas, which are the largest rows in main.
    ready = Template.objects.filter(server=server, state=Template.State.READY).defer("schema").order_by("-created_at")
    known = [template for template in ready if not unknown_migrations(applied_in(template))]
    return next((template for template in known if template.head_key == head_key), known[0] if known else None)


def _ready(server: Server, head_key: str) -> Template | None:
    return Template.objects.filter(server=server, head_key=head_key, state=Template.State.READY).first()


def _facts(template: Template | None) -> Facts:
    """What the template's database says of itself: nobody may connect to that."""
    footprint = template.footprint if template is not None else ""
    return Facts(applied_in(template), {FOOTPRINT: footprint} if footprint else {})


def applied_in(template: Template | None) -> tuple[bookkeeping.MigrationKey, ...]:
    """What is applied in a template; nothing where there is none yet."""
    return tuple((app, name) for app, name in template.applied) if template else ()
