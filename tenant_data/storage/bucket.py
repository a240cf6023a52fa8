"""Contents in a bucket, such as S3's, through django-storages: ``<alias>/ab/<sha256>``, a prefix for each tenant.

A content still arrives on this machine's disk first: only when it is whole is it known by which hash to keep it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO, cast

from django.core.files import File
from django.core.files.storage import storages

from tenant_data.errors import ContentMissingError
from tenant_data.storage.incoming import Received
from tenant_data.storage.place import is_sha256, place_of, tree_of


class BucketContents:
    """See ``tenant_data.storage.contents``."""

    def __init__(self) -> None:
        self._bucket: Any = storages["tenant_files"]  # any of django-storages' own; no types are published for them

    def prepare(self, received: Received) -> None:
        """Send it, which may take minutes, so that ``keep`` has only to look, unless somebody removed it meanwhile."""
        self.keep(received)

    def keep(self, received: Received) -> None:
        place = place_of(received.alias, received.sha256)
        if not self._bucket.exists(place):
            with received.path.open("rb") as content:
                self._bucket.save(place, File(content, name=place))

    def open(self, alias: str, sha256: str) -> BinaryIO:
        try:
            return cast(BinaryIO, self._bucket.open(place_of(alias, sha256)))
        except FileNotFoundError as error:
            raise ContentMissingError(sha256) from error

    def remove(self, alias: str, sha256: str) -> None:
        self._bucket.delete(place_of(alias, sha256))

    def all(self, alias: str) -> Iterator[tuple[str, int]]:
        for folder in self._bucket.listdir(tree_of(alias))[0]:
            for sha256 in self._bucket.listdir(f"{tree_of(alias)}/{folder}")[1]:
                if is_sha256(sha256):
                    yield sha256, self._bucket.size(place_of(alias, sha256))

    def signed_url(self, alias: str, sha256: str, *, content_type: str, disposition: str) -> str | None:
        shown = {"ResponseContentType": content_type, "ResponseContentDisposition": disposition}
        return str(self._bucket.url(place_of(alias, sha256), parameters=shown, expire=60))
