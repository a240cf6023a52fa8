"""The composition root as an app."""

import gc

from django.apps import AppConfig
from django.conf import settings
from django.contrib.postgres.signals import register_type_handlers
from django.db.backends.signals import connection_created


class PlatformConfig(AppConfig):
    name = "platform_site"

    def ready(self) -> None:
        # What was imported so far stays, so it is never looked through for garbage; what is made from here on is.
        gc.freeze()
        gc.enable()
        # It asks each database that is connected to for the types of hstore and citext, which nothing here uses: two
        # statements whenever a tenant is opened that was not among the last 128.
        connection_created.disconnect(register_type_handlers)
        # Only where tasks are sent: importing Celery takes every command a tenth of a second.
        if settings.CELERY_BROKER_URL:
            from platform_site import celery  # noqa: F401 - it becomes the app that `@shared_task` belongs to
