"""A log line says which tenant was current when it was written, and for which request."""

import logging

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
