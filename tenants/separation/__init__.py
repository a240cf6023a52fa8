"""What Django shares between all requests, kept apart by the current tenant; docs/separation.md is its page.

Each module stands in for one part of Django or Celery and is named in the settings. They know `tenants.context` only.
"""
