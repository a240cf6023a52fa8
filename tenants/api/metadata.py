"""What OPTIONS is answered with: what an address is for, and, in ``Allow``, which methods it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rest_framework.metadata import SimpleMetadata

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.views import APIView


class Metadata(SimpleMetadata):
    """REST framework's without the fields, which the OpenAPI has: for them it would look the row up as a change does,
    under a lock and outside of a transaction.
    """

    def determine_actions(self, request: Request, view: APIView) -> dict[str, Any]:
        return {}
