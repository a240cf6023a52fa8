"""What schemathesis is told in its own process: who it is, what is really there, and a diary of what it was answered.

``SILO_FUZZ_TOLD`` holds JSON, which ``test_fuzz.py`` writes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import schemathesis
from schemathesis.core.parameters import ParameterLocation
from schemathesis.generation.meta import TestPhase

from tests.openapi.things import Caller, Params, Things, somebody_new, somewhere

TOLD = json.loads(os.environ["SILO_FUZZ_TOLD"])
PERSON = Caller(TOLD["url"], TOLD["email"], TOLD["password"])
MAKER = Caller(TOLD["url"], TOLD["maker"], TOLD["password"])
THINGS = Things(MAKER, PERSON, TOLD["id"], TOLD["role"], Path(TOLD["letters"]))
RANDOM = Random(TOLD["seed"])
ENDS_TOKENS = {
    "POST /api/v1/auth/logout/",
    "POST /api/v1/auth/logout/everywhere/",
    "POST /api/v1/auth/password/",
    "DELETE /api/v1/auth/tokens/{id}/",
}
"""After these the token with which they were asked for may be good no longer."""

KEYS: set[str | None] = {None}
"""Sent as ``Idempotency-Key``. With one of them another request is refused, whatever is wrong with the rest of it."""

NUL = b'"code": "null_characters_not_allowed"'

MOSTLY = 0.8
"""So often is what was made up put aside for what is really there; the rest is tried as it is."""

TENANT = "/api/v1/tenants/{slug}/"
FLEET = "/api/v1/fleet/"
ROLLOUT = f"{FLEET}rollouts/{{id}}/"

TENANTS = {
    f"DELETE {TENANT}": "deleted",
    f"POST {TENANT}undelete/": "deleted",
    f"PATCH {TENANT}": "renamed",
    f"POST {TENANT}leave/": "left",
    f"PATCH {TENANT}members/{{user_id}}/": "emptied",
    f"DELETE {TENANT}members/{{user_id}}/": "emptied",
    f"DELETE {TENANT}invitations/{{id}}/": "emptied",
    f"POST {FLEET}tenants/{{slug}}/suspend/": "suspended",
    f"POST {FLEET}tenants/{{slug}}/resume/": "suspended",
}
"""What would end the tenant "home", in which all else is tried, or one's place there, has a tenant of its own."""

SLUGS: dict[str, str] = {name: name for name in {"home", *TENANTS.values()}}
"""Of each of them, as it is now."""

REAL: dict[str, Callable[[str], Params]] = {
    "POST /api/v1/auth/password/": lambda _: {"token": THINGS.registered().log_in()},
    "DELETE /api/v1/auth/tokens/{id}/": THINGS.own_token,
    "GET /api/v1/auth/password/reset/{link}/": THINGS.reset_link,
    "POST /api/v1/auth/password/reset/{link}/": THINGS.reset_link,
    "POST /api/v1/auth/verify-email/{link}/": THINGS.verification_link,
    "GET /api/v1/invitations/{link}/": THINGS.invitation_link,
    "POST /api/v1/invitations/{link}/register/": THINGS.invitation_link,
    "POST /api/v1/invitations/{link}/accept/": THINGS.invited,
    f"DELETE {TENANT}": THINGS.order("POST tenants/{slug}/undelete/"),
    f"POST {TENANT}undelete/": THINGS.order("DELETE tenants/{slug}/"),
    f"POST {TENANT}leave/": THINGS.joined,
    f"DELETE {TENANT}documents/{{id}}/": THINGS.document,
    f"POST {TENANT}documents/{{id}}/restore/": THINGS.trashed_document,
    f"{TENANT}documents/{{id}}/": THINGS.changed_document,
    f"{TENANT}files/{{id}}/": THINGS.file,
    f"{TENANT}invitations/{{id}}/": THINGS.invitation,
    f"{TENANT}members/{{user_id}}/": THINGS.member,
}
"""By operation, or else by a part of its name: what gives its path real ids, or brings the tenant to where it can be
done; with ``token`` it is done by somebody new, since the person may do it a few times only."""

if TOLD["is_staff"]:
    REAL |= {
        f"POST {FLEET}rollouts/": THINGS.end_rollout,
        f"POST {ROLLOUT}pause/": partial(THINGS.running_rollout, of="pause"),
        f"POST {ROLLOUT}continue/": partial(THINGS.running_rollout, of="continue", first="pause"),
        f"POST {ROLLOUT}abort/": partial(THINGS.running_rollout, of="abort"),
        ROLLOUT: THINGS.rollout,
        f"POST {FLEET}tenants/{{slug}}/suspend/": THINGS.order("POST fleet/tenants/{slug}/resume/"),
        f"POST {FLEET}tenants/{{slug}}/resume/": THINGS.order("POST fleet/tenants/{slug}/suspend/"),
    }


def password() -> str:
    return " ".join(RANDOM.choices(["anvil", "board", "chair", "diary", "easel", "flute"], k=6))


def real_file(slug: str) -> Params:
    return {"file": THINGS.file(slug)["id"]}


