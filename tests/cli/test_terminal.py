"""Verbs on a terminal: tables, colours unless NO_COLOR is set, questions, a progress bar."""

from __future__ import annotations

import sys

import psycopg

from support.command import Cli

ESCAPE = "\x1b["


def test_rows_are_a_table_on_a_terminal_and_lines_in_a_pipe(cli: Cli, own_url: str) -> None:
    cli("users", "add", "ada", "--name", "Ada", DATABASE_URL=own_url)
    table = cli.on_terminal("users", "list", DATABASE_URL=own_url).out
    assert "│ ada" in table and "┃" in table
    piped = cli("users", "list", DATABASE_URL=own_url).out
    assert piped.splitlines()[0].split("\t")[:3] == ["id", "email", "name"]
    assert piped.splitlines()[1].split("\t")[:3] == ["ada", "-", "Ada"]
    status = cli.on_terminal("status", DATABASE_URL=own_url).out
    assert "users table" in status and "public.users" in status


def test_no_color_turns_colours_off(cli: Cli, url: str, secret: str) -> None:
    settings = {"DATABASE_URL": url, "BETTER_AUTH_SECRET": secret}
    assert f"{ESCAPE}32mOK" in cli.on_terminal("doctor", **settings).out
    assert ESCAPE not in cli.on_terminal("doctor", **settings, NO_COLOR="1").out
    assert ESCAPE not in cli("doctor", **settings).out
    assert f"{ESCAPE}31m" in cli.on_terminal("status").out
    assert ESCAPE not in cli.on_terminal("status", NO_COLOR="1").out


def test_a_deletion_asks_first_and_deletes_only_after_yes(cli: Cli, own_url: str) -> None:
    cli("users", "add", "ada", DATABASE_URL=own_url)
    for typed, code, left in (("n\n", 1, 1), ("\n", 1, 1), ("y\n", 0, 0)):
        done = cli.on_terminal("users", "delete", "ada", typed=typed, DATABASE_URL=own_url)
        assert done.code == code
        assert "Delete ada and 0 tasks for good? [y/N]" in done.out
        assert len(cli("users", "list", "--json", DATABASE_URL=own_url).json) == left


def test_seed_shows_a_progress_bar_unless_quiet(cli: Cli, own_url: str) -> None:
    done = cli.on_terminal("seed", "--tasks", 25_000, DATABASE_URL=own_url)
    assert done.code == 0
    assert "25000/25000" in done.out and "a second" in done.out
    again = cli.on_terminal("seed", "--tasks", 25_000, "--quiet", DATABASE_URL=own_url)
    assert (again.code, again.out) == (0, "")


def test_export_and_import_show_their_progress_on_a_terminal(cli: Cli, own_url: str) -> None:
    assert cli("seed", "--tasks", 3000, DATABASE_URL=own_url).code == 0
    file = cli.directory / "tasks.jsonl"
    command = f'exec "{sys.executable}" -P -m taskcli tasks export > "{file}"'
    shown = cli.on_terminal(program=["/bin/sh", "-c", command], DATABASE_URL=own_url)
    assert shown.code == 0
    assert "3000/3000" in shown.out and "a second" in shown.out
    assert file.read_bytes().count(b"\n") == 3000
    imported = cli.on_terminal("tasks", "import", file, DATABASE_URL=own_url)
    assert imported.code == 0
    assert "3000/3000" in imported.out
    # Data and progress would be mixed on one terminal.
    assert "a second" not in cli.on_terminal("tasks", "export", DATABASE_URL=own_url).out
    assert "a second" not in cli("tasks", "import", file, DATABASE_URL=own_url).err


def test_control_characters_in_a_name_are_not_printed(cli: Cli, own_url: str) -> None:
    name = f"{ESCAPE}2J\x07\u202eevil"
    with psycopg.connect(own_url) as connection:
        connection.execute("INSERT INTO users (id, name) VALUES ('ada', %s)", [name])
    for output in (
        cli.on_terminal("users", "list", NO_COLOR="1", DATABASE_URL=own_url).out,
        cli("users", "list", DATABASE_URL=own_url).out,
        cli("users", "list", "--json", DATABASE_URL=own_url).out,
    ):
        assert "evil" in output
        assert not [bad for bad in (f"{ESCAPE}2J", "\x07", "\u202e") if bad in output]
