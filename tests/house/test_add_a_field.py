"""The steps of "Add a field" in CONTRIBUTING work on a copy of the packages.

The tests apply the page's blocks unchanged and change nothing else. Then the API, export, import
and seed must handle the new field.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from pydantic import BaseModel

from support.api_server import Api, serving
from support.command import Cli
from support.http_contract import Json, create, fields
from support.page_blocks import apply, blocks, section
from support.preloaded import preloaded
from support.sql import run_sql
from taskapi import responses
from taskcli import dataset
from taskcore import Task, TaskCreate, TaskRead, TaskUpdate, embedded
from taskcore.tasks.fields import TASK_COLUMNS
from taskcore.testing import database

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "packages" / "CONTRIBUTING.md").read_text()
DUE = "2027-01-31T12:00:00.250000Z"
LATER = "2027-02-01T09:30:00Z"


# --- applying the page ----------------------------------------------------------------------------


class Copy:
    """A copy of the packages; `python` runs programs on it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        ignored = shutil.ignore_patterns("__pycache__", "dist", "*.egg-info")
        shutil.copytree(ROOT / "packages", root / "packages", ignore=ignored)
        sources = [root / "packages" / name / "src" for name in ("taskcore", "taskapi", "taskcli")]
        self.path = ":".join(map(str, sources))

    def python(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.root,
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": self.path},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copy]:
    copy = Copy(tmp_path_factory.mktemp("copy"))
    page = section(PAGE, "Add a field")
    changed = [apply(block, copy.root) for block in blocks(page, "diff")]
    assert len(changed) <= 3, "the page changes more than three sources"
    revision, document = blocks(page, "sh")
    purpose = re.fullmatch(r'nox -s revision -- "([^"]*)"\n', revision)
    assert purpose is not None
    copy.python("packages/taskcore/tools/new_revision.py", purpose[1])
    written = re.fullmatch(r"python -m (\S+) > (\S+)\n", document)
    assert written is not None
    (copy.root / written[2]).write_text(copy.python("-m", written[1]))
    with preloaded(copy.path):
        yield copy


@pytest.fixture(scope="module")
def followed_url(followed: Copy, postgres: embedded.Server) -> Iterator[str]:
    """A database that was migrated by the copy's revisions."""
    with database(postgres) as url:
        upgrade = "import sys; from taskcore import migrations; migrations.upgrade(sys.argv[1])"
        followed.python("-c", upgrade, url)
        run_sql(url, "INSERT INTO public.users (id) VALUES ('ada'), ('bob')")
        yield url


@pytest.fixture(scope="module")
def followed_api(
    followed: Copy, followed_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    log = tmp_path_factory.mktemp("api") / "log"
    with serving(followed_url, log, {"PYTHONPATH": followed.path}) as api:
        yield api


@pytest.fixture
def as_ada(followed_api: Api) -> Iterator[httpx.Client]:
    with followed_api.client("ada") as client:
        yield client


# --- over HTTP ------------------------------------------------------------------------------------


def test_create_and_get_return_the_field(as_ada: httpx.Client) -> None:
    made = create(as_ada, due_at=DUE)
    assert made["due_at"] == DUE
    got = as_ada.get(f"/api/tasks/{made['id']}")
    assert got.json() == made
    assert create(as_ada)["due_at"] is None


def test_the_list_has_the_field(as_ada: httpx.Client) -> None:
    made = create(as_ada, due_at=DUE)
    listed: list[Json] = as_ada.get("/api/tasks").json()
    assert [task for task in listed if task["id"] == made["id"]] == [made]


def test_an_update_sets_the_field_and_keeps_it_when_it_is_absent(as_ada: httpx.Client) -> None:
    path = f"/api/tasks/{create(as_ada, due_at=DUE)['id']}"
    assert as_ada.put(path, json={"due_at": LATER}).json()["due_at"] == LATER
    assert as_ada.put(path, json={"title": "Other"}).json()["due_at"] == LATER
    assert as_ada.patch(f"{path}/complete").json()["due_at"] == LATER
    assert as_ada.put(path, json={"due_at": None}).json()["due_at"] is None
    assert fields(as_ada.put(path, json={"due_at": "tomorrow"})) == ["due_at"]


def test_a_change_of_the_field_changes_the_etags(as_ada: httpx.Client) -> None:
    """The ETags of the task and of the list change if only the new field changes."""
    path = f"/api/tasks/{create(as_ada, due_at=DUE)['id']}"
    tags = [as_ada.get(where).headers["etag"] for where in (path, "/api/tasks")]
    same = [as_ada.get(where).headers["etag"] for where in (path, "/api/tasks")]
    assert same == tags
    changed = as_ada.put(path, json={"due_at": LATER}, headers={"If-Match": tags[0]})
    assert changed.status_code == 200
    other = [as_ada.get(where).headers["etag"] for where in (path, "/api/tasks")]
    assert changed.headers["etag"] == other[0]
    assert not set(other) & set(tags)
    stale = as_ada.put(path, json={"due_at": None}, headers={"If-Match": tags[0]})
    assert stale.status_code == 412


def test_a_replayed_create_returns_the_field(as_ada: httpx.Client) -> None:
    body, headers = {"title": "Once", "due_at": DUE}, {"Idempotency-Key": "one"}
    first = as_ada.post("/api/tasks", json=body, headers=headers)
    again = as_ada.post("/api/tasks", json={**body, "due_at": None}, headers=headers)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json() == first.json()
    assert again.json()["due_at"] == DUE


def test_the_openapi_document_has_the_field(followed: Copy, as_ada: httpx.Client) -> None:
    document = as_ada.get("/openapi.json").json()
    committed = json.loads((followed.root / "packages/taskapi/openapi.json").read_text())
    assert document == committed
    schemas = document["components"]["schemas"]
    for name in ("Task", "TaskCreate", "TaskUpdate"):
        assert "due_at" in schemas[name]["properties"], name
    assert "due_at" in schemas["Task"]["required"]
    assert "due_at" in schemas["Task"]["examples"][0]


# --- through the command --------------------------------------------------------------------------


def test_export_and_import_keep_the_field(
    followed: Copy, followed_url: str, as_ada: httpx.Client, cli: Cli
) -> None:
    made = create(as_ada, due_at=DUE)
    settings = {"DATABASE_URL": followed_url, "PYTHONPATH": followed.path}
    exported = cli("tasks", "export", "--user", "ada", **settings)
    lines = {task["id"]: task for task in map(json.loads, exported.out.splitlines())}
    assert lines[made["id"]]["due_at"] == DUE
    path = f"/api/tasks/{made['id']}"
    assert as_ada.delete(path).status_code == 204
    line = json.dumps(lines[made["id"]])
    assert cli("tasks", "import", stdin=line, **settings).code == 0
    assert as_ada.get(path).json() == made


def test_an_export_from_before_the_field_can_be_imported(
    followed: Copy, followed_url: str, as_ada: httpx.Client, cli: Cli
) -> None:
    made = create(as_ada, due_at=DUE)
    path = f"/api/tasks/{made['id']}"
    assert as_ada.delete(path).status_code == 204
    older = {name: value for name, value in made.items() if name != "due_at"}
    settings = {"DATABASE_URL": followed_url, "PYTHONPATH": followed.path}
    assert cli("tasks", "import", stdin=json.dumps(older), **settings).code == 0
    assert as_ada.get(path).json() == {**made, "due_at": None}


def test_seed_still_works_and_leaves_the_field_null(
    followed: Copy, make_database: Callable[[], str], cli: Cli
) -> None:
    settings = {"DATABASE_URL": make_database(), "PYTHONPATH": followed.path}
    assert cli("migrate", **settings).code == 0
    assert cli("seed", "--users", 2, "--tasks", 20, **settings).code == 0
    exported = cli("tasks", "export", **settings).out.splitlines()
    assert len(exported) == 20
    assert {json.loads(line)["due_at"] for line in exported} == {None}


def test_the_copy_has_no_drift(followed: Copy, followed_url: str, cli: Cli) -> None:
    settings = {"DATABASE_URL": followed_url, "PYTHONPATH": followed.path}
    checked = cli("migrate", "--check", **settings)
    assert (checked.code, checked.out) == (0, "OK\n")
    # Control: the code of this repository, without the field, is one revision older.
    assert cli("migrate", "--check", DATABASE_URL=followed_url).code == 1


# --- what must agree with the table ---------------------------------------------------------------


def test_a_response_row_has_every_column_under_its_name() -> None:
    assert responses.row_dicts([TASK_COLUMNS]) == [
        dict(zip(TASK_COLUMNS, TASK_COLUMNS, strict=True))
    ]


def differences(model: type[BaseModel], allowed: set[str], needed: set[str]) -> list[str]:
    """The fields that a model has and should not have, or lacks."""
    found = set(model.model_fields)
    return sorted(found - allowed | needed - found)


COLUMNS = set(Task.__table__.columns.keys())
# The columns that the database or the operation itself fills.
OWN = {"id", "user_id", "created_at", "updated_at"}


def test_the_models_agree_with_the_table() -> None:
    assert differences(TaskRead, COLUMNS, COLUMNS) == []
    assert differences(TaskCreate, COLUMNS - OWN, {"title"}) == []
    assert differences(TaskUpdate, COLUMNS - OWN, set(TaskCreate.model_fields)) == []
    # Control: a column without a field, and a field without a column, are found.
    assert differences(TaskRead, COLUMNS, COLUMNS | {"due_at"}) == ["due_at"]
    assert differences(TaskRead, COLUMNS - {"title"}, COLUMNS - {"title"}) == ["title"]


def test_a_field_is_nullable_where_its_column_is() -> None:
    def nullable(model: type[BaseModel]) -> dict[str, bool]:
        return {
            name: type(None) in getattr(field.annotation, "__args__", ())
            for name, field in model.model_fields.items()
        }

    columns = {name: bool(column.nullable) for name, column in Task.__table__.columns.items()}
    for model in (TaskRead, TaskCreate, TaskUpdate):
        found = nullable(model)
        assert found == {name: columns[name] for name in found}


def test_seed_fills_every_column_that_needs_a_value() -> None:
    columns = Task.__table__.columns
    needed = {
        column.name for column in columns if not column.nullable and column.server_default is None
    }
    assert needed <= set(dataset.COLUMNS) <= set(columns.keys())


def test_a_block_applies_only_where_its_context_is_unique(tmp_path: Path) -> None:
    """Control: a block whose context is missing, or exists twice, is refused."""
    (tmp_path / "file.py").write_text("a\nb\nb\n")
    assert apply("+++ file.py\n a\n+c\n", tmp_path) == "file.py"
    assert (tmp_path / "file.py").read_text() == "a\nc\nb\nb\n"
    for block in ("+++ file.py\n d\n+e\n", "+++ file.py\n b\n+e\n"):
        with pytest.raises(AssertionError, match="has this"):
            apply(block, tmp_path)