WORDS: dict[str, Callable[[str], Params]] = {
    "POST /api/v1/auth/login/": lambda _: {"email": PERSON.email, "password": PERSON.password},
    "POST /api/v1/auth/password/": lambda _: {"present_password": MAKER.password, "password": password()},
    "POST /api/v1/auth/register/": lambda _: {"email": somebody_new(), "password": password()},
    "POST /api/v1/auth/password/reset/{link}/": lambda _: {"password": password()},
    "POST /api/v1/invitations/{link}/register/": lambda _: {"password": password()},
    "POST /api/v1/auth/password/reset/": lambda _: {"email": THINGS.registered().email},
    "POST /api/v1/auth/verify-email/": lambda _: {"email": THINGS.registered().email},
    "POST /api/v1/auth/tokens/": lambda _: {"tenant": "home"},
    f"POST {TENANT}members/": lambda _: {"email": THINGS.registered().email},
    f"POST {TENANT}documents/": real_file,
    f"PUT {TENANT}documents/{{id}}/": real_file,
    f"PATCH {TENANT}documents/{{id}}/": real_file,
    f"POST {TENANT}documents/bulk-delete/": lambda slug: {"ids": [THINGS.document(slug)["id"]]},
    f"POST {FLEET}rollouts/": lambda _: {"tenants": ["home", "left"], "exclude": ["left"], "app_label": "tenant_data"},
}
"""By operation: what stands in its body in place of what was made up, where anything does."""


@schemathesis.auth()
class LoggedIn:
    """A token; schemathesis asks for another one when it is answered 401, as after logging out.

    Not so in its last phase, where it goes on with the one it has: ``renew`` puts the one that is good in its place.
    """

    given: set[str] = set()
    good: str = ""

    def get(self, case: Any, context: Any) -> str:
        return self.another()

    @classmethod
    def another(cls) -> str:
        cls.good = f"Token {PERSON.log_in()}"
        cls.given.add(cls.good)
        return cls.good

    @classmethod
    def renew(cls, case: Any) -> None:
        if case.headers.get("Authorization") in cls.given - {cls.good}:
            case.headers["Authorization"] = cls.good or cls.another()

    def set(self, case: Any, data: str, context: Any) -> None:
        case.headers["Authorization"] = data


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Put a tenant that there is where a slug was to be one, and mostly real ids where ids were; what is wrong on
    purpose stays as it is. So does what schemathesis found in replies, in its last phase.
    """
    label = case.operation.label
    slug = SLUGS[TENANTS.get(label, "home")]
    if fits(case, ParameterLocation.PATH) and "slug" in case.path_parameters:
        case.path_parameters["slug"] = slug
    LoggedIn.renew(case)
    if case.meta.phase.name == TestPhase.STATEFUL or case.method.upper() != case.operation.method.upper():
        return
    if label.startswith("POST /api/v1/auth/"):
        case.headers["X-Forwarded-For"] = somewhere()
    if fits(case, ParameterLocation.HEADER) and "If-Match" in case.headers and RANDOM.random() < MOSTLY:
        case.headers["If-Match"] = "*"
    if fits(case, ParameterLocation.HEADER) and case.headers.get("Idempotency-Key") in KEYS:
        case.headers["Idempotency-Key"] = str(uuid4())
    KEYS.add(case.headers.get("Idempotency-Key"))
    if case.meta.phase.name == TestPhase.EXAMPLES or RANDOM.random() < MOSTLY:
        put_what_is_there(case, label, slug)


def put_what_is_there(case: Any, label: str, slug: str) -> None:
    if fits(case, ParameterLocation.PATH):
        give = REAL.get(label) or next((give for part, give in REAL.items() if part[0] == "/" and part in label), None)
        there = give(slug) if give else {}
        if "token" in there and case.headers.get("Authorization") in LoggedIn.given:
            case.headers["Authorization"] = f"Token {there['token']}"
        case.path_parameters |= {name: there[name] for name in case.path_parameters if name in there}
    if fits(case, ParameterLocation.BODY) and isinstance(case.body, dict):
        if label in WORDS:
            case.body = in_place(case.body, WORDS[label](slug))
        if "documents" in case.body:
            there = real_file(slug)
            case.body = case.body | {"documents": [in_place(one, there) for one in case.body["documents"]]}


def in_place(body: Params, words: Params) -> Params:
    """The body, with these for the fields of it that are there and not empty."""
    return {name: words.get(name, value) if value else value for name, value in body.items()}


def fits(case: Any, where: ParameterLocation) -> bool:
    """Whether this part of the request was made to fit the OpenAPI."""
    part = case.meta.components.get(where)
    return part is None or part.mode.is_positive


@schemathesis.hook
def filter_failure(context: Any, failure: Any, case: Any, response: Any) -> bool:
    """A NUL in a text is refused, though it fits. To let 400 pass wherever there is a text would hide the rest. And the
    schema of a rollout's events is of the stream as a whole; schemathesis takes it for that of each event.
    """
    if failure.title == "SSE event violates schema":
        return False
    return response.status_code != 400 or NUL not in response.content


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    label, method = case.operation.label, response.request.method
    with Path(TOLD["diary"]).open("a") as diary:
        diary.write(f"{response.status_code} {method} {case.operation.path}\n")
    if not label.startswith(f"{method} ") or response.status_code >= 300:
        return
    if label in ENDS_TOKENS and response.request.headers.get("Authorization") in LoggedIn.given:
        LoggedIn.good = ""
    if label == f"PATCH {TENANT}":
        SLUGS["renamed"] = response.json()["slug"]
    if label.startswith("POST ") and "{link}" in label:
        THINGS.spend(case.path_parameters["link"])
