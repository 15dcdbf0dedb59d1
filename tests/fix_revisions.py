"""Code that is one revision ahead of ours, and which states of a schema there may be."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

import taskcore
from fix_postgres import database
from fix_schema import Dump, ask, wait_until
from taskcore import embedded, schema

NEXT = "9999"
_REVISION = '''
"""A revision that the tests have made up."""

from alembic import op

revision = "{name}"
down_revision = "{head}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""{up}""")


def downgrade() -> None:
    op.execute("""{down}""")
'''

CodeAhead: TypeAlias = Callable[[str, str], str]
State: TypeAlias = Callable[[str], str | None]


@pytest.fixture
def code_ahead(tmp_path: Path) -> CodeAhead:
    """A taskcore with one more revision, of two statements: the PYTHONPATH that leads to it."""

    def make(up: str, down: str) -> str:
        copy = tmp_path / "ahead" / "taskcore"
        left = shutil.ignore_patterns("__pycache__")
        shutil.copytree(Path(str(taskcore.__file__)).parent, copy, ignore=left)
        text = _REVISION.format(name=NEXT, head=schema.head(), up=up, down=down)
        (copy / "migrations" / "versions" / "r9999_made_up.py").write_text(text)
        return str(copy.parent)

    return make


@pytest.fixture(scope="session")
def _legal(postgres: embedded.Server, dump: Dump) -> dict[str | None, list[list[str]]]:
    """What a schema looks like at each revision."""
    with database(postgres) as model:
        legal: dict[str | None, list[list[str]]] = {None: [dump(model)]}
        for revision, _ in schema.history():
            schema.upgrade(model, revision)
            legal[revision] = [dump(model)]
        schema.downgrade(model, "base")
        # The way down leaves the table of revisions, with nothing in it.
        legal[None].append(dump(model))
    return legal


@pytest.fixture
def state(_legal: dict[str | None, list[list[str]]], dump: Dump) -> State:
    """The revision that a database is at, once nobody works there; nothing may be half applied."""

    def found(url: str) -> str | None:
        others = (
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        wait_until(lambda: ask(url, others) == [0], "the end of all other sessions")
        at = schema.current(url)
        assert dump(url) in _legal[at], f"this is not {at or 'an empty database'}"
        return at

    return found
