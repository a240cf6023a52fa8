"""``Idempotency-Key`` on POST: whoever sends a request again, since its reply was lost, gets the first one's reply.

Replies are kept in main for 24 hours, of requests that succeeded; one that was refused has changed nothing, and may be
mended and sent again under its key. What a kill leaves, line by line:

============================================  =====================================================
killed                                        the same request again
============================================  =====================================================
before the claim is written                   runs: nobody has heard of it
between the claim and the reply               409 and ``Retry-After``; after ``LEASE`` it runs again,
                                              even where the first had its effect
after the reply is kept                       gets it
============================================  =====================================================

Nothing spans the transaction that makes a document, in the tenant's database, and the one that keeps the reply, in
main; so a process that is killed between the two leaves a document that nobody was told of, and a second one is made.

To adopt it: ``class DocumentsView(Idempotent, ListCreateAPIView)``, before all other bases.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from typing import Any, cast
from uuid import UUID, uuid4

from django.db import transaction
from django.http import HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.utils import timezone
from rest_framework import status
from rest_framework.exceptions import APIException
from rest_framework.parsers import FormParser, JSONParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import User
from tenants.api.errors import TryLater
from tenants.models.kept_reply import LIFE, KeptReply, cipher_for

IDEMPOTENCY_KEY = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_READ_WHOLE = (JSONParser, FormParser)
_KEPT_HEADERS = ("Content-Type", "ETag", "Location")
_FORGOTTEN_AT_ONCE = 100


class InvalidKey(APIException):
    """`Idempotency-Key` must be 1 to 255 visible ASCII characters; a UUID will do."""

    status_code = status.HTTP_400_BAD_REQUEST
    default_code = "invalid_idempotency_key"
    default_detail = "Idempotency-Key must be 1 to 255 visible ASCII characters; a UUID will do."


class KeyOfAnother(APIException):
    """This `Idempotency-Key` was sent with another request; take a new key."""

    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_code = "idempotency_key_reused"
    default_detail = "This Idempotency-Key was sent with another request; take a new key."


class StillAtWork(TryLater):
    """The request with this `Idempotency-Key` is still at work; send it again after `Retry-After` seconds."""

    status_code = status.HTTP_409_CONFLICT
    default_code = "idempotency_key_in_use"
    default_detail = "The request with this Idempotency-Key is still at work; send it again in a while."


class Replay(Exception):
    """The request was answered before."""

    def __init__(self, kept: KeptReply) -> None:
        super().__init__(kept.pk)
        self.kept = kept


class Idempotent(APIView):
    """A view whose POST heeds ``Idempotency-Key``. Asked after authentication, permissions and throttles."""

    _claim: KeptReply | None = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        key = request.headers.get(IDEMPOTENCY_KEY)
        if request.method == "POST" and key is not None and isinstance(request.user, User):
            if not _KEY.fullmatch(key):
                raise InvalidKey
            tenant = getattr(request, "tenant", None)
            self._claim = claim(request.user.pk, tenant and tenant.pk, key, fingerprint_of(request))

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, Replay):
            return _replayed(exc.kept, self.request)  # type: ignore[return-value]  # the stubs know REST's own only
        try:
            return super().handle_exception(exc)
        except Exception:
            self._give_up()
            raise

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        response = super().finalize_response(request, response, *args, **kwargs)
        if self._claim is None:
            return response
        if not 200 <= response.status_code < 300:
            self._give_up()
        elif getattr(response, "is_rendered", True):  # a plain response of Django's
            self._keep(response)
        else:
            response.add_post_render_callback(self._keep)
        return response

    def _keep(self, response: HttpResponseBase) -> None:
        if self._claim is not None and isinstance(response, HttpResponse):
            keep(self._claim, self.request.headers[IDEMPOTENCY_KEY], response)

    def _give_up(self) -> None:
        if self._claim is not None:
            _mine(self._claim).delete()


def claim(user_id: UUID, tenant_id: UUID | None, key: str, fingerprint: str) -> KeptReply:
    """Claim a key for a request that begins. Raises ``Replay``, ``KeyOfAnother`` and ``StillAtWork``."""
    _forget_the_oldest()
    key_hash = hashlib.sha256(key.encode()).hexdigest()
    mine = KeptReply(user_id=user_id, tenant_id=tenant_id, key_hash=key_hash, fingerprint=fingerprint)
    KeptReply.objects.bulk_create([mine], ignore_conflicts=True)
    found = KeptReply.objects.filter(user=user_id, tenant=tenant_id, key_hash=key_hash).first()
    if found is None:
        raise StillAtWork(retry_after_s=1)  # whoever had it has given it up just now
    if found.claim == mine.claim:
        return found
    if not found.is_outlived:
        if found.fingerprint != fingerprint:
            raise KeyOfAnother
        if found.status is not None:
            raise Replay(found)
        if found.seconds_of_lease > 0:
            raise StillAtWork(retry_after_s=found.seconds_of_lease)
    return _take_over(found, fingerprint)


def keep(claimed: KeptReply, key: str, response: HttpResponse) -> None:
    """Keep the reply to a request. Nothing is kept where another has taken the claim over meanwhile."""
    headers = {name: response[name] for name in _KEPT_HEADERS if name in response}
    body = cipher_for(key).encrypt(response.content)
    _mine(claimed).update(status=response.status_code, headers=headers, body=body)


def fingerprint_of(request: Request) -> str:
    """SHA-256 of what is asked: method, address, and the body, parsed, so that its spelling does not matter.

    What is uploaded is not read here: it may be gigabytes, and the view reads it as a stream, JSON too. It counts by
    its length and type, and by ``Content-Digest`` (RFC 9530) where the client sends one.
    """
    media_type = (request.content_type or "").partition(";")[0].strip().lower()
    parser = cast(Any, request.negotiator).select_parser(request, request.parsers)
    body: Any
    if isinstance(parser, _READ_WHOLE):
        body = dict(request.data.lists()) if isinstance(request.data, QueryDict) else request.data
    else:
        body = [request.headers.get(name) for name in ("Content-Length", "Content-Digest", "Content-Disposition")]
    asked = [request.method, request.get_full_path(), media_type, body]
    return hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode(errors="replace")).hexdigest()


def _take_over(dead: KeptReply, fingerprint: str) -> KeptReply:
    """Of two who find the same dead claim one gets it: a conditional UPDATE."""
    taken, now = uuid4(), timezone.now()
    no_reply: dict[str, Any] = {"status": None, "headers": {}, "body": b""}
    if not _mine(dead).update(claim=taken, claimed_at=now, fingerprint=fingerprint, **no_reply):
        raise StillAtWork(retry_after_s=1)
    dead.claim = taken
    return dead


def _mine(claimed: KeptReply) -> Any:
    return KeptReply.objects.filter(pk=claimed.pk, claim=claimed.claim)


def _forget_the_oldest() -> None:
    """Take away up to 100 that nobody may ask for any more. Each claim does, so the table stays short.

    Passing over those that another request is deleting: waiting for each other, two could lock each other out.
    """
    with transaction.atomic(using="default"):
        outlived = KeptReply.objects.filter(claimed_at__lt=timezone.now() - LIFE).select_for_update(skip_locked=True)
        rows: Iterable[int] = outlived.values_list("pk", flat=True)[:_FORGOTTEN_AT_ONCE]
        if found := list(rows):
            KeptReply.objects.filter(pk__in=found).delete()


def _replayed(kept: KeptReply, request: Request) -> HttpResponse:
    body = cipher_for(request.headers[IDEMPOTENCY_KEY]).decrypt(bytes(kept.body))
    return HttpResponse(body, status=kept.status, headers={**kept.headers, REPLAYED: "true"})
