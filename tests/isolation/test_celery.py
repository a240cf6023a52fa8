"""Case 28: a task runs for the tenant that it was sent for. A real worker, with a broker in memory."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from celery import Celery, chain, chord, group, signals
from celery.contrib.django.task import DjangoTask
from celery.contrib.testing.worker import start_worker
from django.db import connections, transaction

from tenant_data.models import Document
from tenants.context import current_alias, tenant_atomic, use_main, use_tenant
from tenants.errors import NoTenantError, TenantUnavailableError, UnknownTenantError
from tenants.models import Tenant
from tenants.separation.celery import TENANT_HEADER

WAIT_S = 20

app = Celery("tests", task_cls="tenants.separation.celery:TenantTask", broker="memory://", backend="cache+memory://")
app.conf.broker_transport_options = {"polling_interval": 0.01}


@app.task
def whose(_before: object = None) -> list[str | None]:
    """The aliases that this task and those before it in its chain ran under."""
    before = _before if isinstance(_before, list) else []
    return [*before, current_alias()]


@app.task
def titles() -> list[str]:
    return list(Document.objects.values_list("title", flat=True))


@app.task(bind=True, max_retries=1)
def at_the_second_try(self) -> str | None:
    if not self.request.retries:
        raise self.retry(countdown=0)
    return current_alias()


@app.task(bind=True)
def passes_its_headers_on(self) -> str:
    with use_main():
        return whose.apply_async(headers=dict(self.request.headers or {}, **{TENANT_HEADER: current_alias() or "x"})).id


@app.task(tenant_required=True)
def needs_a_tenant() -> str | None:
    return current_alias()


@pytest.fixture(scope="module")
def _worker() -> Iterator[None]:
    with start_worker(app, perform_ping_check=False, shutdown_timeout=WAIT_S):
        yield
        app.control.shutdown()  # It hears this at once; whether it should end, it asks every few seconds only.


@pytest.fixture
def worker(_worker: None, acme: Tenant, globex: Tenant) -> None:
    """A worker, with acme and globex there for it."""


def in_state(tenant: Tenant, state: str) -> None:
    """Committed, for the worker to see, which the test's own transaction is not."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(_set_state, tenant, state).result()


def _set_state(tenant: Tenant, state: str) -> None:
    try:
        Tenant.objects.filter(pk=tenant.pk).update(state=state)
    finally:
        connections.close_all()


def said(result) -> object:
    return result.get(timeout=WAIT_S, interval=0.01, disable_sync_subtasks=False)


