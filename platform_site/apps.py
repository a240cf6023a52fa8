"""The composition root as an app."""

from django.apps import AppConfig
from django.conf import settings


class PlatformConfig(AppConfig):
    name = "platform_site"

    def ready(self) -> None:
        # Only where tasks are sent: importing Celery takes every command a tenth of a second.
        if settings.CELERY_BROKER_URL:
            from platform_site import celery  # noqa: F401 - it becomes the app that `@shared_task` belongs to
