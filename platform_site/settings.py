"""Django's settings. What differs from one installation to the next comes from the environment:

===========================  ==================================================================================
DATABASE_URL                 the main database, `postgres://...`; in development the embedded PostgreSQL
SILO_DATA_DIR                files, uploads and the embedded PostgreSQL; default `var` in the project
TENANT_APPS                  apps whose tables live in every tenant database, with commas; default `tenant_data`
DEBUG                        default: on where DATABASE_URL is not set, off where it is
SECRET_KEY                   signs sessions; needed with DEBUG off
TENANT_CREDENTIALS_KEY       tenants' database passwords are derived from it; needed with DEBUG off
TENANT_CREDENTIALS_KEY_FALLBACKS
                             keys that it replaced, with commas; needed until `tenants rotate --all` was run
ALLOWED_HOSTS                host names that Silo is served under, with commas; needed with DEBUG off
TENANT_DOMAIN                optional: `acme.<domain>` then names the tenant acme
TENANT_BEHIND_POLICY         a tenant that is behind the code: `refuse` (503, the default) or `serve`
TENANT_BARE_TRANSACTIONS     inside a tenant, a bare `atomic()` around a write, or `on_commit()`: `raise` (default
                             with DEBUG on) or `warn`
TENANT_POOL_SIZE             how many connections to tenants' databases a process may have; default 20
TENANT_POOL_PER_TENANT       how many of them with one tenant; default 10
TENANT_POOL_IDLE_AGE         seconds after which an unused one is closed; default 60; 0 keeps none
TENANT_POOL_WAIT             seconds to wait for one where all are in use, then 503; default 5
TENANT_FILE_SIZE_LIMIT       how large an uploaded file may be, such as 200MiB; default 5GiB; 0: any size
TENANT_QUOTA                 how much a tenant may keep, such as 20GiB; default 0: no limit
TENANT_FILES_ACCEL           optional: the nginx location below which nginx sends files itself, such as `/contents/`
TENANT_FILES_BUCKET          optional: an S3 bucket that holds files in place of the disk (requirements-s3.txt)
CELERY_BROKER_URL            optional: where Celery tasks are sent, each for the tenant that was current
SILO_CODE_VERSION            what rollouts write down as their code; default: the commit that is checked out
USER_REQUESTS_PER_MINUTE     of one user to the API, then 429; default 6000; 0: no limit
TENANT_REQUESTS_PER_MINUTE   of all users to one tenant, then 429; default 30000; 0: no limit
RATE_LIMIT_CACHE_URL         optional: `redis://...`, where all processes count together; else each for itself
SITE_URL                     where people reach Silo, for links in e-mails; default `https://<first of ALLOWED_HOSTS>`
EMAIL_URL                    the mail server, `smtp+tls://user:password@host:587`; default: mails go to stdout
EMAIL_FROM                   the sender of e-mails; default `Silo <silo@localhost>`
EMAIL_VERIFICATION           whether a new user must verify the address before logging in; default off
TENANT_DELETE_GRACE          days between the wish to delete a tenant and the end of its database; default 30
TRUSTED_PROXIES              how many reverse proxies, which end TLS, stand before Silo; default 0
===========================  ==================================================================================
"""

from datetime import timedelta
from typing import Any

from platform_site import buckets, embedded, environment
from tenants.routing.connections import TenantDatabases

