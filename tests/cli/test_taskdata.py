"""`dev` uses a directory only if no other user could have written into it, and follows no link."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from support.command import Cli
from taskcli import taskdata
from taskcli.failures import Failure
from taskcore import embedded
from taskcore.errors import EmbeddedUnavailable


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The directory as `dev` makes it, with a secret."""
    directory = tmp_path / ".taskdata"
    taskdata.prepare(directory)
    taskdata.ignore_in_git(directory)
    taskdata.secret(directory)
    return directory


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A file of the user's that is none of dev's business."""
    path = tmp_path / "victim"
    path.write_text("as it was")
    return path


def use(directory: Path) -> str:
    taskdata.prepare(directory)
    taskdata.ignore_in_git(directory)
    return taskdata.secret(directory)


def test_its_own_directory_is_used_again(data: Path) -> None:
    """The control of all that follows."""
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    assert stat.S_IMODE((data / "secret").stat().st_mode) == 0o600
    assert len(use(data)) >= 32
    assert use(data) == use(data)


def replace_secret(data: Path, victim: Path) -> None:
    (data / "secret").unlink()
    (data / "secret").symlink_to(victim)


def replace_gitignore(data: Path, victim: Path) -> None:
    (data / ".gitignore").unlink()
    (data / ".gitignore").symlink_to(victim)


SPOILS: dict[str, tuple[Callable[[Path, Path], None], str]] = {
    "directory of a group": (lambda data, _: data.chmod(0o770), "chmod go-w"),
    "directory of all": (lambda data, _: data.chmod(0o777), "chmod go-w"),
    "secret for all": (lambda data, _: (data / "secret").chmod(0o644), "chmod go-rwx"),
    "secret of a group": (lambda data, _: (data / "secret").chmod(0o620), "chmod go-rwx"),
    "link to a secret": (replace_secret, "secret is a symbolic link"),
    "link in place of a file": (replace_gitignore, ".gitignore is a symbolic link"),
}


@pytest.mark.parametrize("name", SPOILS)
def test_one_that_others_may_have_changed_is_refused(data: Path, victim: Path, name: str) -> None:
    spoil, said = SPOILS[name]
    spoil(data, victim)
    with pytest.raises(Failure, match=said):
        use(data)
    assert victim.read_text() == "as it was"


def test_a_link_would_be_followed_without_the_check(data: Path, victim: Path) -> None:
    """The control: what a plain write does."""
    replace_gitignore(data, victim)
    (data / ".gitignore").write_text("*\n")
    assert victim.read_text() == "*\n"
    # Without the first look, the write itself still refuses.
    with pytest.raises(OSError, match="symbolic links"):
        taskdata.ignore_in_git(data)
    replace_secret(data, victim)
    with pytest.raises(OSError, match="symbolic links"):
        taskdata.secret(data)


def test_a_link_to_a_directory_is_refused(data: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(data)
    with pytest.raises(Failure, match="is a symbolic link"):
        use(link)


def test_another_users_directory_is_refused(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: data.stat().st_uid + 1)
    with pytest.raises(Failure, match="belongs to another user"):
        taskdata.prepare(data)
    with pytest.raises(Failure, match="belongs to another user"):
        taskdata.secret(data)


def test_the_verb_refuses_it_before_it_starts_anything(cli: Cli) -> None:
    data = cli.directory / ".taskdata"
    data.mkdir()
    data.chmod(0o777)
    for arguments in ([], ["--fresh"]):
        done = cli("dev", "--port", 0, *arguments)
        assert done.code == 1
        assert "open to other users" in done.err
    assert list(data.iterdir()) == []


def test_the_embedded_server_follows_no_link(tmp_path: Path, victim: Path) -> None:
    directory = tmp_path / "data"
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "data").mkdir(parents=True)
    (elsewhere / "password").write_text("known")
    directory.mkdir()
    (directory / "pg18").symlink_to(elsewhere)
    with pytest.raises(EmbeddedUnavailable, match="symbolic link"):
        embedded.start(directory)
    embedded.erase(directory)
    assert (elsewhere / "password").read_text() == "known"
