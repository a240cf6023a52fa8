"""Cases 28, 32, 34 and 37: what Django shares between all requests is kept apart by tenant."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from django.contrib.sessions.models import Session
from django.core import signing
from django.core.cache import cache, caches
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.http import HttpResponse
from django.template import Context, Template
from django.test import Client, RequestFactory
from django.urls import path
from django.views.debug import ExceptionReporter
from django.views.decorators.cache import cache_page

from tenants.checks import check_middleware
from tenants.context import current_alias, use_tenant
from tenants.errors import NoTenantError, WrongTenantError
from tenants.separation.sessions import SessionStore
from tenants.separation.signing import TenantSigner


@pytest.fixture(autouse=True)
def _empty_caches() -> None:
    for shared in caches.all(initialized_only=True):
        shared.clear()


class TheCache:
    def test_has_what_was_kept_under_the_same_tenant_only(self, acme, globex):
        with use_tenant(acme):
            cache.set("total", 1)
        with use_tenant(globex):
            assert cache.get("total") is None
            cache.set("total", 2)
        assert cache.get("total") is None
        with use_tenant(acme):
            assert cache.get("total") == 1

    def test_takes_no_key_that_reads_like_another_tenants(self, acme, globex):
        with use_tenant(acme):
            cache.set("total", 1)
        with use_tenant(globex):
            assert cache.get(f"{acme.alias}:total") is None
        assert cache.get(f"{acme.alias}:total") is None

    def test_keeps_whole_pages_apart(self, acme, globex, rf: RequestFactory):
        @cache_page(60)
        def page(request):
            return HttpResponse(current_alias())

        for tenant in (acme, globex):
            with use_tenant(tenant):
                assert page(rf.get("/report/")).content.decode() == tenant.alias

    def test_keeps_fragments_of_templates_apart(self, acme, globex):
        template = Template("{% load cache %}{% cache 60 total %}{{ whose }}{% endcache %}")
        for tenant in (acme, globex):
            with use_tenant(tenant):
                assert template.render(Context({"whose": tenant.slug})) == tenant.slug

    def test_of_limits_counts_over_all_tenants(self, acme, globex):
        limits = caches["limits"]
        limits.set("tries", 0)
        for tenant in (acme, globex):
            with use_tenant(tenant):
                limits.incr("tries")
        assert limits.get("tries") == 2

    def test_of_limits_counts_failed_logins_whatever_tenant_they_name(self, acme, globex, alice, api):
        credentials = {"email": alice.email, "password": "wrong"}
        statuses = [
            api.post("/api/v1/auth/login/", credentials, headers={"X-Tenant": ("acme", "globex")[turn % 2]}).status_code
            for turn in range(11)
        ]
        assert 429 in statuses


class StoredFiles:
    @pytest.fixture(autouse=True)
    def _media(self, settings, tmp_path) -> None:
        settings.MEDIA_ROOT = tmp_path / "media"

    def test_lie_in_a_folder_of_their_tenant(self, acme, globex, settings):
        for tenant in (acme, globex):
            with use_tenant(tenant):
                name = default_storage.save("reports/total.txt", ContentFile(tenant.slug.encode()))
                assert name == f"{tenant.alias}/reports/total.txt"
                assert (settings.MEDIA_ROOT / name).read_text() == tenant.slug
                assert default_storage.open(name).read() == tenant.slug.encode()
                assert default_storage.open("reports/total.txt").read() == tenant.slug.encode()
                assert default_storage.listdir("")[0] == ["reports"]

    def test_of_main_lie_apart_from_those_of_tenants(self, acme, settings):
        assert default_storage.save("logo.png", ContentFile(b"ours")) == "main/logo.png"
        with use_tenant(acme):
            assert not default_storage.exists("logo.png")
            with pytest.raises(WrongTenantError):
                default_storage.open("main/logo.png")

    @pytest.mark.parametrize("do", ["open", "delete", "exists", "size", "url", "path", "listdir", "get_modified_time"])
    def test_of_another_tenant_are_refused(self, acme, globex, do):
        with use_tenant(acme):
            name = default_storage.save("total.txt", ContentFile(b"acme's"))
        with use_tenant(globex):
            default_storage.save("total.txt", ContentFile(b"globex's"))
            for way in (name, f"{globex.alias}/../{name}", f"./{name}"):
                with pytest.raises(WrongTenantError):
                    getattr(default_storage, do)(way)
        with pytest.raises(NoTenantError):
            getattr(default_storage, do)(name)
        with use_tenant(acme):
            assert default_storage.open(name).read() == b"acme's"

    @pytest.mark.parametrize("name", ["../total.txt", "/etc/passwd", "a/../../total.txt", "..\\total.txt"])
    def test_do_not_lie_outside(self, acme, name):
        with use_tenant(acme), pytest.raises(SuspiciousFileOperation):
            default_storage.open(name)

    def test_cannot_be_removed_all_at_once_by_an_empty_name(self, acme):
        with use_tenant(acme), pytest.raises(ValueError, match="name must be given"):
            default_storage.delete("")


class Signatures:
    def test_hold_under_their_tenant_only(self, acme, globex):
        with use_tenant(acme):
            signed = TenantSigner(salt="invoice").sign_object({"invoice": 7})
            assert TenantSigner(salt="invoice").unsign_object(signed, max_age=60) == {"invoice": 7}
        with use_tenant(globex), pytest.raises(signing.BadSignature):
            TenantSigner(salt="invoice").unsign_object(signed)
        with pytest.raises(signing.BadSignature):
            signing.TimestampSigner(salt="invoice").unsign_object(signed)

    def test_need_a_tenant(self, db):
        with pytest.raises(NoTenantError):
            TenantSigner(salt="invoice")


def count_visits(request):
    request.session["visits"] = request.session.get("visits", 0) + 1
    return HttpResponse(str(request.session["visits"]))


def fail(request):
    password = "hunter2 in a variable"  # noqa: F841 - what a report must not show
    connection = {"NAME": "tenant", "PASSWORD": "hunter2 in a dict"}  # noqa: F841
    raise ValueError("fails")


urlpatterns = [path("visits/", count_visits), path("fail/", fail)]


@pytest.mark.urls(__name__)
class ASession:
    @pytest.fixture(autouse=True)
    def _hosts(self, settings) -> None:
        settings.TENANT_DOMAIN = "testserver"
        settings.ALLOWED_HOSTS = [".testserver"]

    def visits(self, client: Client, host: str) -> int:
        return int(client.get("/visits/", headers={"host": host}).content)

    def test_that_began_under_a_tenant_opens_nothing_elsewhere(self, acme, globex):
        browser, thief = Client(), Client()
        assert [self.visits(browser, "acme.testserver") for _ in range(2)] == [1, 2]
        for host in ("globex.testserver", "testserver"):
            thief.cookies["sessionid"] = browser.cookies["sessionid"].value
            assert self.visits(thief, host) == 1
        assert self.visits(browser, "acme.testserver") == 3

    def test_that_began_on_the_platforms_host_goes_from_tenant_to_tenant(self, acme, globex):
        browser = Client()
        hosts = ("testserver", "acme.testserver", "globex.testserver", "testserver")
        assert [self.visits(browser, host) for host in hosts] == [1, 2, 3, 4]

    def test_of_a_login_under_a_tenant_is_nobodys_elsewhere(self, acme, globex, alice):
        with use_tenant(acme):
            browser = Client()
            browser.force_login(alice)
        key = browser.cookies["sessionid"].value
        with use_tenant(acme):
            assert SessionStore(key).get("_auth_user_id") == str(alice.pk)
        with use_tenant(globex):
            assert SessionStore(key).get("_auth_user_id") is None
        assert SessionStore(key).get("_auth_user_id") is None

    def test_of_another_tenant_is_neither_changed_nor_ended_by_what_is_written(self, acme, globex):
        browser, thief, before = Client(), Client(), Session.objects.count()
        self.visits(browser, "acme.testserver")
        key = browser.cookies["sessionid"].value
        thief.cookies["sessionid"] = key
        self.visits(thief, "globex.testserver")
        assert thief.cookies["sessionid"].value != key
        assert Session.objects.count() == before + 2
        assert self.visits(browser, "acme.testserver") == 2


class ASessionOverTheAPI:
    def test_of_another_tenant_is_401(self, acme, globex, alice, settings):
        settings.TENANT_DOMAIN, settings.ALLOWED_HOSTS = "testserver", [".testserver"]
        with use_tenant(acme):
            browser = Client()
            browser.force_login(alice)
        assert browser.get("/api/v1/me/", headers={"host": "acme.testserver"}).status_code == 200
        assert browser.get("/api/v1/me/", headers={"host": "globex.testserver"}).status_code == 401


@pytest.fixture
def lines(settings) -> Iterator[list[str]]:
    """What the handler of Silo's settings writes."""
    found: list[str] = []
    handler = next(handler for handler in logging.getLogger("django").handlers if handler.filters)
    emit, handler.emit = handler.emit, lambda record: found.append(handler.format(record))  # type: ignore[method-assign]
    yield found
    handler.emit = emit  # type: ignore[method-assign]


