"""Write the API's papers, or tell that they are stale."""

from __future__ import annotations

from difflib import unified_diff
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.urls import get_resolver

from platform_site.embedded.place import PROJECT
from platform_site.papers import errors_page, openapi

SHOWN_LINES = 40


class Command(BaseCommand):
    help = "Write docs/openapi.yaml and docs/api/errors.md from the code. Needs no database."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", action="store_true", help="Change nothing; exit 1 if one is stale.")

    def handle(self, *args: Any, check: bool, **options: Any) -> None:
        get_resolver().url_patterns  # noqa: B018  # imports every view, and with them every error
        stale = False
        for name, text in (("docs/openapi.yaml", openapi()), ("docs/api/errors.md", errors_page())):
            paper = PROJECT / name
            before = paper.read_text() if paper.exists() else ""
            if before == text:
                continue
            stale = True
            if check:
                changes = unified_diff(before.splitlines(), text.splitlines(), name, "from the code", n=1, lineterm="")
                self.stderr.write("\n".join(list(changes)[:SHOWN_LINES]))
            else:
                paper.write_text(text)
                self.stdout.write(f"wrote {name}")
        if stale and check:
            raise CommandError("The API's papers are stale; run `make papers` and commit what it wrote.", returncode=1)
