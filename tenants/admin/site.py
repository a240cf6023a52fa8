"""The admin's pages work on the main database, whatever tenant the request names."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponseBase
from django.template.response import SimpleTemplateResponse

from tenants.context import use_main

View = Callable[..., HttpResponseBase]


def keep_to_main(site: AdminSite) -> None:
    """Run every page of this admin, other apps' pages too, under ``use_main()``.

    Why: a host such as acme.example.com or an X-Tenant header makes a tenant current on ``/admin/`` as well. Where
    ``django.contrib.contenttypes`` stands in TENANT_APPS, the admin's log (LogEntry) would then look up the tenant's
    content types, and write their keys into main, where the same numbers mean other models.
    """
    original = site.admin_view

    def admin_view(view: View, cacheable: bool = False) -> View:
        return original(_in_main(view), cacheable)

    site.admin_view = admin_view  # type: ignore[method-assign,assignment]


def _in_main(view: View) -> View:
    @wraps(view)
    def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        with use_main():
            response = view(request, *args, **kwargs)
            # A template is rendered after its view has returned, and queries while it is.
            return response.render() if isinstance(response, SimpleTemplateResponse) else response

    return inner
