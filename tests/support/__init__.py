"""What tests share: a fleet of real tenants, migrations written for one test, faults put into one database."""
