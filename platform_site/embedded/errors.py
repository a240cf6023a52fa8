"""What can go wrong with the embedded PostgreSQL. The message is for the person at the terminal, with the mend."""


class EmbeddedPostgresError(RuntimeError):
    """The embedded PostgreSQL cannot be used."""
