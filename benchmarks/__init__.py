"""Measurements side by side, run by `make bench`. Speed is a ratio from one run, never a timed test.

`rollout` says who does what when, `contestants` who takes part; `measure` takes one process's time and memory,
`results` keeps the figures, `draw` makes the page and the picture of them. `fleet`, `floor`, `loop` and
`django_tenants` are what the processes run.
"""
