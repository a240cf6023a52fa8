"""A log line says which tenant was current when it was written, and for which request, and holds no mailed link."""

import logging
import re

from tenants.api.request_ids import current_request_id
from tenants.context import current_alias


class TenantFilter(logging.Filter):
    """Gives each record a `tenant`: the alias of the current one, else of the one its request named, else `-`."""

    def filter(self, record: logging.LogRecord) -> bool:
        # Django writes of a request that was refused when the request has left its tenant.
        named = getattr(getattr(record, "request", None), "tenant", None)
        record.tenant = current_alias() or (named.alias if named else "-")
        return True


class RequestFilter(logging.Filter):
    """Gives each record a `request_id`: of the request in hand, else of the one that it is about, else `-`."""

    def filter(self, record: logging.LogRecord) -> bool:
        # Django writes of a request that was refused when it has been answered.
        named = getattr(getattr(record, "request", None), "request_id", None)
        record.request_id = current_request_id() or named or "-"
        return True


_MAILED_LINK = re.compile(r"(/api/v1/(?:auth/password/reset|auth/verify-email|invitations)/)[^/\s?\"']+")


class LinkFilter(logging.Filter):
    """Hides what lets its bearer in, where a path holds it: Django writes down the path of each request it refuses.

    Such a link is still good where the request was refused for something else, as a new password that is too weak is.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        hidden = _MAILED_LINK.sub(r"\1***", text)
        if hidden != text:
            record.msg, record.args = hidden, ()
        return True
