"""``manage.py tenants ACTION``: one file an action, each with ``HELP``, ``add_arguments`` and ``run``.

``run(options, out)`` writes its result to ``out`` and gives the exit code.
"""
