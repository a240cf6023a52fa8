"""Measurements side by side, run by `make bench`. Speed is a ratio from one run, never a timed test.

`python -m benchmarks` has two parts. Of rollouts, `rollout` says who does what when, `contestants` who takes part;
`measure` takes one process's time and memory, `results` keeps the figures, `report` and `plot` show them. `fleet`,
`floor`, `by_hand` and `django_tenants` are what the processes run. Of requests, all is in `requests`.
"""
