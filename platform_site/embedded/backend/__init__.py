"""Django's database backend for the embedded PostgreSQL: the ordinary one, which starts the server on first need."""