DEBUG = environment.flag("DEBUG", default=not environment.text("DATABASE_URL"))
SECRET_KEY = environment.secret("SECRET_KEY", debug=DEBUG)
TENANT_CREDENTIALS_KEY = environment.secret("TENANT_CREDENTIALS_KEY", debug=DEBUG)
TENANT_CREDENTIALS_KEY_FALLBACKS = environment.words("TENANT_CREDENTIALS_KEY_FALLBACKS")
ALLOWED_HOSTS = environment.hosts("ALLOWED_HOSTS", debug=DEBUG)
TENANT_DOMAIN = environment.domain("TENANT_DOMAIN")
TENANT_BEHIND_POLICY = environment.choice("TENANT_BEHIND_POLICY", ("refuse", "serve"))
TENANT_BARE_TRANSACTIONS = environment.choice(
    "TENANT_BARE_TRANSACTIONS", ("raise", "warn") if DEBUG else ("warn", "raise")
)
TENANT_POOL_SIZE = environment.count("TENANT_POOL_SIZE", default=20, at_least=1)
TENANT_POOL_PER_TENANT = environment.count("TENANT_POOL_PER_TENANT", default=10, at_least=1)
TENANT_POOL_IDLE_AGE = environment.count("TENANT_POOL_IDLE_AGE", default=60)
TENANT_POOL_WAIT = environment.count("TENANT_POOL_WAIT", default=5)
TENANT_FILE_SIZE_LIMIT = environment.size("TENANT_FILE_SIZE_LIMIT", "5GiB")
TENANT_QUOTA = environment.size("TENANT_QUOTA", "0")
TENANT_FILES_ACCEL = environment.location("TENANT_FILES_ACCEL")
TENANT_FILES_BUCKET = environment.text("TENANT_FILES_BUCKET")
TENANT_DELETE_GRACE = timedelta(days=environment.count("TENANT_DELETE_GRACE", default=30))
CELERY_BROKER_URL = environment.url("CELERY_BROKER_URL")
SILO_CODE_VERSION = environment.text("SILO_CODE_VERSION")
USER_REQUESTS_PER_MINUTE = environment.count("USER_REQUESTS_PER_MINUTE", default=6_000)
TENANT_REQUESTS_PER_MINUTE = environment.count("TENANT_REQUESTS_PER_MINUTE", default=30_000)
TRUSTED_PROXIES = environment.count("TRUSTED_PROXIES", default=0)

# Files

SILO_DATA_DIR = embedded.data_dir_from_environment()
TENANT_FILES_ROOT = SILO_DATA_DIR / "files"
MEDIA_ROOT = SILO_DATA_DIR / "media"
# Not the machine's /tmp, which may be small or in memory, and which others may read the names in.
FILE_UPLOAD_TEMP_DIR = environment.folder("SILO_DATA_DIR", SILO_DATA_DIR / "uploads")

# Databases

DATABASES = TenantDatabases({"default": environment.main_database("DATABASE_URL", debug=DEBUG, data_dir=SILO_DATA_DIR)})
DATABASE_ROUTERS = ["tenants.routing.router.TenantRouter"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Apps

MAIN_APPS = [
    "platform_site.admin_apps.UnfoldConfig",  # before the admin, whose templates it replaces
    "unfold.contrib.filters",
    "unfold.contrib.forms",
    # Without looking for admin pages at start: that takes commands a quarter of a second; urls.py does it.
    "platform_site.admin_apps.AdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.postgres",  # no tables; full-text search, arrays and indexes with operator classes
    "django.contrib.staticfiles",
    "rest_framework",
    "knox",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_filters",
    "accounts",
    "tenants",
    "platform_site",
]
TENANT_APPS = environment.apps("TENANT_APPS", default="tenant_data")
# unfold and the admin stand among main's as configs of ours; twice would be refused, once is an app in both places.
INSTALLED_APPS = MAIN_APPS + [app for app in TENANT_APPS if app not in (*MAIN_APPS, "unfold", "django.contrib.admin")]

# Requests

MIDDLEWARE = [
    "tenants.api.request_ids.request_id_middleware",
    "tenants.api.problems.problem_middleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    # Above all that reads or keeps something for a tenant, sessions and caches too.
    "tenants.routing.middleware.TenantMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "platform_site.urls"
WSGI_APPLICATION = "platform_site.wsgi.application"
ASGI_APPLICATION = "platform_site.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# What Django shares, kept apart by tenant: see tenants.separation

CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.locmem.LocMemCache",
        "KEY_FUNCTION": "tenants.separation.cache.tenant_key",
    },
    # For what is counted over all tenants, as failed logins are: who names another tenant must not get a new count.
    "limits": environment.counters("RATE_LIMIT_CACHE_URL"),
}
SESSION_ENGINE = "tenants.separation.sessions"
DEFAULT_EXCEPTION_REPORTER_FILTER = "tenants.separation.reports.TenantReporterFilter"

