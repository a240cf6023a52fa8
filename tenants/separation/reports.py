"""Error reports that name the tenant and hold no secret. Named in ``DEFAULT_EXCEPTION_REPORTER_FILTER``."""

from __future__ import annotations

import re
from collections.abc import ItemsView
from types import FrameType
from typing import Any

from django.http import HttpRequest
from django.views.debug import SafeExceptionReporterFilter

from tenants.separation.owner import owner

_URL_PASSWORD = re.compile(r"(?<=://)([^/@:]*):([^/@]*)@")


class TenantReporterFilter(SafeExceptionReporterFilter):
    """Django's own, which also says whose request it was, and hides passwords where Django does not look.

    Those are URLs such as a broker's, and the local variables in a traceback, where the settings of a tenant's
    connection may stand.
    """

    def get_safe_request_meta(self, request: HttpRequest) -> dict[str, Any]:
        return {**super().get_safe_request_meta(request), "SILO_TENANT": owner()}

    def cleanse_setting(self, key: Any, value: Any) -> Any:
        cleansed = super().cleanse_setting(key, value)
        return (
            _URL_PASSWORD.sub(rf"\1:{self.cleansed_substitute}@", cleansed) if isinstance(cleansed, str) else cleansed
        )

    def get_traceback_frame_variables(self, request: HttpRequest | None, tb_frame: FrameType) -> ItemsView[str, Any]:
        shown = dict(super().get_traceback_frame_variables(request, tb_frame))
        return {name: self._cleanse_variable(name, value) for name, value in shown.items()}.items()

    def _cleanse_variable(self, name: str, value: Any) -> Any:
        # Only what is plainly data: to look into anything else could run code, or a query.
        return self.cleanse_setting(name, value) if type(value) in (str, bytes, dict, list, tuple) else value
