"""`tasks`: export and import keep every byte; a file with a mistake is not imported at all."""

from __future__ import annotations

import json
import subprocess
from io import BytesIO
from uuid import UUID, uuid4

import psycopg
import pytest

from support.command import COMMAND, Cli
from taskcli.failures import Failure
from taskcli.tasks import _lines
from taskcore import Database, TaskCreate, create_task, list_tasks

UNUSUAL = [
    ("plain", None),
    ("tab\tand\\N and \\. end", "lines\r\nof\ntext \\n"),
    ("ä€𝄞 – \u202e", ""),
    (" spaces around ", "\x1b[31mred\x07"),
    ('"quoted", {json}', "\u2028"),
    ("", "x" * 20_000),
]


@pytest.fixture
def filled_url(own_url: str) -> str:
    """A database with texts that the table can hold; the API does not accept all of them."""
    with psycopg.connect(own_url) as connection:
        for user in ("ada", "Zoë\n", "bob"):
            connection.execute("INSERT INTO public.users (id) VALUES (%s)", [user])
            for number, (title, description) in enumerate(UNUSUAL):
                connection.execute(
                    "INSERT INTO public.tasks VALUES (%s, %s, %s, %s, %s, "
                    "'0001-01-01 00:00:00.000001+00', '9999-12-31 23:59:59.999999+00')",
                    [user, uuid4(), title, description, number % 2 == 0],
                )
    return own_url


def test_export_and_import_give_the_same_bytes(
    cli: Cli, filled_url: str, make_database: object
) -> None:
    assert callable(make_database)
    other = make_database()
    cli("migrate", DATABASE_URL=other)
    out = cli("tasks", "export", DATABASE_URL=filled_url)
    assert out.out.count("\n") == 3 * len(UNUSUAL)
    imported = cli("tasks", "import", "--json", stdin=out.out, DATABASE_URL=other)
    assert imported.json == {"tasks": 3 * len(UNUSUAL), "users": 3}
    assert cli("tasks", "export", DATABASE_URL=other).out == out.out
    again = cli("tasks", "import", "--json", stdin=out.out, DATABASE_URL=other)
    assert again.json == {"tasks": 0, "users": 0}
    assert cli("tasks", "export", DATABASE_URL=other).out == out.out


def test_an_export_of_one_user_has_only_that_users_tasks(cli: Cli, filled_url: str) -> None:
    out = cli("tasks", "export", "--user", "ada", DATABASE_URL=filled_url).out
    lines = [json.loads(line) for line in out.rstrip().split("\n")]
    assert len(lines) == len(UNUSUAL)
    assert {line["user_id"] for line in lines} == {"ada"}
    assert set(lines[0]) == {
        *("id", "user_id", "title", "description", "completed", "created_at", "updated_at"),
    }
    unknown = cli("tasks", "export", "--user", "unknown", DATABASE_URL=filled_url)
    assert (unknown.code, unknown.out) == (1, "")


def test_an_import_changes_no_existing_task(cli: Cli, filled_url: str) -> None:
    out = cli("tasks", "export", DATABASE_URL=filled_url).out
    changed = out.replace('"plain"', '"changed"')
    assert changed != out
    cli("tasks", "import", stdin=changed, DATABASE_URL=filled_url)
    assert cli("tasks", "export", DATABASE_URL=filled_url).out == out


def line(**other: object) -> str:
    task = {
        "id": str(UUID(int=7)),
        "user_id": "ada",
        "title": "one",
        "description": None,
        "completed": False,
        "created_at": "2026-01-01T00:00:00Z",
        "updated_at": "2026-01-01T00:00:00Z",
    }
    return json.dumps({**task, **other}) + "\n"


BAD = {
    "no JSON": "{",
    "no object": "[]\n",
    "an empty line": "\n",
    "no title": line(title=None),
    "a long title": line(title="x" * 501),
    "a NUL": line(title="a\0b"),
    "a lone surrogate": line(description="\ud800"),
    "no id": line(id="7"),
    "no time zone": line(created_at="2026-01-01T00:00:00"),
    "another field": line(color="red"),
    "no owner": line(user_id=""),
}


@pytest.mark.parametrize("mistake", BAD)
def test_a_mistake_is_reported_with_its_line_number(mistake: str) -> None:
    good = line()
    assert len([*_lines(BytesIO(good.encode() * 3))]) == 3
    with pytest.raises(Failure, match=r"^line 2\b.*nothing was imported$"):
        [*_lines(BytesIO((good + BAD[mistake] + good).encode()))]


def test_a_file_with_a_mistake_imports_nothing(cli: Cli, own_url: str) -> None:
    done = cli("tasks", "import", stdin=line() + "{}\n", DATABASE_URL=own_url)
    assert done.code == 1
    assert done.err == "taskcli: line 2 is no task (id: Field required); nothing was imported\n"
    assert cli("users", "list", "--json", DATABASE_URL=own_url).json == []


def test_a_line_without_a_mistake_is_imported(cli: Cli, own_url: str) -> None:
    """Control: the line from which the mistakes are made is valid."""
    (cli.directory / "file").write_text(line())
    assert cli("tasks", "import", "file", DATABASE_URL=own_url).code == 0
    with Database(own_url) as database:
        assert [task.title for task in database.run(list_tasks("ada"))] == ["one"]
    missing = cli("tasks", "import", "nofile", DATABASE_URL=own_url)
    assert (missing.code, missing.err) == (1, "taskcli: nofile: No such file or directory\n")


def test_an_import_adds_no_user_to_another_programs_table(cli: Cli, empty_url: str) -> None:
    with psycopg.connect(empty_url) as connection:
        connection.execute('CREATE TABLE public."user" (id text PRIMARY KEY)')
    cli("migrate", DATABASE_URL=empty_url)
    done = cli("tasks", "import", stdin=line(), DATABASE_URL=empty_url)
    assert done.code == 1
    assert "'ada' first; nothing was changed" in done.err


def test_a_users_tasks_are_listed_newest_first(cli: Cli, url: str, alice: str) -> None:
    with Database(url) as database:
        for title in ("one", "two", "three"):
            database.run(create_task(alice, TaskCreate(title=title)))
    listed = cli("tasks", "list", "--user", alice, "--json", DATABASE_URL=url)
    assert [task["title"] for task in listed.json] == ["three", "two", "one"]
    assert set(listed.json[0]) >= {"id", "user_id", "title", "completed", "updated_at"}
    some = cli("tasks", "list", "--user", alice, "--limit", 2, DATABASE_URL=url)
    header, *lines = some.out.splitlines()
    assert header.split("\t")[:2] == ["id", "title"]
    assert len(lines) == 2 and "there may be more" in some.err
    assert cli("tasks", "list", "--user", "unknown", DATABASE_URL=url).code == 1


def test_a_full_disk_gets_one_sentence(cli: Cli, filled_url: str) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*COMMAND, "tasks", "export"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=cli.environment({"DATABASE_URL": filled_url}),
            cwd=cli.directory,
        )
    assert done.returncode == 1
    assert done.stderr == "taskcli: the disk is full: make room and run the command again\n"


def test_an_export_ends_quietly_when_its_reader_closes_the_pipe(cli: Cli, filled_url: str) -> None:
    """`head` closes the pipe in this way."""
    process = cli.start("tasks", "export", DATABASE_URL=filled_url)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(60) == 1
