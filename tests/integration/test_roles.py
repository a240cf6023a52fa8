"""What each role may do: docs and code say the same, and every endpoint keeps to it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.db import transaction
from django.urls import resolve

from tenants.databases.clone import open_connections
from tenants.databases.sessions import maintenance
from tenants.models import Role, UserTenantAssociation
from tenants.permissions import ALLOWED, Deed, deed_of
from tests.isolation.test_foreign_ids import ENDPOINTS, PREFIX

PAPER = Path(__file__).resolve().parents[2] / "docs" / "roles.md"

DEEDS = {
    ("", "get"): Deed.READ,
    ("", "patch"): Deed.MANAGE_TENANT,
    ("", "delete"): Deed.MANAGE_TENANT,
    ("undelete/", "post"): Deed.MANAGE_TENANT,
    ("leave/", "post"): Deed.LEAVE,
    ("members/", "get"): Deed.READ,
    ("members/", "post"): Deed.MANAGE_MEMBERS,
    ("members/{user_id}/", "get"): Deed.READ,
    ("members/{user_id}/", "patch"): Deed.MANAGE_MEMBERS,
    ("members/{user_id}/", "delete"): Deed.MANAGE_MEMBERS,
    ("invitations/", "get"): Deed.MANAGE_MEMBERS,
    ("invitations/", "post"): Deed.MANAGE_MEMBERS,
    ("invitations/{id}/", "delete"): Deed.MANAGE_MEMBERS,
    ("files/", "get"): Deed.READ,
    ("files/", "post"): Deed.WRITE,
    ("files/{id}/", "delete"): Deed.WRITE,
    ("files/{id}/content/", "get"): Deed.READ,
    ("documents/", "get"): Deed.READ,
    ("documents/", "post"): Deed.WRITE,
    ("documents/{id}/", "patch"): Deed.WRITE,
    ("documents/{id}/", "delete"): Deed.WRITE,
    ("documents/{id}/restore/", "post"): Deed.WRITE,
    ("documents/{id}/versions/", "get"): Deed.READ,
    ("documents/{id}/versions/{number}/restore/", "post"): Deed.WRITE,
    ("documents/bulk/", "post"): Deed.WRITE,
    ("documents/bulk-delete/", "post"): Deed.WRITE,
}
"""What the endpoints are, written down apart from the code. Others are what their views say."""


def on_paper() -> dict[tuple[str, str], bool]:
    """Deed and role: whether the paper allows it."""
    rows = [re.split(r"\s*\|\s*", line.strip("| ")) for line in PAPER.read_text().splitlines() if line.startswith("|")]
    heading, _, *body = rows
    return {(row[0], role): cell == "yes" for row in body for role, cell in zip(heading[1:], row[1:], strict=True)}


def with_ids(path: str) -> str:
    """The path in acme, with ids of nothing."""
    path = path.replace("{number}", "1")
    return re.sub(r"{\w+}", lambda _: str(uuid4()), path.replace("{slug}", "acme"))


def deed_at(path: str, method: str) -> Deed:
    view: Any = resolve(with_ids(path)).func
    return deed_of(view.view_class, method)


class ThePaper:
    def test_says_what_the_code_says(self):
        assert on_paper() == {(str(deed), str(role)): role in ALLOWED[deed] for deed in Deed for role in Role}

    def test_has_a_line_for_each_deed(self):
        assert set(ALLOWED) == set(Deed)


class TheEndpoints:
    def test_are_the_deeds_that_are_written_down(self):
        found = {(path.removeprefix(PREFIX), method): deed_at(path, method) for path, method in ENDPOINTS}
        assert {endpoint: found.get(endpoint) for endpoint in DEEDS} == DEEDS

    @pytest.mark.parametrize(("path", "method"), ENDPOINTS)
    def test_are_403_to_a_role_unless_the_paper_allows_it(self, as_user, acme, bob, path, method):
        deed, concrete = deed_at(path, method), with_ids(path)
        paper = {str(role): on_paper()[str(deed), str(role)] for role in Role}
        found = {}
        for role in reversed(Role):
            with transaction.atomic(using="default"):
                UserTenantAssociation.objects.filter(user=bob).update(role=role)
                found[str(role)] = getattr(as_user(bob), method)(concrete).status_code != 403
                transaction.set_rollback(True, using="default")
        if (path, method) == (PREFIX, "delete"):
            # The owner may; and what he did to the database is not rolled back with main.
            with maintenance(acme.server) as cursor:
                open_connections(cursor, acme.alias)
        assert found == paper
