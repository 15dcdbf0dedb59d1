"""A copy of the code with one more revision, and the schemas that a database may have."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import taskcore
from support.polling import wait_until
from support.schema_dump import Dump
from support.sql import fetch_column
from taskcore import migrations

NEXT = "9999"
_REVISION = '''
"""A revision that exists only in the tests."""

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
SettledRevision: TypeAlias = Callable[[str], str | None]


def code_with_a_revision_more(place: Path, up: str, down: str) -> str:
    """Copy taskcore to `place` with one more revision; return the PYTHONPATH of the copy."""
    copy = place / "taskcore"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(str(taskcore.__file__)).parent, copy, ignore=ignored)
    text = _REVISION.format(name=NEXT, head=migrations.head(), up=up, down=down)
    (copy / "migrations" / "versions" / "r9999_made_up.py").write_text(text)
    return str(copy.parent)


def legal_schemas(url: str, dump: Dump) -> dict[str | None, list[list[str]]]:
    """Migrate an empty database through all revisions; return the legal schemas of each."""
    legal: dict[str | None, list[list[str]]] = {None: [dump(url)]}
    for revision, _ in migrations.history():
        migrations.upgrade(url, revision)
        legal[revision] = [dump(url)]
    migrations.downgrade(url, "base")
    # A downgrade to base leaves an empty version table.
    legal[None].append(dump(url))
    return legal


def settled(url: str, legal: dict[str | None, list[list[str]]], dump: Dump) -> str | None:
    """Wait for other sessions to end; return the revision, which must be fully applied."""
    others = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    wait_until(lambda: fetch_column(url, others) == [0], "the end of all other sessions")
    revision = migrations.current(url)
    assert dump(url) in legal[revision], f"not the schema of {revision or 'an empty database'}"
    return revision
