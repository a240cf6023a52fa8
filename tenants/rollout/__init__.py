"""Bringing every tenant to a migration. Planning, doing, recording and reporting are apart.

- What is asked: `target`, `selection`, `waves`, `request`; `resume` asks again for what was cut off.
- What is to be done: `disk` reads the migrations, `heads` says where a database stands, `plan` what it lacks, `program`
  prepares that once for all that stand there, `survey` asks the fleet without changing it, `drift` compares schemas.
- Doing it: `worker` to one database (`steps` for a non-atomic migration, `signals` around it), `template_first` to the
  `templates`, `runner` to the fleet, with a `crew` of threads. `scheduler` says who is begun next, `budget` how many of
  a server at once, `policy` what is tried again and when it is enough.
- Looking at it first: `observe` tries it on a scratch database, where `locks` asks PostgreSQL what it holds and `lint`
  asks linters; `observation` is what was seen.
- Telling it: `control` pauses and aborts a rollout from another process, `rollback` takes one back, by the `footprint`
  that each leaves in the tenants.
- Telling of it: `watcher` hears, `progress` shows it at once (`live` on a terminal), `ledger` records, `process` says
  who ran which code, `result` counts, `report` speaks; of what is only looked at, `preview`.
"""
