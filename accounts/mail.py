"""E-mails to people: plain text, from templates, sent in the background."""

from __future__ import annotations

import logging
import threading
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage
from django.template.loader import render_to_string

logger = logging.getLogger(__name__)

THREAD = "silo mail"


def send(template: str, to: str, **context: Any) -> None:
    """Send ``<template>.txt``, whose first line is the subject. Returns at once: a reply that took as long as a mail
    server takes would tell that there was somebody to write to. A mail that cannot be sent is logged.

    What ``context`` holds was read from the database before: nothing is, in the background. The process does not end
    before the thread has: what was begun is sent, unless the process is killed.
    """
    threading.Thread(target=_deliver, args=[template, to, context], name=THREAD).start()


def _deliver(template: str, to: str, context: dict[str, Any]) -> None:
    try:
        text = render_to_string(f"{template}.txt", {"site_url": settings.SITE_URL, **context})
        subject, _, body = text.partition("\n")
        EmailMessage(" ".join(subject.split()), body.lstrip("\n"), to=[to]).send()
    except Exception:
        # Nobody waits for an answer any more; without the address, which is nobody else's business.
        logger.exception("An e-mail (%s) could not be sent; see EMAIL_URL", template)
