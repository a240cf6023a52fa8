"""What drf-spectacular cannot see in the views: the errors that each operation can answer with."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from tenants.api.codes import Code, known_codes
from tenants.api.problems import CONTENT_TYPE, TYPES

METHODS = ("get", "put", "post", "delete", "patch")
CHANGES = ("put", "post", "delete", "patch")
ALWAYS = (406, 429, 500, 503)

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
                operations[method]["responses"] = dict(sorted(replies.items()))
    return result


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
    if method in CHANGES:
        yield 409
    if "If-Match" in parameters:
        yield 412
    if "Idempotency-Key" in parameters:
        yield 422


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
