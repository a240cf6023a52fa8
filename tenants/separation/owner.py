"""Whose a key, a file or a signature is: the word that stands in each of them."""

from __future__ import annotations

from tenants.context import current_alias

MAIN = "main"
"""Stands for "no tenant". No alias is this word: they begin with `tenant_`."""


def owner() -> str:
    """The current tenant's alias, or ``main``."""
    return current_alias() or MAIN
