"""Replies that the OpenAPI shows."""

from __future__ import annotations

ACME = {
    "id": "5a9f4a0c-2f0b-4b6e-8f7d-0f3f5b8b1a11",
    "slug": "acme",
    "name": "Acme Ltd",
    "state": "active",
    "role": "owner",
    "labels": {"plan": "pro"},
    "delete_at": None,
    "created_at": "2026-11-22T09:30:00Z",
}
BOB = {
    "user_id": "3d7c5f1e-9a0b-4c6d-8e7f-1a2b3c4d5e22",
    "email": "bob@example.com",
    "name": "Bob",
    "role": "member",
    "created_at": "2026-11-22T09:31:00Z",
}
INVITATION = {
    "id": "8e2d1c0b-7a69-4857-b463-5f4e3d2c1b33",
    "email": "dave@example.com",
    "role": "member",
    "invited_by": "alice@example.com",
    "created_at": "2026-11-22T09:32:00Z",
    "expires_at": "2026-11-29T09:32:00Z",
}
INVITED = {"tenant": "acme", "role": "member", "email": "dave@example.com", "expires_at": "2026-11-29T09:32:00Z"}
IN_SERVICE = {"id": ACME["id"], "slug": "acme", "name": "Acme Ltd", "state": "active", "server": "main"}
TOKEN = {
    "id": "0f9a4f0c-5a43-4a83-9c1f-2b8f6b6f7c22",
    "name": "nightly export",
    "tenant": "acme",
    "created_at": "2026-11-22T09:30:00Z",
    "expiry": "2027-03-01T00:00:00Z",
    "is_present": False,
}
