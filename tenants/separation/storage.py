"""File storage that keeps each tenant's files in a folder of its own. Named in ``STORAGES["default"]``."""

from __future__ import annotations

import posixpath
import re
from datetime import datetime
from typing import Any

from django.core.exceptions import SuspiciousFileOperation
from django.core.files.base import File
from django.core.files.storage import FileSystemStorage, Storage
from django.utils.deconstruct import deconstructible

from tenants.errors import NoTenantError, WrongTenantError
from tenants.separation.owner import MAIN, owner

_OWNED = re.compile(rf"(?P<owner>tenant_[0-9a-f]{{32}}|{MAIN})(?:/|$)")


class TenantStorageMixin(Storage):
    """Put before a storage's class, gives every name the current tenant's alias as its first folder.

    The name that ``save`` returns, which a ``FileField`` keeps in its row, carries the alias; so a row of one tenant
    that is held under another names a file that is not there for it: ``WrongTenantError``, where without the alias in
    the name it would read, or delete, the other tenant's file of the same name. A name without an alias is taken as
    the current tenant's. Files of models in main, and any where no tenant is current, are below ``main/``.
    """

    def open(self, name: str, mode: str = "rb") -> File[Any]:
        return super().open(own(name), mode)

    def get_available_name(self, name: str, max_length: int | None = None) -> str:
        # `save` asks for it, and this is the name that it returns.
        return super().get_available_name(own(name), max_length)

    def path(self, name: str) -> str:
        return super().path(own(name))

    def delete(self, name: str) -> None:
        # Without a name Django's own refuses; `own` would give the tenant's whole folder.
        super().delete(own(name) if name else name)

    def exists(self, name: str) -> bool:
        return super().exists(own(name))

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        return super().listdir(own(path))

    def size(self, name: str) -> int:
        return super().size(own(name))

    def url(self, name: str | None) -> str:
        return super().url(own(name or ""))

    def get_accessed_time(self, name: str) -> datetime:
        return super().get_accessed_time(own(name))

    def get_created_time(self, name: str) -> datetime:
        return super().get_created_time(own(name))

    def get_modified_time(self, name: str) -> datetime:
        return super().get_modified_time(own(name))


@deconstructible(path="tenants.separation.storage.TenantFileSystemStorage")
class TenantFileSystemStorage(TenantStorageMixin, FileSystemStorage):
    """Django's own, each tenant in ``MEDIA_ROOT/<alias>/``."""


def own(name: str) -> str:
    """The name below the current tenant's folder, which an empty name stands for.

    Raises ``WrongTenantError`` where it names another's, ``NoTenantError`` where it names one and none is current, and
    ``SuspiciousFileOperation`` where it leads out of all folders.
    """
    # As the storage will read it: `acme/../globex/x` is globex's.
    plain = posixpath.normpath(str(name).replace("\\", "/"))
    if plain.startswith(("/", "..")):
        raise SuspiciousFileOperation(f"The file {name!r} lies outside the folder of {owner()}.")
    named = _OWNED.match(plain)
    if named is None:
        return posixpath.join(owner(), "" if plain == "." else plain)
    if named["owner"] == owner():
        return plain
    if owner() == MAIN:
        raise NoTenantError(f"the file {plain} is a tenant's")
    raise WrongTenantError(f"the file {plain}, under {owner()}")
