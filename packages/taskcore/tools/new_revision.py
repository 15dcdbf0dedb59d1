"""Write the next revision: what the models need beyond the revisions that exist.

`python packages/taskcore/tools/new_revision.py "add due_at to tasks"`, or `nox -s revision -- "…"`.
The file is a draft of Alembic's autogenerate: read it, and add what the models do not show (the
policy, functions, grants), with literals of its own.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from alembic import command
from alembic.config import Config

from taskcore import embedded, migrations
from taskcore.migrations.connection import connect
from taskcore.migrations.history import configuration


def write(purpose: str) -> Path:
    """Write the revision after the head, and return its file."""
    number = f"{int(migrations.head()) + 1:04}"
    config = configuration()
    config.set_main_option("file_template", "r%%(rev)s_%%(slug)s")
    with tempfile.TemporaryDirectory() as directory:
        try:
            with embedded.start(directory) as server:
                migrations.upgrade(server.url, users_table="")
                _generate(config, server.url, purpose, number)
        finally:
            embedded.erase(directory)
    versions = Path(migrations.__file__).parent / "versions"
    (written,) = versions.glob(f"r{number}_*.py")
    return written


def _generate(config: Config, url: str, purpose: str, number: str) -> None:
    # Its search_path has no `public`, so tables are read with their schema, as in the models.
    with connect(url) as connection:
        config.attributes["connection"] = connection
        command.revision(config, purpose, autogenerate=True, rev_id=number)


if __name__ == "__main__":
    if len(sys.argv) != 2 or not sys.argv[1].strip():
        sys.exit('give one argument, what the revision does: "add due_at to tasks"')
    sys.stdout.write(f"{write(sys.argv[1].strip())}\n")
