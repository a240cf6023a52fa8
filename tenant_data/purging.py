"""A tenant's files go with the tenant."""

from __future__ import annotations

import shutil
from typing import Any


def remove_files(alias: str, **_: Any) -> None:
    """Hears ``tenants.signals.tenant_purged``. Harmless where there is nothing; cut off, it is done again."""
    # Only here: every command imports this file at its start, and nearly none purges.
    from tenant_data.storage.contents import contents
    from tenant_data.storage.folders import tenant_folder

    kept = contents()
    for sha256, _size in list(kept.all(alias)):
        kept.remove(alias, sha256)
    # What was still arriving, and the folders.
    folder = tenant_folder(alias)
    if folder.exists():
        shutil.rmtree(folder)
