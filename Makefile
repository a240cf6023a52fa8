# Everything a newcomer needs. Only Python 3.11 or later and make are taken for granted.
#
#   make run      set everything up (again: only what is missing) and serve on http://127.0.0.1:8000
#   make help     the other targets
#
# Variables: PORT=8001 (run), PYTHON=/path/to/python (which Python makes the virtual environment), VENV=.venv,
# PYTEST="-k name" (test), FUZZ=50, WHO="owner staff" and SILO_FUZZ_SEED=7 (fuzz), KILLS=200 (kills), SOAK=1000000 (soak),
# STEPS=1000 (machine), BENCH="--help" (bench). The environment variables of docs and README, such as SILO_DATA_DIR, are
# honoured.

SHELL := /bin/sh
VENV ?= .venv
PORT ?= 8000
PYTEST ?=
BENCH ?=
KILLS ?= 200
SOAK ?= 1000000
STEPS ?= 1000
FUZZ ?= 50
WHO ?=

python := $(VENV)/bin/python
manage := $(python) manage.py
installed := $(VENV)/.installed
pip_install := -m pip install --quiet --quiet --disable-pip-version-check --no-input

# For `make client` and `make fuzz` only.
installed_openapi := $(VENV)/.installed-openapi

# For `make bench` only: the plot, and django-tenants in a virtual environment of its own.
installed_bench := $(VENV)/.installed-bench
peer := $(VENV)-django-tenants
installed_peer := $(peer)/.installed

candidates := $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11 python)

# The first Python that is new enough: the one asked for, else python3, else the newest that is found by name.
# The loop runs each candidate, because a pyenv shim exists for versions that do not run.
find_python = for candidate in $(candidates); do \
	if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$$candidate; break; fi; \
done; \
if [ -z "$$found" ]; then \
	echo "Silo needs Python 3.11 or later; none was found among: $(candidates)." >&2; \
	echo "Install one, or name it: make $@ PYTHON=/path/to/python3" >&2; exit 1; \
fi

# What production would set, on a database that does not answer: no check needs one.
secret = $$($(python) -c 'import secrets; print(secrets.token_urlsafe(50))')
as_production = DEBUG=off ALLOWED_HOSTS=silo.example DATABASE_URL=postgres://silo@127.0.0.1:1/silo \
	SECRET_KEY="$(secret)" TENANT_CREDENTIALS_KEY="$(secret)"

.PHONY: help run setup prepared install test kills soak storm check papers bench stop requirements clean bigfile bucket machine pgbouncer client fuzz
.DEFAULT_GOAL := help

help: ## Show this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r name text; do \
		printf '  make %-13s %s\n' "$$name" "$$text"; done

run: prepared ## Set everything up, then serve on 127.0.0.1:PORT (8000) until Ctrl-C
	@exec $(manage) runserver 127.0.0.1:$(PORT)

setup: prepared ## Virtual environment, packages, databases, demo data; repeatable
	@echo "Serve it with: make run"
	@echo

prepared: install
	@echo "Migrating the main database, then the tenants"
	@$(manage) migrate --noinput --verbosity 0
	@$(manage) migrate_tenants --noinput
	@$(manage) seed_demo
	@echo
	@echo "Silo is set up. Its PostgreSQL runs on in the background: make stop ends it."
	@echo "  admin     http://127.0.0.1:$(PORT)/admin/"
	@echo "  API       http://127.0.0.1:$(PORT)/api/docs/"
	@echo "  log in    admin@silo.example, password silo-demo"
	@echo

install: $(installed) ## Only the virtual environment and its packages

