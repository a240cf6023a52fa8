"""What a tenant keeps: files and documents, in each tenant's own database.

Nothing here points at main: people are held by their id. Of `tenants` it knows only the context, the errors and the
permissions.
"""
