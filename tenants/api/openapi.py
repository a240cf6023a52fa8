"""What drf-spectacular cannot see in the views: the manners they share, and the errors that each can answer with."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter

from accounts.api.text import OnlyText
from tenants.api.codes import Code, known_codes
from tenants.api.conditional import CHANGES, Tagged
from tenants.api.idempotency import IDEMPOTENCY_KEY, Idempotent
from tenants.api.problems import CONTENT_TYPE, TYPES

METHODS = ("get", "put", "post", "delete", "patch")
NOT_BLANK = r"\S"
ALWAYS = (406, 429, 500, 503)

IF_MATCH = OpenApiParameter(
    "If-Match",
    str,
    OpenApiParameter.HEADER,
    description="The `ETag` that you have seen, or `*`. Somebody changed it since: 412, and nothing is done.",
)
IF_NONE_MATCH = OpenApiParameter(
    "If-None-Match", str, OpenApiParameter.HEADER, description="The `ETag` that you have: 304 where it still holds."
)
KEY = OpenApiParameter(
    IDEMPOTENCY_KEY,
    {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[\x21-\x7e]+$"},
    OpenApiParameter.HEADER,
    description="Of your making, a UUID for example. Sent again within a day, the request is done once, and you get "
    "the first reply, with `Idempotency-Replayed: true`.",
)

PROBLEM = {
    "type": "object",
    "description": "An error, as RFC 9457 has it.",
    "required": ["type", "title", "status", "detail", "code", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference", "description": "The page that explains the code."},
        "title": {"type": "string", "description": "The code in words."},
        "status": {"type": "integer", "description": "The reply's status."},
        "detail": {"type": "string", "description": "What is wrong with this request, for people."},
        "code": {"type": "string", "description": "What is wrong, for programs. It stays as it is."},
        "request_id": {"type": "string", "nullable": True, "description": "Under which the log has the rest."},
        "errors": {
            "type": "array",
            "description": "What is wrong with each field.",
            "items": {
                "type": "object",
                "required": ["field", "code", "detail"],
                "properties": {
                    "field": {
                        "type": "string",
                        "nullable": True,
                        "description": "With dots: `items.0.title`. Null for the request as a whole.",
                    },
                    "code": {"type": "string"},
                    "detail": {"type": "string"},
                },
            },
        },
    },
}


class Schema(AutoSchema):
    """drf-spectacular's, and the headers of ``Tagged`` and ``Idempotent``. What goes in is JSON, files excepted: forms
    are understood too, but have only text in them, and no nulls.
    """

    def map_parsers(self) -> list[str]:
        types: list[str] = super().map_parsers()
        return ["application/json"] if "application/json" in types else types

    def get_override_parameters(self) -> list[Any]:
        parameters = list(super().get_override_parameters())
        if isinstance(self.view, Tagged):
            parameters += [IF_MATCH] if self.method in CHANGES else [IF_NONE_MATCH] if self.method == "GET" else []
        if isinstance(self.view, Idempotent) and self.method == "POST":
            parameters.append(KEY)
        return parameters

    def _map_serializer_field(self, field: Any, direction: Any, bypass_extensions: bool = False) -> dict[str, Any]:
        """Text of which nothing is left without the blanks at its ends is refused: there must be something else."""
        schema: dict[str, Any] = super()._map_serializer_field(field, direction, bypass_extensions)
        if type(field) is OnlyText and direction == "request" and field.trim_whitespace and not field.allow_blank:
            schema.setdefault("pattern", NOT_BLANK)
        return schema


def add_problems(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Give each operation its errors. For ``POSTPROCESSING_HOOKS``."""
    codes: dict[int, list[Code]] = {}
    for one in known_codes():
        codes.setdefault(one.status, []).append(one)
    components = result.setdefault("components", {})
    components.setdefault("schemas", {})["Problem"] = PROBLEM
    components["responses"] = {_name(status): _response(of_status) for status, of_status in sorted(codes.items())}
    for path, operations in result["paths"].items():
        for method in METHODS:
            if method in operations:
                replies = operations[method]["responses"]
                for status in sorted(set(_statuses(path, method, operations[method])) & set(codes)):
                    replies.setdefault(str(status), {"$ref": f"#/components/responses/{_name(status)}"})
                for status, reply in replies.items():
                    if int(status) in codes and "$ref" not in reply:  # told by the view in its own words
                        reply.setdefault(
                            "content", {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
                        )
                _add_etag(operations[method])
                operations[method]["responses"] = dict(sorted(replies.items()))
    return result


def _add_etag(operation: dict[str, Any]) -> None:
    asked = {one["name"] for one in operation.get("parameters", ())}
    if asked & {"If-Match", "If-None-Match"} and "200" in operation["responses"]:
        etag = {"schema": {"type": "string"}, "description": "Of this state, for `If-Match` and `If-None-Match`."}
        operation["responses"]["200"].setdefault("headers", {})["ETag"] = etag
    if "If-None-Match" in asked:
        operation["responses"]["304"] = {"description": "It is as you know it."}


def _statuses(path: str, method: str, operation: dict[str, Any]) -> Iterator[int]:
    parameters = {one["name"]: one["in"] for one in operation.get("parameters", ())}
    yield from ALWAYS
    if "requestBody" in operation:
        yield from (400, 415)
    if "query" in parameters.values():
        yield from (400, 404)  # a filter that is wrong, a page that there is not
    if "{" in path:
        yield 404
    # With no `security`, or with `{}` in it, nobody has to log in.
    if operation.get("security") and {} not in operation["security"]:
        yield from (401, 403)
    if method != "get":
        yield 409
    if "If-Match" in parameters:
        yield 412
    if "Idempotency-Key" in parameters:
        yield from (400, 422)


def _name(status: int) -> str:
    return HTTPStatus(status).phrase.replace(" ", "").replace("-", "")


def _response(codes: list[Code]) -> dict[str, Any]:
    first = codes[0]
    example = {
        "type": TYPES + first.code,
        "title": first.code.replace("_", " ").capitalize(),
        "status": first.status,
        "detail": first.meaning,
        "code": first.code,
        "request_id": "0b9c7e0e-6c0b-4c1c-8d2f-9d3f6f1c2a4e",
    }
    response: dict[str, Any] = {
        "description": "\n".join(f"- `{one.code}`: {one.meaning}" for one in codes),
        "content": {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}},
    }
    if first.status in (429, 503):
        seconds = {"schema": {"type": "integer"}, "description": "Seconds after which to send it again."}
        response["headers"] = {"Retry-After": seconds}
    return response