# The stamp is written last, so an installation that was cut off is done again.
$(installed): requirements.txt requirements-dev.txt
	@$(find_python); \
	if ! $(python) -c '' 2>/dev/null; then \
		echo "Making the virtual environment $(VENV) with $$("$$found" --version)"; \
		"$$found" -m venv --clear $(VENV) || { \
			echo "That Python cannot make virtual environments. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }; \
	fi
	@echo "Installing packages into $(VENV) (about half a minute the first time)"
	@$(python) $(pip_install) --requirement requirements-dev.txt
	@touch $@

test: install ## The whole test suite, on a PostgreSQL of its own
	@$(python) -m pytest -n 2 $(PYTEST)

kills: install ## Kill KILLS (200) rollouts of 30 tenants at random, and look whether the next run makes it good
	@SILO_KILLS=$(KILLS) $(python) -m pytest tests/acceptance/test_kills.py --quiet

soak: install ## A million (SOAK) reads and writes over 200 tenants by 16 threads: nothing foreign, nothing lost
	@SILO_SOAK=$(SOAK) $(python) -m pytest tests/acceptance/test_soak.py --quiet

storm: install ## 64 threads ask 200 tenants through 20 connections: all are served
	@SILO_STORM=yes $(python) -m pytest tests/acceptance/test_connections.py --quiet -k AConnectionStorm

machine: install ## Do STEPS (1000) things with tenants at random, and look whether one ever sees another's rows
	@SILO_MACHINE_STEPS=$(STEPS) $(python) -m pytest tests/isolation/test_state_machine.py --quiet --log-cli-level=INFO

bigfile: install ## Send a file of 2 GiB up and down and 200 at once, and look what the server takes of memory
	@SILO_BIG_FILE_MIB=2048 SILO_UPLOADS=200 $(python) -m pytest tests/acceptance/test_uploads.py --quiet --capture=no

bucket: install ## Test files in a bucket, on a server that speaks S3
	@$(python) $(pip_install) --requirement requirements-s3-dev.txt
	@$(python) -m pytest tests/bucket --quiet

pgbouncer: install ## Run requests through a real PgBouncer (apt install pgbouncer; all tests need 1.19 or later)
	@command -v pgbouncer >/dev/null || [ -x /usr/sbin/pgbouncer ] || { \
		echo "No pgbouncer is installed. On Debian and Ubuntu: apt install pgbouncer" >&2; exit 1; }
	@$(python) -m pytest tests/acceptance/test_pgbouncer.py -rs

client: $(installed_openapi) ## Generate a Python client from docs/openapi.yaml, and use it on a running server
	@$(python) -m pytest tests/openapi/test_client.py --quiet

fuzz: $(installed_openapi) ## schemathesis over the OpenAPI, FUZZ (50) examples an operation, as WHO: owner viewer stranger staff
	@SILO_FUZZ=$(FUZZ) SILO_FUZZ_WHO="$(WHO)" $(python) -m pytest tests/openapi/test_fuzz.py --quiet --capture=no

$(installed_openapi): $(installed) requirements-openapi.txt
	@$(python) $(pip_install) --requirement requirements-openapi.txt
	@touch $@

check: install ## Formatting, lint, types, import directions, migrations, deployment settings, papers
	$(python) -m ruff format --check .
	$(python) -m ruff check .
	$(python) -m mypy .
	$(VENV)/bin/lint-imports
	$(as_production) $(python) -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run
	$(as_production) $(manage) check --deploy --fail-level WARNING
	$(as_production) $(manage) papers --check

papers: install ## Write the API's papers from the code: docs/openapi.yaml, docs/api/errors.md
	@$(as_production) $(manage) papers

bench: $(installed_bench) $(installed_peer) ## Measure rollouts and requests beside others, on an idle machine; BENCH="requests"
	@exec env MPLCONFIGDIR=$(abspath $(VENV))/matplotlib $(python) -m benchmarks $(BENCH)

$(installed_bench): $(installed) requirements-bench.txt
	@$(python) $(pip_install) --requirement requirements-bench.txt
	@touch $@

$(installed_peer): $(installed) benchmarks/django_tenants/requirements.txt
	@echo "Making the virtual environment $(peer) for django-tenants"
	@$(python) -m venv --clear $(peer)
	@$(peer)/bin/python $(pip_install) --requirement benchmarks/django_tenants/requirements.txt
	@touch $@

stop: ## Stop the embedded PostgreSQL servers of development and tests
	@$(find_python); "$$found" -m platform_site.embedded stop

requirements: install ## Pin requirements*.txt again from requirements*.in, at the newest versions
	@$(python) $(pip_install) uv
	@for name in requirements requirements-s3 requirements-dev requirements-s3-dev requirements-bench requirements-openapi benchmarks/django_tenants/requirements; do \
		$(python) -m uv pip compile --quiet --upgrade --universal --python-version 3.11 --no-emit-index-url \
			--custom-compile-command "make requirements" $$name.in --output-file $$name.txt || exit 1; done

clean: stop ## Remove what make made: virtual environments, caches, and the development databases and files
	@$(find_python); "$$found" -m platform_site.embedded remove
	rm -rf .venv .venv-* var .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
