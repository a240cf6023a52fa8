"""What schemathesis is to ask for: real things, made over the API by somebody who may, and real words for bodies.

Ids made up at random are 404 and nothing else; so the endpoints behind them would not be tried at all.
"""

from __future__ import annotations

import itertools
import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import requests

Params = dict[str, Any]
FEW = 4
"""So often is a rollout started for each operation: each takes seconds."""

LINK = re.compile(r"https?://\S+/([^/\s]+)/(?:accept/|register/)?$", re.MULTILINE)


@dataclass
class Caller:
    """Somebody who is logged in."""

    url: str
    email: str
    password: str
    token: str = ""
    home: str = field(default_factory=lambda: somewhere())
    """Where he logs in from. It is known, so guesses that come from elsewhere do not keep him out."""

    def send(self, method: str, path: str, body: Any = None, **options: Any) -> requests.Response:
        """Logs in, again where the token has ended. Each request comes from another address: see ``somewhere``."""
        for _ in range(2):
            headers = {"Authorization": f"Token {self.token}", "X-Forwarded-For": somewhere()}
            reply = requests.request(
                method, f"{self.url}/api/v1/{path}", json=body, headers=headers, timeout=60, **options
            )
            if reply.status_code != 401:
                return reply
            self.token = self.log_in()
        return reply

    def log_in(self) -> str:
        who = {"email": self.email, "password": self.password}
        headers = {"X-Forwarded-For": self.home}
        reply = requests.post(f"{self.url}/api/v1/auth/login/", json=who, headers=headers, timeout=60)
        reply.raise_for_status()
        return str(reply.json()["token"])


_numbers = itertools.count(1)


def somewhere() -> str:
    """An address that nobody has sent from: what one tries too often slows the next down, and hides what it answers."""
    number = next(_numbers)
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


