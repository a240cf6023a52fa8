"""Leaves the tests of this folder out where their packages are not installed; `make client` and `make fuzz` do that."""

from importlib.util import find_spec

NEEDS = {"openapi_python_client": ["test_client.py"], "schemathesis": ["hooks.py", "test_fuzz.py"]}
collect_ignore = [name for package, names in NEEDS.items() if not find_spec(package) for name in names]
