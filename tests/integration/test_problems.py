"""What an error looks like over HTTP, wherever it comes from."""

import asyncio
import json
import uuid

import pytest
from django.http import HttpResponse
from django.test import RequestFactory
from rest_framework.exceptions import ErrorDetail

from platform_site.logs import RequestFilter
from tenant_data.api.documents import DocumentsView
from tenants.api.codes import known_codes
from tenants.api.errors import code_of
from tenants.api.problems import mistakes, problem_middleware
from tenants.api.request_ids import current_request_id, request_id_middleware
from tenants.errors import LastOwnerError

pytestmark = pytest.mark.django_db

ACME = "/api/v1/tenants/acme/"
DOCUMENTS = f"{ACME}documents/"


def is_problem(reply, status, code):
    assert reply["Content-Type"] == "application/problem+json", reply.content
    document = reply.json()
    assert {"type", "title", "status", "detail", "code", "request_id"} <= set(document)
    assert (document["status"], document["code"]) == (reply.status_code, code)
    assert reply.status_code == status
    assert document["type"] == f"/api/errors/#{code}"
    assert document["request_id"] == reply["X-Request-ID"]
    return document


class AProblem:
    def test_names_each_field_that_is_wrong(self, as_user, acme, alice):
        reply = as_user(alice).post(f"{ACME}members/", {"email": "no address", "role": "god"})
        document = is_problem(reply, 400, "invalid")
        assert {(one["field"], one["code"]) for one in document["errors"]} == {
            ("email", "invalid"),
            ("role", "invalid_choice"),
        }

    def test_says_what_it_is_of_the_request_as_a_whole(self, as_user, acme, alice):
        document = is_problem(as_user(alice).post(DOCUMENTS, []), 400, "invalid")
        assert document["errors"][0]["field"] is None

    def test_has_a_path_to_what_lies_deeper(self):
        detail = {"items": [{}, {"title": [ErrorDetail("No.", "blank")]}], "labels": {"plan": [ErrorDetail("x", "y")]}}
        assert [(one["field"], one["code"]) for one in mistakes(detail)] == [
            ("items.1.title", "blank"),
            ("labels.plan", "y"),
        ]

    def test_is_made_of_each_refusal(self, api, as_user, acme, alice, bob, dave):
        client = as_user(alice)
        is_problem(api.get(ACME), 401, "not_authenticated")
        is_problem(api.get(ACME, HTTP_AUTHORIZATION="Token nonsense"), 401, "authentication_failed")
        is_problem(as_user(dave).get(ACME), 404, "not_found")
        is_problem(as_user(bob).patch(ACME, {"name": "x"}), 403, "permission_denied")
        is_problem(client.put(DOCUMENTS), 405, "method_not_allowed")
        is_problem(client.get(DOCUMENTS, HTTP_ACCEPT="image/png"), 406, "not_acceptable")
        is_problem(client.post(DOCUMENTS, "x", content_type="text/csv"), 415, "unsupported_media_type")
        is_problem(client.post(DOCUMENTS, "{", content_type="application/json"), 400, "parse_error")
        is_problem(client.post("/api/v1/tenants/", {"slug": "acme"}), 409, "tenant_exists")
        is_problem(client.delete(f"{ACME}members/{alice.pk}/"), 409, "last_owner")

    def test_keeps_the_headers_that_say_what_to_do(self, api, as_user, acme, alice):
        assert api.get(ACME)["WWW-Authenticate"].startswith("Token")
        assert "POST" in as_user(alice).put(DOCUMENTS)["Allow"]
        acme.move_to(acme.State.SUSPENDED)
        reply = as_user(alice).get(ACME)
        is_problem(reply, 503, "tenant_unavailable")
        assert int(reply["Retry-After"]) > 0

    @pytest.mark.parametrize("path", ["/api/", "/api/v1/nothing/", f"{DOCUMENTS}no-id/", f"{ACME}members/1/"])
    @pytest.mark.parametrize("debug", [True, False])
    def test_is_the_answer_at_an_unknown_address(self, as_user, acme, alice, settings, path, debug):
        settings.DEBUG = debug
        is_problem(as_user(alice).get(path), 404, "not_found")

    def test_is_the_answer_where_two_tenants_are_named(self, as_user, acme, globex, alice):
        is_problem(as_user(alice).get(ACME, HTTP_X_TENANT="globex"), 404, "not_found")

    def test_is_the_answer_under_a_host_that_is_not_ours(self, api):
        is_problem(api.get("/api/v1/me/", HTTP_HOST="evil.example"), 400, "bad_request")

    def test_is_no_answer_outside_the_api(self, api):
        assert api.get("/nothing/").status_code == 404
        assert "html" in api.get("/nothing/")["Content-Type"]


