"""A bare ``atomic()`` or ``on_commit()`` is main's; inside a tenant, that is loud."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connections, transaction
from psycopg2 import sql

from accounts.models import User
from tenants.context import required_alias, tenant_atomic, tenant_on_commit, use_tenant
from tenants.errors import BareTransactionError, NoTenantError
from tenants.models import Tenant
from tests.apps.notes.models import Note


def execute(statement: Any) -> None:
    with connections[required_alias()].cursor() as cursor:
        cursor.execute(statement)


class ABareAtomic:
    @pytest.mark.parametrize(
        "write",
        [
            lambda: Note.objects.create(text="x"),
            lambda: Note.objects.bulk_create([Note(text="x")]),
            lambda: Note.objects.update(text="x"),
            lambda: Note.objects.all().delete(),
            lambda: execute("  insert INTO notes_note (text) VALUES ('x')"),
            lambda: execute("WITH x AS (INSERT INTO notes_note (text) VALUES ('x') RETURNING id) SELECT * FROM x"),
            lambda: execute(b"INSERT INTO notes_note (text) VALUES ('x')"),
            lambda: execute(sql.SQL("TRUNCATE {}").format(sql.Identifier("notes_note"))),
        ],
        ids=["create", "bulk_create", "update", "delete", "SQL", "WITH", "bytes", "composed"],
    )
    def test_around_a_write_to_a_tenant_is_refused(self, acme: Tenant, write: Callable[[], object]) -> None:
        with use_tenant(acme), pytest.raises(BareTransactionError, match=r"tenant_atomic\(\)"), transaction.atomic():
            write()

    def test_is_refused_where_it_stands_around_the_tenant(self, acme: Tenant) -> None:
        with pytest.raises(BareTransactionError), transaction.atomic(), use_tenant(acme):
            Note.objects.create(text="x")

    def test_is_refused_as_a_decorator(self, acme: Tenant) -> None:
        @transaction.atomic
        def write() -> None:
            Note.objects.create(text="x")

        with use_tenant(acme), pytest.raises(BareTransactionError):
            write()

    def test_may_stand_around_reads_and_around_what_is_written_to_main(self, acme: Tenant) -> None:
        with use_tenant(acme), transaction.atomic():
            assert Note.objects.filter(text="UPDATE").count() == 0
            User.objects.create_user(email="zoe@example.com", password="x", name="Zoe")

    def test_may_stand_around_a_transaction_of_the_tenants_own(self, acme: Tenant) -> None:
        with use_tenant(acme), transaction.atomic(), tenant_atomic():
            Note.objects.create(text="x")

    def test_may_be_over(self, acme: Tenant) -> None:
        with use_tenant(acme):
            with transaction.atomic():
                pass
            Note.objects.create(text="x")

    def test_is_main_s_where_it_says_so(self, acme: Tenant) -> None:
        with use_tenant(acme), transaction.atomic(using="default"):
            Note.objects.create(text="x")

    def test_is_only_logged_where_the_setting_says_so(
        self, acme: Tenant, settings: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        settings.TENANT_BARE_TRANSACTIONS = "warn"
        with use_tenant(acme), caplog.at_level(logging.WARNING), transaction.atomic():
            Note.objects.create(text="x")
            assert Note.objects.count() == 1
        (record,) = caplog.records
        assert "tenant_atomic()" in record.getMessage()
        assert "test_transactions" in (record.stack_info or "")


class ABareOnCommit:
    def test_inside_a_tenant_is_refused(self, acme: Tenant) -> None:
        with use_tenant(acme), pytest.raises(BareTransactionError, match=r"tenant_on_commit\(\)"), tenant_atomic():
            transaction.on_commit(lambda: None)

    def test_means_main_elsewhere_or_where_it_says_so(
        self, acme: Tenant, django_capture_on_commit_callbacks: Any
    ) -> None:
        said = []
        with django_capture_on_commit_callbacks(execute=True):
            transaction.on_commit(lambda: said.append("elsewhere"))
            with use_tenant(acme):
                transaction.on_commit(lambda: said.append("main"), using="default")
        assert said == ["elsewhere", "main"]

    def test_of_the_tenant_waits_for_its_commit(self, acme: Tenant) -> None:
        said = []
        with use_tenant(acme):
            with tenant_atomic():
                tenant_on_commit(lambda: said.append("committed"))
                assert said == []
            assert said == ["committed"]


class TenantAtomic:
    def test_rolls_the_tenant_back(self, acme: Tenant) -> None:
        with use_tenant(acme):
            with tenant_atomic():
                Note.objects.create(text="x")
                connections[acme.alias].set_rollback(True)
            assert Note.objects.count() == 0

    def test_decorates_a_function_for_whichever_tenant_is_current(self, acme: Tenant, globex: Tenant) -> None:
        @tenant_atomic(durable=True)
        def write(others: list[Tenant]) -> str:
            Note.objects.create(text="x")
            for other in others:
                with use_tenant(other):
                    assert write([]) == other.alias
            return required_alias() if connections[required_alias()].in_atomic_block else ""

        with use_tenant(acme):
            assert write([globex]) == acme.alias

    def test_needs_a_tenant(self, acme: Tenant) -> None:
        with pytest.raises(NoTenantError), tenant_atomic():
            pass
