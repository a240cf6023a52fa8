"""What is worked out about files without a database: parts, sizes, types."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenant_data.api.ranges import UnsatisfiableRangeError, is_still, part_of
from tenant_data.content_types import content_type_of
from tenant_data.sizes import parse_size, show_size

WHEN = datetime(2026, 11, 22, 9, 30, 0, 500_000, tzinfo=UTC)


class APart:
    @pytest.mark.parametrize(
        ("header", "first", "last"),
        [
            ("bytes=0-0", 0, 0),
            ("bytes=2-5", 2, 5),
            ("bytes=2-", 2, 9),
            ("bytes=2-99", 2, 9),
            ("bytes=-3", 7, 9),
            ("bytes=-99", 0, 9),
            ("BYTES=2-5", 2, 5),
        ],
    )
    def test_is_what_the_header_asks_for(self, header, first, last):
        part = part_of(header, 10)
        assert part is not None
        assert (part.first, part.last, part.size) == (first, last, last - first + 1)
        assert str(part) == f"bytes {first}-{last}/10"

    @pytest.mark.parametrize(
        "header",
        ["", "bytes=", "bytes=-", "bytes=5-2", "bytes=a-b", "bytes=0-1,4-5", "lines=1-2", "bytes=0x1-2", "0-1"],
    )
    def test_is_the_whole_where_it_may_be_ignored(self, header):
        assert part_of(header, 10) is None

    @pytest.mark.parametrize(
        ("header", "whole"), [("bytes=10-", 10), ("bytes=10-12", 10), ("bytes=-0", 10), ("bytes=0-", 0)]
    )
    def test_is_refused_where_there_is_none(self, header, whole):
        with pytest.raises(UnsatisfiableRangeError):
            part_of(header, whole)

    @given(st.text(alphabet="bytes=0123456789-, ²٣", max_size=30), st.integers(0, 2**40))
    def test_never_lies_outside(self, header, whole):
        try:
            part = part_of(header, whole)
        except UnsatisfiableRangeError:
            return
        assert part is None or 0 <= part.first <= part.last < whole

    @pytest.mark.parametrize(
        ("if_range", "holds"),
        [
            ('"abc"', True),
            ('"abd"', False),
            ('W/"abc"', False),
            ("Sun, 22 Nov 2026 09:30:00 GMT", True),
            ("Sun, 22 Nov 2026 09:30:01 GMT", False),
            ("yesterday", False),
        ],
    )
    def test_is_only_of_what_the_client_has(self, if_range, holds):
        assert is_still(if_range, '"abc"', WHEN) is holds


class AType:
    @pytest.mark.parametrize(
        ("head", "name", "declared", "found"),
        [
            (b"\x89PNG\r\n\x1a\n" + bytes(50), "a.png", "image/png", "image/png"),
            (b"\x89PNG\r\n\x1a\n" + bytes(50), "a.html", "text/html", "image/png"),
            (b"%PDF-1.7\n\x93\x8c\x8b\x9e\x00", "a.txt", "text/plain", "application/pdf"),
            (b"\xff\xd8\xff\xe0\0\x10JFIF\0", "a", "", "image/jpeg"),
            (b"PK\x03\x04\x14\0" + bytes(50), "a.bin", "", "application/zip"),
            (b"<script>alert(1)</script>", "a.png", "image/png", "text/plain"),
            (b"<script>alert(1)</script>", "a.html", "text/html; charset=utf-8", "text/html"),
            (b"<svg/>", "a.svg", "image/svg+xml", "image/svg+xml"),
            (b'{"a": 1}', "a.json", "application/json", "application/json"),
            ("zwölf".encode()[:3], "a.csv", "text/csv", "text/csv"),
            (b"BM is how this text begins", "a", "image/bmp", "text/plain"),
            (b"a,b", "a.csv", "text/csv\r\nX: y", "text/plain"),
            (b"", "a", "image/png", "text/plain"),
            (b"\0\1\2\3" * 20, "a.mp4", "video/mp4", "application/octet-stream"),
        ],
    )
    def test_is_what_the_content_says(self, head, name, declared, found):
        assert content_type_of(head, name, declared) == found

    @given(st.binary(max_size=300), st.text(max_size=20), st.text(max_size=20))
    def test_is_found_for_anything(self, head, name, declared):
        kind, _, subtype = content_type_of(head, name, declared).partition("/")
        assert kind.isascii()
        assert subtype.isprintable()


class ASize:
    @pytest.mark.parametrize(
        ("text", "size"), [("0", 0), ("1000", 1000), ("1KiB", 1024), ("5 GiB", 5 * 1024**3), (" 2MiB ", 2 * 1024**2)]
    )
    def test_is_written_for_people(self, text, size):
        assert parse_size(text) == size

    @pytest.mark.parametrize("text", ["", "-1", "5GB", "five", "1.5GiB", "²"])
    def test_says_how_to_write_it(self, text):
        with pytest.raises(ValueError, match="such as 5GiB"):
            parse_size(text)

    @pytest.mark.parametrize(
        ("size", "shown"), [(0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (5 * 1024**3, "5.0 GiB")]
    )
    def test_is_shown_to_people(self, size, shown):
        assert show_size(size) == shown
