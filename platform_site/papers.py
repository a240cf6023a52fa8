"""The API's papers that are made from the code: ``docs/openapi.yaml`` and ``docs/api/errors.md``."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiYamlRenderer
from drf_spectacular.validation import validate_schema

from tenants.api.codes import known_codes

ERRORS = """# Errors of the API

Every error under `/api/` is a problem document, [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457), with the media type
`application/problem+json`:

```json
{
  "type": "/api/errors/#invalid",
  "title": "Invalid",
  "status": 400,
  "detail": "slug: This field is required.",
  "code": "invalid",
  "request_id": "0b9c7e0e-6c0b-4c1c-8d2f-9d3f6f1c2a4e",
  "errors": [{"field": "slug", "code": "required", "detail": "This field is required."}]
}
```

- `code` is for programs. A code keeps its name, its status and its meaning. New ones may come.
- `type` leads to the page of this installation that explains the code.
- `title` is the code in words, and `detail` says what is wrong with this request. Both are for people.
- `request_id` is the reply's `X-Request-ID`. Log lines carry it.
- `errors` is there where fields are wrong. `field` has dots for what lies deeper (`items.0.title`), and is null for the
  request as a whole. Its codes are those of REST framework: `required`, `blank`, `null`, `max_length`, `unique`, ...

429 and 503 carry `Retry-After`, in seconds; 405 carries `Allow`; 401 carries `WWW-Authenticate`.

This page is made from the code, by `make papers`.

| Code | Status | What it means |
|---|---|---|
"""


def errors_page() -> str:
    """The table of codes, in Markdown."""
    return ERRORS + "".join(f"| `{one.code}` | {one.status} | {one.meaning} |\n" for one in known_codes())


def openapi() -> str:
    """The OpenAPI, in YAML. Raises ``ValueError`` where drf-spectacular warns, and where the result is not valid."""
    GENERATOR_STATS.reset()
    schema = SchemaGenerator().get_schema(request=None, public=True)
    if GENERATOR_STATS:
        GENERATOR_STATS.emit_summary()
        raise ValueError("drf-spectacular could not make out all of the API; see above")
    validate_schema(schema)
    return OpenApiYamlRenderer().render(schema, renderer_context={}).decode()


def errors_view(request: HttpRequest) -> HttpResponse:
    """The same table as a page, where the ``type`` of each problem leads."""
    return render(request, "api/errors.html", {"codes": known_codes()})
