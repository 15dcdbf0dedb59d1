"""What a database's schema holds, as pg_dump writes it; and scripts, run by psql."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import TypeAlias

import pytest

from taskcore import embedded

Dump: TypeAlias = Callable[[str], list[str]]
Psql: TypeAlias = Callable[[str, str], "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def dump(postgres: embedded.Server) -> Dump:
    """Everything that a database's schema holds, as pg_dump writes it."""

    def lines(url: str) -> list[str]:
        command = [str(postgres.bin / "pg_dump"), "--schema-only", "--dbname", url]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        # The rest are comments and a random key.
        return [
            line
            for line in done.stdout.splitlines()
            if line and not line.startswith(("--", "\\restrict", "\\unrestrict"))
        ]

    return lines


@pytest.fixture(scope="session")
def psql(postgres: embedded.Server) -> Psql:
    """Runs a script as a DBA does."""

    def run(url: str, script: str) -> subprocess.CompletedProcess[str]:
        program = str(postgres.bin / "psql")
        command = [program, "--no-psqlrc", "--set", "ON_ERROR_STOP=1", "--dbname", url]
        return subprocess.run(command, input=script, capture_output=True, text=True, timeout=60)

    return run
