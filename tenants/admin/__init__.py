"""The fleet in the admin: servers, tenants and their members, rollouts. Each page parses, calls one function and shows
the outcome. What is in a tenant's database is not here.
"""

from django.contrib import admin

from tenants.admin import association, invitation, rollout, server, tenant
from tenants.admin.site import keep_to_main

__all__ = ["association", "invitation", "rollout", "server", "tenant"]

keep_to_main(admin.site)