@dataclass
class Things:
    """``maker`` owns every tenant and is staff; ``person`` is whom schemathesis is, with ``role`` in each, if any.

    Everybody's password is the maker's.
    """

    maker: Caller
    person: Caller
    person_id: str
    role: str | None
    letters: Path
    _kept: dict[str, str] = field(default_factory=dict)
    _spent: set[str] = field(default_factory=set)
    _rollouts: Counter[str] = field(default_factory=Counter)

    # Made

    def document(self, slug: str) -> Params:
        return {"id": self._made(f"tenants/{slug}/documents/", {"title": "Anvils", "body": "a\nb\n", "tags": ["x"]})}

    def changed_document(self, slug: str) -> Params:
        there = self.document(slug)
        self.maker.send("PATCH", f"tenants/{slug}/documents/{there['id']}/", {"body": "a\nc\n"})
        return there | {"number": 1}

    def trashed_document(self, slug: str) -> Params:
        there = self.document(slug)
        self.maker.send("DELETE", f"tenants/{slug}/documents/{there['id']}/")
        return there

    def file(self, slug: str) -> Params:
        reply = self.maker.send("POST", f"tenants/{slug}/files/", files={"file": (f"{uuid4()}.txt", uuid4().hex * 9)})
        return {"id": reply.json()["id"]}

    def own_token(self, slug: str) -> Params:
        return {"id": self.person.send("POST", "auth/tokens/", {"name": "spare"}).json()["id"]}

    def member(self, slug: str) -> Params:
        """Another one, in a tenant in which the person is what he is."""
        self.joined(slug)
        reply = self.maker.send("POST", f"tenants/{slug}/members/", {"email": self.registered().email})
        return {"user_id": reply.json()["user_id"]}

    def invitation(self, slug: str) -> Params:
        reply = self.maker.send("POST", f"tenants/{slug}/invitations/", {"email": somebody_new(), "role": "viewer"})
        # When a tenant has sent too many, the last one of them, which may be gone.
        return {"id": self._keep("invitation", reply.json().get("id"))}

    def invitation_link(self, slug: str) -> Params:
        return {"link": self._mailed("invitation link", somebody_new, partial(self._invite, "joined"))}

    def invited(self, slug: str) -> Params:
        """Somebody, with the link."""
        them = self.registered()
        if not self._invite("left", them.email).ok:
            return {}
        return {"link": self._link_to(them.email), "token": them.log_in()}

    def reset_link(self, slug: str) -> Params:
        return {"link": self._mailed("reset", self._new_address, partial(self._ask, "auth/password/reset/"))}

    def verification_link(self, slug: str) -> Params:
        return {"link": self._mailed("verify", self._new_address, partial(self._ask, "auth/verify-email/"))}

    def rollout(self, slug: str) -> Params:
        """The last one."""
        return {"id": self.maker.send("GET", "fleet/rollouts/?page_size=1").json()["results"][0]["id"]}

    def running_rollout(self, slug: str, *, of: str, first: str = "") -> Params:
        """One that cannot go on, since the test holds what it is to drop; some times, and then the last."""
        if self._rollouts[of] < FEW:
            self._rollouts[of] += 1
            self.end_rollout(slug)
            there = self._made("fleet/rollouts/", {"tenants": ["held"], "app_label": "notes", "migration": "zero"})
            if first:
                self.maker.send("POST", f"fleet/rollouts/{there}/{first}/")
        return self.rollout(slug)

    def registered(self) -> Caller:
        """Somebody new."""
        them = Caller(self.maker.url, somebody_new(), self.maker.password)
        reply = self.maker.send("POST", "auth/register/", {"email": them.email, "password": them.password})
        assert reply.status_code == 201, reply.text
        return them

    # Brought to where it can be done

    def end_rollout(self, slug: str) -> Params:
        """Abort the last one, which a call before may have begun or paused, and wait until it has ended."""
        for last in self.maker.send("GET", "fleet/rollouts/?page_size=1").json()["results"]:
            self.maker.send("POST", f"fleet/rollouts/{last['id']}/abort/")
            assert "event: end" in self.maker.send("GET", f"fleet/rollouts/{last['id']}/events/").text
        return {}

    def order(self, path: str) -> Callable[[str], Params]:
        """Done by the maker before: a tenant is suspended that it may be resumed."""

        def give(slug: str) -> Params:
            method, _, where = path.format(slug=slug).partition(" ")
            self.maker.send(method, where)
            return {}

        return give

    def joined(self, slug: str) -> Params:
        """The person is what he is in the tenant, whatever was done before."""
        if self.role:
            self.maker.send("POST", f"tenants/{slug}/members/", {"email": self.person.email, "role": self.role})
            self.maker.send("PATCH", f"tenants/{slug}/members/{self.person_id}/", {"role": self.role})
        return {}

    def spend(self, link: str) -> None:
        """It has served; the next one is another."""
        self._spent.add(link)

    # Means

    def _made(self, path: str, body: Params) -> str:
        return str(self.maker.send("POST", path, body).json()["id"])

    def _keep(self, what: str, there: str | None) -> str:
        self._kept[what] = there or self._kept.get(what, str(uuid4()))
        return self._kept[what]

    def _new_address(self) -> str:
        return self.registered().email

    def _invite(self, slug: str, email: str) -> requests.Response:
        return self.maker.send("POST", f"tenants/{slug}/invitations/", {"email": email, "role": "viewer"})

    def _ask(self, path: str, email: str) -> requests.Response:
        return self.maker.send("POST", path, {"email": email})

    def _mailed(self, what: str, whom: Callable[[], str], ask: Callable[[str], requests.Response]) -> str:
        """The link that was mailed, until it is spent; the last one where no more are mailed."""
        if self._kept.get(what) in {None, *self._spent}:
            email = whom()
            if ask(email).ok:
                self._kept[what] = self._link_to(email)
        return self._kept.get(what, "none")

    def _link_to(self, email: str) -> str:
        """From the newest letter to the address, once it is there."""
        until = time.monotonic() + 30
        while time.monotonic() < until:
            for letter in sorted(self.letters.glob("*.log"), key=lambda path: path.stat().st_mtime_ns, reverse=True):
                text = letter.read_text()
                if f"\nTo: {email}\n" in text and (found := LINK.search(text)):
                    letter.unlink()
                    return found[1]
            time.sleep(0.01)
        raise AssertionError(f"No letter came to {email}")


def somebody_new() -> str:
    return f"{uuid4().hex}@silo.example"
