"""Which tenants there are, where each lives, and how to reach it.

Knows tenant apps only through ``TENANT_APPS``: nothing here may import an app whose tables live in tenant databases.
"""