@pytest.mark.usefixtures("worker")
class ATask:
    def test_runs_for_the_tenant_it_was_sent_for(self, acme, globex):
        sent = []
        for tenant in (acme, globex):
            with use_tenant(tenant):
                sent.append(whose.delay())
        sent.append(whose.delay())
        assert [said(result) for result in sent] == [[acme.alias], [globex.alias], [None]]

    def test_reads_that_tenants_rows(self, acme, globex, bob):
        for tenant in (acme, globex):
            with use_tenant(tenant):
                Document.objects.create(title=tenant.slug, owner_id=bob.pk)
                assert said(titles.delay()) == [tenant.slug]

    def test_sent_for_nobody_reaches_no_tenant(self, acme):
        with use_tenant(acme):
            said(whose.delay())
        with pytest.raises(NoTenantError):
            said(titles.delay())

    def test_does_not_keep_the_tenant_of_headers_that_are_used_again(self, acme, globex):
        headers = {TENANT_HEADER: acme.alias, "colour": "red"}
        assert said(whose.apply_async(headers=headers)) == [None]
        with use_tenant(globex):
            assert said(whose.apply_async(headers=headers)) == [globex.alias]
        assert headers == {TENANT_HEADER: acme.alias, "colour": "red"}

    def test_that_passes_its_headers_on_from_main_sends_for_nobody(self, acme):
        with use_tenant(acme):
            assert said(app.AsyncResult(said(passes_its_headers_on.delay()))) == [None]

    def test_keeps_its_tenant_when_it_is_tried_again(self, acme):
        with use_tenant(acme):
            assert said(at_the_second_try.delay()) == acme.alias

    def test_keeps_its_tenant_along_a_chain(self, acme):
        with use_tenant(acme):
            sent = chain(whose.s(), whose.s(), whose.s()).apply_async()
        assert said(sent) == [acme.alias] * 3

    def test_keeps_its_tenant_over_a_group_and_what_follows_it(self, acme):
        with use_tenant(acme):
            sent = chord(group(titles.s(), titles.s()), whose.s()).apply_async()
        assert said(sent) == [[], [], acme.alias]

    def test_that_needs_a_tenant_is_not_sent_without_one(self, acme):
        with pytest.raises(NoTenantError, match="needs_a_tenant"):
            needs_a_tenant.delay()
        with use_tenant(acme):
            assert said(needs_a_tenant.delay()) == acme.alias

    def test_that_needs_a_tenant_is_not_run_without_one(self):
        # As another program might send it, which knows the task by name only.
        with pytest.raises(NoTenantError):
            said(app.send_task(needs_a_tenant.name))

    def test_of_a_tenant_that_is_suspended_is_tried_again(self, acme, monkeypatch):
        monkeypatch.setattr(TenantUnavailableError, "retry_after_s", 0)
        in_state(acme, Tenant.State.SUSPENDED)
        tries = []

        def resume(sender: object, **_: object) -> None:
            tries.append(sender)
            in_state(acme, Tenant.State.ACTIVE)

        signals.task_retry.connect(resume)
        try:
            with use_tenant(acme):
                sent = whose.delay()
            assert said(sent) == [acme.alias]
        finally:
            signals.task_retry.disconnect(resume)
            in_state(acme, Tenant.State.ACTIVE)
        assert len(tries) == 1

    def test_of_a_tenant_that_stays_suspended_is_given_up(self, acme):
        with use_tenant(acme):
            Tenant.objects.filter(pk=acme.pk).update(state=Tenant.State.SUSPENDED)
            with pytest.raises(TenantUnavailableError):
                at_the_second_try.apply().get()

    def test_whose_message_names_no_tenant_is_not_run_under_whichever_is_current(self, acme):
        with use_tenant(acme):
            assert DjangoTask.apply(whose).get() == [None]

    def test_run_on_the_spot_runs_for_the_current_tenant(self, acme):
        with use_tenant(acme):
            assert whose.apply().get() == [acme.alias]

    def test_of_a_tenant_that_is_gone_is_not_run(self, acme):
        nobody = f"tenant_{0:032x}"
        with pytest.raises(UnknownTenantError):
            said(app.send_task(whose.name, headers={TENANT_HEADER: nobody}))

    def test_called_like_a_function_runs_where_it_is_called(self, acme):
        with use_tenant(acme):
            assert whose() == [acme.alias]


@pytest.mark.usefixtures("worker")
class ATaskSentOnCommit:
    def test_waits_for_the_tenants_transaction(self, acme, bob):
        with use_tenant(acme):
            with tenant_atomic():
                Document.objects.create(title="new", owner_id=bob.pk)
                seen = []
                titles.apply_async_on_commit(link=None, task_id="on-commit")
                transaction.on_commit(lambda: seen.append("committed"), using=acme.alias)
                assert not seen
            assert said(app.AsyncResult("on-commit")) == ["new"]

    def test_is_sent_for_the_tenant_of_that_moment(self, acme, django_capture_on_commit_callbacks):
        with django_capture_on_commit_callbacks(execute=True), use_tenant(acme):
            whose.apply_async_on_commit(using="default", task_id="of-that-moment")
        assert said(app.AsyncResult("of-that-moment")) == [acme.alias]


class ThePlatformsApp:
    def test_is_there_where_a_broker_is_named(self):
        assert shown("memory://here") == "silo True"

    def test_says_what_to_set_where_none_is(self):
        assert "CELERY_BROKER_URL is not set" in shown("", "import django, platform_site.celery")


SHARED_TASK = """
import django; django.setup()
from celery import shared_task

def work(): pass

task = shared_task(work)
from tenants.separation.celery import TenantTask
print(task.app.main, isinstance(task, TenantTask))
"""


def shown(broker: str, script: str = SHARED_TASK) -> str:
    environment = os.environ | {"CELERY_BROKER_URL": broker, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    ended = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    return ended.stdout.strip() or ended.stderr
