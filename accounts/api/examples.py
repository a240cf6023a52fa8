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
