"""The OpenAPI as others read it, on a server as in production: by a generator of clients, and by schemathesis."""
