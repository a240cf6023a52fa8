"""ETags, and changes that hold only for what the client has seen: RFC 9110, section 13.

An ETag is a hash of the representation, so it needs no column, and equal representations have equal ETags. To adopt it:

- ``class DocumentView(Conditional, RetrieveUpdateDestroyAPIView)`` for one of REST framework's generic views. The row
  is locked, compared and changed in one transaction, on the current tenant's database; ``change`` names another.
- ``class TenantView(Tagged, GenericAPIView)`` where the view's own code changes it. It calls ``require_match`` in the
  transaction of the change, on a row that it has read under a lock.

The race: two who read the same state send a change each. Compared before the lock, both would find what they have seen,
and the second would undo the first unseen. Under the lock the second waits, reads what the first left, and gets 412.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from django.utils.cache import patch_vary_headers
from django.utils.http import parse_etags
from rest_framework import status
from rest_framework.exceptions import APIException
from rest_framework.generics import GenericAPIView, get_object_or_404
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from tenants.context import tenant_atomic

CHANGES = frozenset({"PUT", "PATCH", "DELETE"})


class PreconditionFailed(APIException):
    """It is no longer as `If-Match` says: somebody has changed it. Read it again, and decide anew."""

    status_code = status.HTTP_412_PRECONDITION_FAILED
    default_code = "precondition_failed"
    default_detail = "Somebody has changed it since you read it; read it again, and decide anew."


def etag_of(representation: Any) -> str:
    """The strong ETag of what a reply shows, in quotes."""
    return f'"{hashlib.sha256(JSONRenderer().render(representation)).hexdigest()[:32]}"'


def require_match(request: Request, representation: Any) -> None:
    """Raise ``PreconditionFailed`` unless ``If-Match`` allows for this state, or is not there.

    Call it in the transaction of the change, on what was read under the lock that the change needs.
    """
    asked = request.headers.get("If-Match")
    if asked is None:
        return
    # What is no list of ETags, weak ones too, matches nothing: the client meant to be careful.
    allowed = parse_etags(asked)
    if allowed != ["*"] and etag_of(representation) not in allowed:
        raise PreconditionFailed


class Tagged(APIView):
    """A view of one thing: what it shows has an ETag, and GET is 304 where ``If-None-Match`` has it."""

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        if response.status_code == status.HTTP_200_OK:
            etag = etag_of(response.data)
            if request.method in {"GET", "HEAD"} and _is_known(request, etag):
                response = Response(status=status.HTTP_304_NOT_MODIFIED)
            response["ETag"] = etag
            # It is not the same to everybody: a tenant shows one's own role.
            patch_vary_headers(response, ["Authorization"])
            response["Cache-Control"] = "private, no-cache"
        return super().finalize_response(request, response, *args, **kwargs)


class Conditional(Tagged, GenericAPIView[Any]):
    """One of REST framework's generic views of one row, whose changes heed ``If-Match``. Stands before it in the bases.

    The row is locked from the comparison to the commit.
    """

    change: Callable[[], AbstractContextManager[object]] = staticmethod(tenant_atomic)
    """The transaction of a change, on the database that has the row."""

    def get_object(self) -> Any:
        if self.request.method not in CHANGES:
            return super().get_object()
        rows = self.filter_queryset(self.get_queryset()).select_for_update(of=("self",))
        name = self.lookup_url_kwarg or self.lookup_field
        found = get_object_or_404(rows, **{self.lookup_field: self.kwargs[name]})
        self.check_object_permissions(self.request, found)
        require_match(self.request, self.get_serializer(found).data)
        return found

    def update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        with self.change():
            reply: Response = super().update(request, *args, **kwargs)  # type: ignore[misc]  # the generic view's
        return reply

    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        with self.change():
            reply: Response = super().destroy(request, *args, **kwargs)  # type: ignore[misc]
        return reply


def _is_known(request: Request, etag: str) -> bool:
    asked = parse_etags(request.headers.get("If-None-Match", ""))
    return asked == ["*"] or etag in {one.removeprefix("W/") for one in asked}
