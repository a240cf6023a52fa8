"""A document as the API's description shows it, from its writing to its versions."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample

WRITTEN: dict[str, Any] = {
    "title": "Minutes",
    "body": "We met on Monday.\nThe budget is approved.",
    "tags": ["board", "2026"],
    "file": None,
}
DOCUMENT: dict[str, Any] = {
    "id": "5b0f8a52-6a0e-4f6b-9d57-0c1f2b8f8a10",
    **WRITTEN,
    "tags": ["2026", "board"],
    "owner_id": "8f4c6d0a-8a43-4a36-9b6e-2f6f0f7f1c55",
    "version": 1,
    "editor_id": "8f4c6d0a-8a43-4a36-9b6e-2f6f0f7f1c55",
    "created_at": "2026-03-02T09:30:00.123456Z",
    "updated_at": "2026-03-02T09:30:00.123456Z",
    "deleted_at": None,
}
FOUND = {**DOCUMENT, "highlights": {"title": "Minutes", "body": "The <mark>budget</mark> is approved."}}
VERSION = {
    "number": 1,
    **{name: DOCUMENT[name] for name in ("title", "tags", "file", "editor_id")},
    "written_at": DOCUMENT["updated_at"],
}
COMPARISON = {
    "before": 1,
    "after": 2,
    "changed": ["body"],
    "diff": "--- version 1\n+++ version 2\n@@ -1,2 +1,2 @@\n We met on Monday.\n-The budget is approved.\n+It is not.",
}


def sent(name: str, value: dict[str, Any]) -> OpenApiExample:
    return OpenApiExample(name, value=value, request_only=True)


def replied(name: str, value: dict[str, Any], status: int = 200) -> OpenApiExample:
    return OpenApiExample(name, value=value, response_only=True, status_codes=[str(status)])
