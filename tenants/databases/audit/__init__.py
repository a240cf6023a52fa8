"""Whether PostgreSQL's wall between tenants stands as it should: looked up in its catalogs, and tried.

Finds and mends; decides nothing about tenants, and never drops anything.
"""
