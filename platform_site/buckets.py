"""Files in a bucket, in place of this machine's disk: how Django is told of it."""

from typing import Any

from django.core.exceptions import ImproperlyConfigured

MOST_IN_MEMORY_BYTES = 1024 * 1024


def storage_in(bucket: str) -> dict[str, Any]:
    """An entry of ``STORAGES``. Where the bucket is, and its keys, come from boto3's own environment variables."""
    try:
        from boto3.s3.transfer import TransferConfig
    except ImportError as error:
        raise ImproperlyConfigured(
            "TENANT_FILES_BUCKET needs packages that are not there. Install them: pip install -r requirements-s3.txt"
        ) from error
    return {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {
            "bucket_name": bucket,
            # By default a content that Python reads is held whole, and ten threads send a part each.
            "max_memory_size": MOST_IN_MEMORY_BYTES,
            "transfer_config": TransferConfig(use_threads=False),
        },
    }
