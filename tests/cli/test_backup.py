"""The README's "Backup and restore", line by line, into a new cluster: with its roles, without."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from cli.doctor_findings import run_doctor
from support.command import Cli
from support.postgres import VERSION
from support.sql import PASSWORD, as_login, fetch_column, operations_work, run_sql
from taskcore import Database, DatabaseNotReady, embedded, list_tasks, migrations
from taskcore.testing import SETTINGS

pytestmark = pytest.mark.long

PAGE = (Path(__file__).parents[2] / "README.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", PAGE.partition("**Backup and restore**")[2], re.M | re.S)
DUMPS, RESTORES = (block.splitlines() for block in BLOCKS[:2])
ROLES = ("pg_dumpall", "psql")
TENANT = "taskcore_tenant"
ROWS = "SELECT t::text FROM tasks t ORDER BY id"


@pytest.fixture
def source(tmp_path: Path) -> Iterator[embedded.Server]:
    directory = tmp_path / "source"
    with embedded.start(directory, version=VERSION, settings=SETTINGS) as server:
        migrations.upgrade(server.url)
        run_sql(
            server.url,
            f"CREATE ROLE app LOGIN PASSWORD '{PASSWORD}'",
            f"GRANT {TENANT} TO app WITH INHERIT FALSE, SET TRUE",
            "INSERT INTO users (id) VALUES ('ada')",
            "INSERT INTO tasks (user_id, id, title) VALUES ('ada', gen_random_uuid(), 'kept')",
        )
        yield server
    embedded.erase(directory)


class Shell:
    """Runs lines of the page, with the programs of the embedded PostgreSQL and this taskcli."""

    def __init__(self, cli: Cli, server: embedded.Server, **variables: str) -> None:
        self._cli = cli
        programs = cli.directory / "bin"
        programs.mkdir()
        taskcli = programs / "taskcli"
        taskcli.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P -m taskcli "$@"\n')
        taskcli.chmod(0o755)
        path = os.pathsep.join([str(programs), str(server.bin), os.environ["PATH"]])
        self._variables = {**variables, "PATH": path}

    def __call__(self, line: str) -> subprocess.CompletedProcess[str]:
        bash = shutil.which("bash") or "/bin/sh"
        return subprocess.run(
            [bash, "-c", line],
            cwd=self._cli.directory,
            env=self._cli.environment(self._variables),
            capture_output=True,
            text=True,
            timeout=120,
        )


@pytest.mark.parametrize("roles_first", [True, False], ids=["roles first", "roles forgotten"])
def test_the_pages_commands_restore_into_a_new_cluster(
    cli: Cli, source: embedded.Server, cluster: embedded.Server, secret: str, roles_first: bool
) -> None:
    settings = {"DATABASE_URL": source.url, "RESTORED_URL": cluster.url}
    shell = Shell(cli, source, **settings, BETTER_AUTH_SECRET="Zb8kQ1w2E3r4T5y6U7i8O9p0AsDfGhJkLm")
    password = psycopg.conninfo.conninfo_to_dict(cluster.url)["password"]
    for line in DUMPS:
        assert shell(line).returncode == 0
    for line in RESTORES:
        if line.startswith("taskcli repair"):
            break
        if line.startswith(ROLES):
            if roles_first:
                shell(line)
                # The dump has brought the password of the other cluster's superuser.
                with psycopg.connect(cluster.url.replace(str(password), _password(source))) as it:
                    it.execute(f"ALTER ROLE postgres PASSWORD '{password}'".encode())
            continue
        done = shell(line)
        assert (done.returncode, "taskcore_tenant" in done.stderr) == (
            (0, False) if roles_first else (1, True)
        ), done.stderr
    assert fetch_column(cluster.url, ROWS) == fetch_column(source.url, ROWS)

    # It fails closed: no operation works, and each fault is named with its mend.
    with Database(cluster.url, max_size=1) as database, pytest.raises(DatabaseNotReady):
        database.run(list_tasks("ada"))
    found = run_doctor(cli, cluster.url)
    assert "drift" in found.failed
    assert found["drift"]["mend"] == "taskcli repair"
    if not roles_first:
        assert found["role"]["mend"] == "taskcli repair"
        assert cli("migrate", "--check", DATABASE_URL=cluster.url).code == 1

    repaired = shell(next(line for line in RESTORES if line.startswith("taskcli repair")))
    assert repaired.returncode == 0, repaired.stderr
    assert ("taskcli migrate --grant LOGIN" in repaired.stderr) is not roles_first
    doctor = shell(next(line for line in RESTORES if line.startswith("taskcli doctor")))
    assert doctor.returncode == 0, doctor.stdout
    assert operations_work(cluster.url, "ada")
    if not roles_first:
        run_sql(cluster.url, f"CREATE ROLE app LOGIN PASSWORD '{PASSWORD}'")
        assert cli("migrate", "--grant", "app", DATABASE_URL=cluster.url).code == 0
    assert operations_work(as_login(cluster.url, "app"), "ada")
    assert fetch_column(cluster.url, "SELECT title FROM tasks WHERE title = 'kept'") == ["kept"]


def _password(server: embedded.Server) -> str:
    return str(psycopg.conninfo.conninfo_to_dict(server.url)["password"])
