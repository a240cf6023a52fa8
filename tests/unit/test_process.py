"""Which code runs is read from git's own files, as git writes them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from django.test import override_settings

from tenants.rollout.process import code_version, os_user


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=x", "-c", "user.email=x@example.com", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    project = tmp_path / "project"
    project.mkdir()
    git(project, "init", "-q")
    git(project, "commit", "-q", "--allow-empty", "-m", "One")
    return project


class TheCodeVersion:
    def test_is_the_commit_that_is_checked_out(self, checkout: Path) -> None:
        assert code_version(checkout) == git(checkout, "rev-parse", "HEAD")

    def test_is_read_from_packed_refs(self, checkout: Path) -> None:
        git(checkout, "pack-refs", "--all")
        assert code_version(checkout) == git(checkout, "rev-parse", "HEAD")

    def test_is_read_where_no_branch_is_checked_out(self, checkout: Path) -> None:
        git(checkout, "checkout", "-q", "--detach")
        assert code_version(checkout) == git(checkout, "rev-parse", "HEAD")

    def test_is_read_in_a_worktree(self, checkout: Path, tmp_path: Path) -> None:
        git(checkout, "worktree", "add", "-q", str(tmp_path / "other"))
        git(tmp_path / "other", "commit", "-q", "--allow-empty", "-m", "Two")
        assert code_version(tmp_path / "other") == git(tmp_path / "other", "rev-parse", "HEAD")
        assert code_version(tmp_path / "other") != code_version(checkout)

    def test_is_what_the_setting_says(self, checkout: Path) -> None:
        with override_settings(SILO_CODE_VERSION="v1.2.3"):
            assert code_version(checkout) == "v1.2.3"

    def test_is_blank_where_nothing_is_known(self, tmp_path: Path) -> None:
        assert code_version(tmp_path) == ""

    def test_is_blank_before_the_first_commit(self, tmp_path: Path) -> None:
        git(tmp_path, "init", "-q")
        assert code_version(tmp_path) == ""


class TheUser:
    def test_is_a_number_where_it_has_no_name(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr("os.getuid", lambda: 4_000_000)
        assert os_user() == "4000000"
