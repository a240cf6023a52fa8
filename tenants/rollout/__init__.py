"""Bringing every tenant to a migration. Planning, doing, recording and reporting are apart.

`heads` says where a database stands, `plan` what it lacks, `program` prepares that once for all that stand there,
`worker` does it to one database, `templates` does it first to the template, `runner` does it to the fleet, `ledger`
records, `report` speaks.
"""
