"""Folders whose names survive a crash of the machine, as fsync(2) asks for."""

from __future__ import annotations

import os
from pathlib import Path

from django.conf import settings

from tenant_data.storage.place import tree_of


def tenant_folder(alias: str) -> Path:
    """What is kept on this machine's disk for a tenant."""
    return Path(settings.TENANT_FILES_ROOT) / tree_of(alias)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, each of them safely on disk."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(mode=0o750, exist_ok=True)
        sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
