"""The admin's two apps. Its site is made when it is first asked for: most commands have no use for one."""

from django.apps import AppConfig
from django.contrib.admin.apps import SimpleAdminConfig


class UnfoldConfig(AppConfig):
    """unfold without its own config, which makes the site, and imports its forms, at every start."""

    name = "unfold"


class AdminConfig(SimpleAdminConfig):
    """The admin with unfold's site."""

    default_site = "unfold.sites.UnfoldAdminSite"
