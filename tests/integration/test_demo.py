"""The demonstration's tenants are whole, made once, and made in development only."""

from dataclasses import replace

import pytest
from django.core.management import CommandError, call_command

from accounts.models import User
from platform_site import demo
from tenant_data.files import open_file
from tenant_data.models import Document, File
from tenants.context import use_tenant
from tenants.models import Tenant
from tests.support.fleet import Fleet

SLUG = "demonstration"


@pytest.fixture
def one_tenant(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> demo.DemoTenant:
    """One is enough, under a slug that no fixture has."""
    tenant = replace(demo.TENANTS[0], slug=SLUG)
    monkeypatch.setattr(demo, "TENANTS", (tenant,))
    return tenant


class Demonstration:
    def test_has_people_a_document_and_a_real_file_in_each_tenant(self, one_tenant):
        list(demo.seed())
        assert User.objects.get(email=demo.ADMIN_EMAIL).is_superuser
        assert {str(member) for member in Tenant.objects.get(slug=SLUG).associations.all()} == {
            f"alice@silo.example is owner of {SLUG}",
            f"bob@silo.example is member of {SLUG}",
        }
        with use_tenant(SLUG), open_file(File.objects.get(documents__isnull=False)) as content:
            assert content.read().decode() == one_tenant.upload.text

    def test_is_not_made_twice(self, one_tenant):
        first, again = list(demo.seed()), list(demo.seed())
        assert first == again
        with use_tenant(SLUG):
            assert Document.objects.count() == 1

    def test_leaves_alone_what_people_have_done_with_it(self, one_tenant):
        list(demo.seed())
        with use_tenant(SLUG):
            Document.objects.update(title="Mine now")
        list(demo.seed())
        with use_tenant(SLUG):
            assert [document.title for document in Document.objects.all()] == ["Mine now"]

    def test_is_refused_in_production_because_its_password_is_public(self, settings):
        settings.DEBUG = False
        with pytest.raises(CommandError, match="DEBUG"):
            call_command("seed_demo")
