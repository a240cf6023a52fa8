"""Requests to a tenant's endpoint: with few tenants and with many, beside the same view on one plain Django database.

`contestants` says who takes part, `fleet` makes a contestant's database, and `answer` is the process in which it
answers; `course` has them take turns. `results` keeps the figures, `report` and `plot` show them. `plain` is the peer.
"""
