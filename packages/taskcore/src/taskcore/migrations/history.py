"""The revisions that this code knows, in their order, and how Alembic finds them."""

from __future__ import annotations

from functools import cache

from alembic.config import Config
from alembic.script import ScriptDirectory


def configuration() -> Config:
    """Return Alembic's configuration, without a file."""
    config = Config()
    config.set_main_option("script_location", "taskcore:migrations")
    return config


@cache
def history() -> tuple[tuple[str, str], ...]:
    """Return every revision with what it does, in the order in which they are applied."""
    scripts = ScriptDirectory.from_config(configuration()).walk_revisions()
    return tuple((script.revision, script.doc) for script in scripts)[::-1]


def head() -> str:
    """Return the revision that this code is written for."""
    return history()[-1][0]


def is_behind(revision: str | None) -> bool:
    """Whether a database at this revision has to be migrated for this code.

    A revision that this code does not know is a newer one: a deploy migrates first.
    """
    return revision is None or (revision != head() and is_known(revision))


def is_known(revision: str) -> bool:
    """Whether this code has the revision."""
    return any(name == revision for name, _ in history())