class ACode:
    def test_is_explained_where_its_type_leads(self, api, acme):
        page = api.get("/api/errors/")
        assert page.status_code == 200
        for one in known_codes():
            assert f'id="{one.code}"' in page.content.decode()
            assert one.meaning

    def test_is_found_wherever_the_project_raises_it(self):
        assert {"tenant_exists", "tenant_unavailable", "file_in_use", "throttled"} <= {
            one.code for one in known_codes()
        }

    def test_that_names_a_class_is_its_name_in_snake_case(self):
        assert code_of(LastOwnerError) == "last_owner"


class AFault:
    @pytest.fixture(params=[True, False], ids=["debug", "production"])
    def reply(self, request, as_user, acme, alice, monkeypatch, settings, caplog):
        caplog.handler.addFilter(RequestFilter())

        def breaks(view):
            raise RuntimeError("the password is hunter2")

        settings.DEBUG = request.param
        monkeypatch.setattr(DocumentsView, "get_queryset", breaks)
        client = as_user(alice)
        client.raise_request_exception = False
        return client.get(DOCUMENTS, HTTP_X_REQUEST_ID="fault-42-abc")

    def test_tells_nothing_but_where_to_look(self, reply):
        document = is_problem(reply, 500, "internal_error")
        assert document["request_id"] == "fault-42-abc"
        for secret in ("hunter2", "RuntimeError", "Traceback", "SECRET_KEY"):
            assert secret not in reply.content.decode()

    def test_is_in_the_log_with_its_traceback_under_that_id(self, caplog, reply):
        (record,) = [one for one in caplog.get_records("setup") if one.levelname == "ERROR"]
        assert "hunter2" in str(record.exc_info)
        assert record.request_id == "fault-42-abc"


class ARequestId:
    def test_is_in_the_log_line_of_a_refusal(self, api, acme, caplog):
        caplog.handler.addFilter(RequestFilter())
        api.get(ACME, HTTP_X_REQUEST_ID="refused-42")
        assert {record.request_id for record in caplog.records if "Unauthorized" in record.message} == {"refused-42"}

    def test_is_given_in_async_code_too(self):
        async def view(request):
            return HttpResponse(current_request_id(), status=404)

        answer = request_id_middleware(problem_middleware(view))
        reply = asyncio.run(answer(RequestFactory().get("/api/v1/", HTTP_X_REQUEST_ID="async-42")))
        assert json.loads(reply.content)["request_id"] == reply["X-Request-ID"] == "async-42"
        assert json.loads(reply.content)["code"] == "not_found"
        assert current_request_id() is None

    def test_is_the_senders(self, api):
        assert api.get("/healthz", HTTP_X_REQUEST_ID="abc-12345678")["X-Request-ID"] == "abc-12345678"

    @pytest.mark.parametrize(
        "sent", ["", "short", "a" * 129, "with space in it", "bad\nline-12345", "\x1b[31mred-text"]
    )
    def test_is_made_where_the_senders_is_not_fit_for_a_log(self, api, sent):
        assert uuid.UUID(api.get("/healthz", HTTP_X_REQUEST_ID=sent)["X-Request-ID"])

    def test_is_another_each_time(self, api):
        assert api.get("/healthz")["X-Request-ID"] != api.get("/healthz")["X-Request-ID"]
