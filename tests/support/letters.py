"""E-mails that were sent in the background."""

from __future__ import annotations

import re
import threading

from django.core import mail
from django.core.mail import EmailMessage

from accounts.mail import THREAD


def letters() -> list[EmailMessage]:
    """All that were sent in this test, when what was begun has been sent."""
    for thread in threading.enumerate():
        if thread.name == THREAD:
            thread.join(timeout=30)
    return mail.outbox


def link_in(letter: EmailMessage) -> str:
    """The path of the API that a letter names."""
    found = re.search(r"https?://[^/\s]+(/api/v1/\S+/)$", str(letter.body), re.MULTILINE)
    assert found, letter.body
    return found[1]
