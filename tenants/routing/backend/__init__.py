"""Django's PostgreSQL backend, for connections to tenant databases."""
