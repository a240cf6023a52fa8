"""What schemathesis is told in its own process: who it is, and in which tenant; and a diary of what it was answered.

``SILO_FUZZ_TOLD`` holds JSON: ``email``, ``password``, ``tenants`` by what is done to them, and ``diary``, a file.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import requests
import schemathesis
from schemathesis.core.parameters import ParameterLocation

TOLD = json.loads(os.environ["SILO_FUZZ_TOLD"])
TENANTS: dict[str, str] = TOLD["tenants"]
BY_OPERATION = {
    "DELETE /api/v1/tenants/{slug}/": "deleted",
    "POST /api/v1/tenants/{slug}/undelete/": "deleted",
    "PATCH /api/v1/tenants/{slug}/": "renamed",
    "POST /api/v1/tenants/{slug}/leave/": "left",
    "PATCH /api/v1/tenants/{slug}/members/{user_id}/": "emptied",
    "DELETE /api/v1/tenants/{slug}/members/{user_id}/": "emptied",
    "POST /api/v1/fleet/tenants/{slug}/suspend/": "suspended",
    "POST /api/v1/fleet/tenants/{slug}/resume/": "suspended",
}
"""What would put an end to the tenant that all else is tried in, or to one's place there, has one of its own."""

REFUSED_TEXTS = (b'"code": "null_characters_not_allowed"', b'"code": "blank"')


@schemathesis.auth()
class LoggedIn:
    """A token; schemathesis asks for another one when it is answered 401, as after logging out."""

    def get(self, case: Any, context: Any) -> str:
        who = {"email": TOLD["email"], "password": TOLD["password"]}
        reply = requests.post(f"{case.operation.base_url}/api/v1/auth/login/", json=who, timeout=30)
        reply.raise_for_status()
        return str(reply.json()["token"])

    def set(self, case: Any, data: str, context: Any) -> None:
        case.headers["Authorization"] = f"Token {data}"


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Put a tenant that there is where a slug was to be one."""
    path = case.meta and case.meta.components.get(ParameterLocation.PATH)
    if "slug" in (case.path_parameters or {}) and (path is None or path.mode.is_positive):
        case.path_parameters["slug"] = TENANTS[BY_OPERATION.get(case.operation.label, "home")]


@schemathesis.hook
def filter_failure(context: Any, failure: Any, case: Any, response: Any) -> bool:
    """A NUL in a text, and a title of spaces, are refused, though they fit. To let 400 pass wherever there is a text
    would hide the rest. And the schema of a rollout's events is of the stream as a whole; schemathesis takes it for
    that of each event.
    """
    if failure.title == "SSE event violates schema":
        return False
    return response.status_code != 400 or not any(code in response.content for code in REFUSED_TEXTS)


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    if case.operation.label.startswith("PATCH /api/v1/tenants/{slug}/") and response.status_code == 200:
        TENANTS["renamed"] = response.json().get("slug", TENANTS["renamed"])
    with Path(TOLD["diary"]).open("a") as diary:
        diary.write(f"{response.status_code} {case.operation.label}\n")
