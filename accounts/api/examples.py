"""Replies that the OpenAPI shows."""

from __future__ import annotations

ALICE = {
    "id": "6f1c0d0e-7a43-4b7e-9f0a-2f6f3f1f9b11",
    "email": "alice@example.com",
    "name": "Alice",
    "is_staff": False,
    "created_at": "2026-11-22T09:30:00Z",
}
LOGGED_IN = {"token": "9b1c...e2", "expiry": "2026-12-06T09:30:00Z", "user": ALICE}
TOKEN = {
    "id": "0f9a4f0c-5a43-4a83-9c1f-2b8f6b6f7c22",
    "name": "nightly export",
    "created_at": "2026-11-22T09:30:00Z",
    "expiry": "2027-03-01T00:00:00Z",
    "is_present": False,
}