class ALogLine:
    def test_of_a_failed_request_names_its_tenant(self, acme, lines, settings):
        settings.ROOT_URLCONF = __name__
        client = Client(raise_request_exception=False)
        assert client.get("/fail/", headers={"X-Tenant": "acme"}).status_code == 500
        assert client.get("/fail/").status_code == 500
        assert f" [{acme.alias}] " in lines[0]
        assert " django.request [-] " in lines[1]

    def test_that_django_writes_when_the_tenant_was_left_names_it_too(self, acme, lines):
        assert Client().get("/api/v1/tenants/acme/").status_code == 401
        assert f" [{acme.alias}] " in lines[0]


class AnErrorReport:
    def report(self, rf) -> ExceptionReporter:
        request = rf.get("/fail/")
        with pytest.raises(ValueError, match="fails") as failure:
            fail(request)
        return ExceptionReporter(request, failure.type, failure.value, failure.tb, is_email=True)

    def test_names_the_tenant(self, acme, rf):
        with use_tenant(acme):
            assert f"SILO_TENANT = '{acme.alias}'" in self.report(rf).get_traceback_text()
        assert "SILO_TENANT = 'main'" in self.report(rf).get_traceback_text()

    def test_shows_no_password(self, acme, rf, settings):
        settings.CELERY_BROKER_URL = "amqp://silo:hunter2-in-a-url@broker/"
        with use_tenant(acme):
            report = self.report(rf).get_traceback_html()
        assert "broker" in report
        # The lines of source around the failure are in a report as well: they have the words, so those are left out.
        values = [line for line in report.splitlines() if "<pre>" in line]
        assert len(values) > 10
        assert not [line for line in values if "hunter2" in line]


class TheOrderOfMiddleware:
    def test_is_right(self):
        assert check_middleware() == []

    @pytest.mark.parametrize(
        "early",
        ["django.contrib.sessions.middleware.SessionMiddleware", "django.middleware.cache.FetchFromCacheMiddleware"],
    )
    def test_is_refused_where_something_is_kept_above_the_tenant(self, settings, early):
        settings.MIDDLEWARE = [early, *settings.MIDDLEWARE]
        assert [error.id for error in check_middleware()] == ["tenants.E005"]
