"""What a content is, by its first bytes. The uploader is believed only about which kind of text a text is. Pure."""

from __future__ import annotations

import codecs
import re

import puremagic

UNKNOWN_CONTENT_TYPE = "application/octet-stream"
PLAIN_TEXT = "text/plain"
_ZIP = "application/zip"
_TEXTS = re.compile(r"text/[a-z0-9!#$&^_.+-]{1,100}|(application|image)/([a-z0-9!#$&^_.+-]{1,100}\+)?(json|xml|yaml)")
"""Types of texts; names as RFC 6838, section 4.2, restricts them."""
_SURE = 0.3
"""puremagic gives a tenth for each byte of a signature: the two of `BM` may begin any text."""
_CONTROLS = frozenset(range(32)) - frozenset(b"\t\n\f\r\x1b")


def content_type_of(head: bytes, name: str, declared: str) -> str:
    """The type of a content that begins with ``head``.

    ``declared`` is what the uploader said. ``name`` decides between formats that begin alike, such as a `.docx` and a
    plain `.zip`.
    """
    said = declared.partition(";")[0].strip().lower()
    if _is_text(head):
        return said if _TEXTS.fullmatch(said) else PLAIN_TEXT
    found = [match for match in _matches(head, name) if match.mime_type and match.confidence >= _SURE]
    best = max((match.confidence for match in found), default=0)
    types = [match.mime_type for match in found if match.confidence == best]
    if said in types:
        return said
    return _ZIP if _ZIP in types else next(iter(types), UNKNOWN_CONTENT_TYPE)


def _matches(head: bytes, name: str) -> list[puremagic.PureMagicWithConfidence]:
    try:
        return puremagic.magic_string(head, name)
    except puremagic.PureError:  # nothing at all matched
        return []


def _is_text(head: bytes) -> bool:
    if not _CONTROLS.isdisjoint(head):
        return False
    try:
        # Not to its end: the head may stop half-way through a character.
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True
