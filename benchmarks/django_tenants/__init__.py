"""The peer: a Django project on django-tenants, which keeps each tenant in a schema of one database.

It runs in a virtual environment of its own. Its tenants have what Silo's have: the app `notes` with the benchmark's
migrations, and the tables of `tenant_data`.
"""
