"""Every ``code`` that a problem document can carry: one table, for the papers, the page and the OpenAPI."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rest_framework.exceptions import APIException

from tenants.api.errors import SHOWN, code_of


@dataclass(frozen=True)
class Code:
    """``meaning`` is for people: what has happened, and what to do."""

    code: str
    status: int
    meaning: str


GENERAL = (
    Code("invalid", 400, "Fields are missing or wrong; `errors` names each."),
    Code("parse_error", 400, "The body is not what its `Content-Type` says."),
    Code("bad_request", 400, "The request cannot be understood; its host may not be one of this installation."),
    Code("not_authenticated", 401, "Log in, and send `Authorization: Token ...`."),
    Code("authentication_failed", 401, "The token has ended, or email or password is wrong."),
    Code("permission_denied", 403, "Your role does not allow this."),
    Code("not_found", 404, "It does not exist, or is not yours: the two are told apart to nobody."),
    Code("method_not_allowed", 405, "`Allow` has the methods that this address takes."),
    Code("not_acceptable", 406, "`Accept` asks for what there is not; JSON there is."),
    Code("unsupported_media_type", 415, "The body's `Content-Type` is not one that this address takes."),
    Code("throttled", 429, "Too many requests; `Retry-After` says in how many seconds to go on."),
    Code("internal_error", 500, "A fault of ours. Tell us the `request_id`: the log has the rest."),
)
"""What REST framework, Django and the middleware say. The rest are the classes of this project."""


def known_codes() -> list[Code]:
    """All codes, by status and name. Exceptions must have been imported, which loading the URLs does."""
    found = {one.code: one for one in GENERAL}
    for shown, status in SHOWN:
        found.setdefault(code_of(shown), Code(code_of(shown), status, _first_line(shown)))
    for raised in _descendants(APIException):
        if "default_code" in vars(raised) and not raised.__module__.startswith(("rest_framework.", "tests.")):
            code = str(raised.default_code)
            found.setdefault(code, Code(code, raised.status_code, _first_line(raised)))
    return sorted(found.values(), key=lambda one: (one.status, one.code))


def _descendants(kind: type[APIException]) -> Iterator[type[APIException]]:
    for inner in kind.__subclasses__():
        yield inner
        yield from _descendants(inner)


def _first_line(kind: type[Exception]) -> str:
    return (kind.__doc__ or "").strip().partition("\n")[0].replace("``", "`")
