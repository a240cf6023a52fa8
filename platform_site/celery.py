"""The Celery app: `celery --app platform_site.celery worker`. Loaded only where CELERY_BROKER_URL is set."""

import os

from celery import Celery
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "platform_site.settings")

if not settings.CELERY_BROKER_URL:
    raise ImproperlyConfigured(
        "CELERY_BROKER_URL is not set, so there is nowhere to send tasks to or to take them from. "
        "Set it like CELERY_BROKER_URL=redis://host:6379/0."
    )

app = Celery("silo", task_cls="tenants.separation.celery:TenantTask")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