STATIC_URL = "/static/"
STATIC_ROOT = SILO_DATA_DIR / "static"
STORAGES: dict[str, dict[str, Any]] = {
    "default": {"BACKEND": "tenants.separation.storage.TenantFileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
if TENANT_FILES_BUCKET:
    STORAGES["tenant_files"] = buckets.storage_in(TENANT_FILES_BUCKET)

# People

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["accounts.backends.BrakedBackend"]
LOGIN_URL = "admin:login"
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

EMAIL_VERIFICATION = environment.flag("EMAIL_VERIFICATION", default=False)
PASSWORD_RESET_TIMEOUT = 60 * 60  # seconds that a link in an e-mail is good for

# E-mail

SITE_URL = environment.site_url("SITE_URL", hosts=ALLOWED_HOSTS, debug=DEBUG)
vars().update(environment.email("EMAIL_URL"))
DEFAULT_FROM_EMAIL = SERVER_EMAIL = environment.text("EMAIL_FROM", "Silo <silo@localhost>")
EMAIL_TIMEOUT = 20

# Security: in production everything goes over TLS, probes by the machine's own watchers excepted

SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = not DEBUG
SECURE_REDIRECT_EXEMPT = [r"^(healthz|readyz|metrics)$"]
SECURE_HSTS_SECONDS = 0 if DEBUG else 365 * 24 * 60 * 60
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = not DEBUG
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUSTED_PROXIES else None
X_FRAME_OPTIONS = "DENY"

# The API

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "tenants.api.authentication.TenantTokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PARSER_CLASSES": [
        "rest_framework.parsers.JSONParser",
        "rest_framework.parsers.MultiPartParser",
        "rest_framework.parsers.FormParser",
    ],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_THROTTLE_CLASSES": ["tenants.api.limits.UserLimit", "tenants.api.limits.TenantLimit"],
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_PAGINATION_CLASS": "tenants.api.pagination.NewestFirst",
    "DEFAULT_SCHEMA_CLASS": "tenants.api.openapi.Schema",
    "DEFAULT_METADATA_CLASS": "tenants.api.metadata.Metadata",
    "EXCEPTION_HANDLER": "tenants.api.errors.exception_handler",
    # 0: the sender's own X-Forwarded-For is not believed, or it would be a way around the throttle.
    "NUM_PROXIES": TRUSTED_PROXIES,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
KNOX_TOKEN_MODEL = "accounts.Token"
# Its migrations make a table for the model that ours stands in for.
MIGRATION_MODULES: dict[str, str | None] = {"knox": None}
REST_KNOX = {"TOKEN_TTL": timedelta(days=14), "AUTH_HEADER_PREFIX": "Token"}
SPECTACULAR_SETTINGS = {
    "TITLE": "Silo",
    "DESCRIPTION": "A platform on which each tenant has a PostgreSQL database of its own.",
    "VERSION": "1",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SERVE_INCLUDE_SCHEMA": False,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "tenants.api.openapi.add_problems",
        "tenants.api.made_examples.add_examples",
    ],
    # A file is sent as multipart and comes back as a description of it.
    "COMPONENT_SPLIT_REQUEST": True,
    # Two replies have it, and servers have a state as well.
    "ENUM_NAME_OVERRIDES": {"RolloutStateEnum": "tenants.models.rollout.RolloutState"},
    # Served by Silo itself, no CDN.
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}
UNFOLD = {
    "SITE_TITLE": "Silo",
    "SITE_HEADER": "Silo",
    "SITE_SYMBOL": "database",
    "LOGIN": {"form": "accounts.forms.LoginForm"},
}

# Words, times and logs

LANGUAGE_CODE = "en-us"
USE_TZ = True
TIME_ZONE = "UTC"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {
        "tenant": {"()": "platform_site.logs.TenantFilter"},
        "request": {"()": "platform_site.logs.RequestFilter"},
        "link": {"()": "platform_site.logs.LinkFilter"},
    },
    "formatters": {
        "line": {"format": "%(asctime)s %(levelname)s %(name)s [%(tenant)s] [%(request_id)s] %(message)s"},
    },
    "handlers": {
        # stderr: a command's stdout is its result.
        "stderr": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["tenant", "request", "link"]},
    },
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {
        # Django would print the same again.
        "django": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
        # Anyone who scans the network would fill the log with tracebacks; the answer is 400.
        "django.security.DisallowedHost": {"level": "CRITICAL"},
        # Each request that runserver answers.
        "django.server": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
    },
}
