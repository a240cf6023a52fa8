"""What the tenants app tells others, which it does not know."""

from __future__ import annotations

from django.dispatch import Signal

tenant_purged = Signal()
"""A tenant's database is gone and its row is about to go: remove what you keep of it elsewhere.

Gives ``alias``. It may be sent again for the same tenant, after a kill or an error of a receiver.
"""
