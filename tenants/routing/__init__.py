"""How a query finds its database: connections made on demand, the router, the guards, and a request's tenant.

No tenant is made, moved or migrated here.
"""
