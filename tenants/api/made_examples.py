"""An example for whatever in the OpenAPI has none, made from its schema, in the words of one small world."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

WORDS: dict[str, Any] = {
    "slug": "acme",
    "email": "bob@example.com",
    "password": "correct horse battery staple",
    "name": "Acme Ltd",
    "title": "Minutes",
    "body": "We met, and agreed.",
    "content_type": "application/pdf",
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "token": "4a5d...e2",
    "target": "latest",
    "os_user": "deploy",
    "code_version": "1f0c2d4",
    "host": "10.0.0.7",
    "port": 5432,
    "labels": {"plan": "pro"},
    "head": {"tenant_data": "0001_initial"},
    "next": None,
    "previous": None,
}
"""What a property of this name holds, where its schema allows it."""
BY_FORMAT: dict[str, Any] = {
    "uuid": "0b9c7e0e-6c0b-4c1c-8d2f-9d3f6f1c2a4e",
    "date-time": "2026-11-22T09:30:00Z",
    "date": "2026-11-22",
    "email": "bob@example.com",
    "uri": "https://silo.example/api/v1/tenants/?cursor=cD0yMDI2",
    "binary": "...",
}
BY_TYPE: dict[str, Any] = {"string": "text", "integer": 1, "number": 1.5, "boolean": False, "object": {}}
METHODS = ("get", "put", "post", "delete", "patch")


def add_examples(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Give JSON bodies, replies and path parameters their examples; a hand-written one stays. A postprocessing hook."""
    schemas = result.get("components", {}).get("schemas", {})
    for operations in result["paths"].values():
        for method in METHODS:
            operation = operations.get(method, {})
            for media in _media(operation):
                if "example" not in media and "examples" not in media:
                    media["example"] = example_of(media["schema"], schemas)
            for parameter in operation.get("parameters", ()):
                if parameter["in"] == "path" and "example" not in parameter:
                    parameter["example"] = example_of(parameter["schema"], schemas, parameter["name"])
    return result


def example_of(schema: dict[str, Any], schemas: dict[str, Any], name: str = "") -> Any:
    """A value that the schema allows. ``name`` is the property's, and may suggest one."""
    if "$ref" in schema:
        return example_of(schemas[schema["$ref"].rpartition("/")[2]], schemas, name)
    kind = schema.get("type", "object")
    if name in WORDS and "properties" not in schema and "enum" not in schema and _fits(WORDS[name], kind, schema):
        return WORDS[name]
    for told in ("example", "default"):
        if schema.get(told) is not None:
            return schema[told]
    if "enum" in schema:
        return schema["enum"][0]
    for combined in ("allOf", "oneOf", "anyOf"):
        if combined in schema:
            return example_of(schema[combined][0], schemas, name)
    if kind == "array":
        return [example_of(schema.get("items", {}), schemas, name.removesuffix("s"))]
    if schema.get("properties"):
        return {field: example_of(inner, schemas, field) for field, inner in schema["properties"].items()}
    return BY_FORMAT.get(schema.get("format", ""), schema.get("minimum", BY_TYPE[kind]))


def _fits(word: Any, kind: str, schema: dict[str, Any]) -> bool:
    if word is None:
        return bool(schema.get("nullable"))
    return kind in BY_TYPE and type(word) is type(BY_TYPE[kind]) and "allOf" not in schema


def _media(operation: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The JSON that goes in, and the JSON that comes out where it went well."""
    bodies = [operation.get("requestBody", {})]
    bodies += [reply for status, reply in operation.get("responses", {}).items() if status.startswith("2")]
    for body in bodies:
        if "application/json" in body.get("content", {}):
            yield body["content"]["application/json"]
