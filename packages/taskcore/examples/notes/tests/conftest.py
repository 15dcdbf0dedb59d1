"""The schema of the tests' databases: taskcore's tables, then those of this service."""

from collections.abc import Callable
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config

from taskcore import migrations


@pytest.fixture(scope="session")
def taskcore_migrate() -> Callable[[str], None]:
    def migrate(url: str) -> None:
        migrations.upgrade(url)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DATABASE_URL", url)
            command.upgrade(Config(Path(__file__).parents[1] / "alembic.ini"), "head")

    return migrate
