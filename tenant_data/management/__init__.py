"""Commands over the current tenant's data: ``manage.py tenants run --all -- COMMAND``."""
