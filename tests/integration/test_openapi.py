"""What the OpenAPI promises of each operation, read from the OpenAPI itself, so that a new one is tested at once."""

import re
from datetime import datetime

import pytest
from drf_spectacular.generators import SchemaGenerator

from platform_site.papers import errors_page
from tenant_data.documents import change
from tenant_data.files import store_upload
from tenant_data.models import Document
from tenants.api.made_examples import METHODS
from tenants.context import use_tenant
from tenants.models import Rollout, Server

SCHEMA = SchemaGenerator().get_schema(request=None, public=True)
OPERATIONS = [
    (method, path, operations[method])
    for path, operations in SCHEMA["paths"].items()
    for method in METHODS
    if method in operations
]
NAMES = [f"{method} {path}" for method, path, _ in OPERATIONS]
RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


def resolved(schema):
    while "$ref" in schema:
        schema = SCHEMA["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def reply_of(operation):
    """The schema of what comes back in JSON where all went well, or None."""
    for status, reply in operation["responses"].items():
        if status.startswith("2") and "application/json" in reply.get("content", {}):
            return resolved(reply["content"]["application/json"]["schema"])
    return None


def is_list(method, operation):
    schema = reply_of(operation) if method == "get" else None
    return schema is not None and (schema.get("type") == "array" or "results" in schema.get("properties", {}))


LISTS = [(path, operation) for method, path, operation in OPERATIONS if is_list(method, operation)]


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS, ids=NAMES)
class AnOperation:
    def test_has_a_summary_a_description_and_a_tag(self, method, path, operation):
        assert operation["summary"]
        assert operation["description"].endswith(".")
        assert operation["tags"] != ["v1"]

    def test_has_an_example_of_all_that_goes_in_and_comes_out(self, method, path, operation):
        replies = [reply for status, reply in operation["responses"].items() if status.startswith("2")]
        bodies = [*replies, operation.get("requestBody", {})]
        media = [
            body["content"]["application/json"] for body in bodies if "application/json" in body.get("content", {})
        ]
        in_path = [one for one in operation.get("parameters", ()) if one["in"] == "path"]
        for shown in [*media, *in_path]:
            assert shown.get("example", shown.get("examples")) is not None

    def test_says_how_it_may_be_refused(self, method, path, operation):
        problems = {status for status, reply in operation["responses"].items() if "$ref" in reply}
        assert {"406", "429", "500", "503"} <= problems
        assert "{" not in path or "404" in problems
        assert "requestBody" not in operation or {"400", "415"} <= problems


class ATextThatMustNotBeBlank:
    def test_says_so_where_it_is_sent_and_is_refused(self, as_user, acme, alice):
        schemas = SCHEMA["components"]["schemas"]
        assert schemas["DocumentRequest"]["properties"]["title"]["pattern"] == r"\S"
        assert "pattern" not in schemas["Document"]["properties"]["title"]
        assert "pattern" not in schemas["DocumentRequest"]["properties"]["body"]
        path = "/api/v1/tenants/acme/documents/"
        assert as_user(alice).post(path, {"title": " \n"}).status_code == 400
        assert as_user(alice).post(path, {"title": "x", "body": " \n"}).status_code == 201


class AllDates:
    def test_are_dates_and_times_of_rfc_3339_by_their_schema(self):
        for schema in SCHEMA["components"]["schemas"].values():
            for name, field in schema.get("properties", {}).items():
                if name.endswith(("_at", "expiry")):
                    assert field["format"] == "date-time", name


@pytest.mark.parametrize(("path", "operation"), LISTS, ids=[path for path, _ in LISTS])
class AList:
    def test_comes_in_pages(self, path, operation):
        properties = reply_of(operation)["properties"]
        assert set(properties) == {"next", "previous", "results"}
        if path != "/api/v1/fleet/heads/":  # as long as there are heads, however many tenants
            assert {"cursor", "page_size"} <= {one["name"] for one in operation["parameters"]}

    def test_has_dates_with_a_zone(self, path, operation, as_user, acme, alice, erin):
        Rollout.objects.create(state="succeeded", target="latest", process="here")
        Server.objects.get_or_create(name="eu-1")
        with use_tenant(acme):
            store_upload("a.txt", [b"a"], "text/plain", alice.pk)
            document = Document.objects.create(title="x")
            change(document, alice.pk, title="y")
        path = path.replace("{slug}", "acme").replace("{id}", str(document.pk))
        reply = as_user(erin if "/fleet/" in path else alice).get(path)
        assert reply.status_code == 200
        dates = [
            (name, value) for row in reply.json()["results"] for name, value in row.items() if name.endswith("_at")
        ]
        for name, value in dates:
            assert value is None or RFC_3339.fullmatch(value), name
            assert value is None or datetime.fromisoformat(value).tzinfo is not None


class ThePapers:
    def test_name_each_code_once(self):
        codes = re.findall(r"^\| `(\w+)` \|", errors_page(), re.MULTILINE)
        assert len(codes) == len(set(codes)) >= 20

    def test_have_all_lists(self):
        assert len(LISTS) >= 7
