"""A log line says which tenant was current when it was written."""

import logging

from tenants.context import current_alias


class TenantFilter(logging.Filter):
    """Gives each record a `tenant`: the current alias, or `-`."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.tenant = current_alias() or "-"
        return True
