"""`seed` adds the same rows for the same arguments, and adds them once."""

from __future__ import annotations

from itertools import pairwise
from uuid import UUID

import psycopg
from hypothesis import given
from hypothesis import strategies as st

from support.command import Cli
from taskcli.dataset import BATCH, Dataset
from taskcore.admin import connected, export, list_users

ARGUMENTS = ("seed", "--users", 7, "--tasks", 500)


def fields(block: bytes) -> list[list[str]]:
    return [line.split("\t") for line in block.decode().splitlines()]


def rows(data: Dataset) -> list[list[str]]:
    return [
        row for batch in data.batches() for block in data.blocks(batch) for row in fields(block)
    ]


@given(st.integers(0, 2**63), st.integers(1, 1000), st.integers(0, 300))
def test_a_dataset_has_the_requested_size_and_can_be_repeated(
    seed: int, users: int, tasks: int
) -> None:
    data = Dataset(seed, users, tasks)
    made_users, made = [*data.user_rows()], rows(data)
    assert len(made_users) == len({user for user, _, _ in made_users}) == users
    assert len({email for _, email, _ in made_users}) == users
    ids = [UUID(row[0]) for row in made]
    assert ids == [data.task_id(number) for number in range(tasks)]
    assert all(one < other for one, other in pairwise(ids))
    assert {row[1] for row in made} <= {user for user, _, _ in made_users}
    assert all(created <= updated for *_, created, updated in made)
    assert rows(Dataset(seed, users, tasks)) == made


@given(st.integers(0, 2**63), st.integers(0, 300), st.integers(0, 300))
def test_a_smaller_dataset_is_the_beginning_of_a_larger(seed: int, one: int, other: int) -> None:
    small, large = sorted((one, other))
    assert rows(Dataset(seed, 5, large))[:small] == rows(Dataset(seed, 5, small))


def test_batches_hold_every_task_once() -> None:
    batches = [*Dataset(1, 1, 2 * BATCH + 1).batches()]
    assert [len(batch) for batch in batches] == [BATCH, BATCH, 1]
    assert [n for batch in batches for n in batch] == [*range(2 * BATCH + 1)]


def test_different_seeds_give_different_tasks() -> None:
    assert not {r[0] for r in rows(Dataset(1, 5, 99))} & {r[0] for r in rows(Dataset(2, 5, 99))}


def test_a_second_seed_adds_nothing(cli: Cli, own_url: str) -> None:
    first = cli(*ARGUMENTS, "--json", DATABASE_URL=own_url)
    assert first.code == 0
    assert set(first.json) == {
        *("users_added", "tasks_added", "tasks", "seconds", "tasks_per_second"),
    }
    assert (first.json["users_added"], first.json["tasks_added"]) == (7, 500)
    stored = everything(own_url)
    again = cli(*ARGUMENTS, "--json", DATABASE_URL=own_url)
    assert (again.json["users_added"], again.json["tasks_added"]) == (0, 0)
    assert everything(own_url) == stored


def test_a_later_seed_adds_missing_and_additional_rows(cli: Cli, own_url: str) -> None:
    cli(*ARGUMENTS, DATABASE_URL=own_url)
    stored = everything(own_url)
    with psycopg.connect(own_url) as connection:
        connection.execute("DELETE FROM public.tasks WHERE completed")
    cli(*ARGUMENTS, DATABASE_URL=own_url)
    assert everything(own_url) == stored
    more = cli("seed", "--users", 7, "--tasks", 600, "--json", DATABASE_URL=own_url)
    assert more.json["tasks_added"] == 100
    assert everything(own_url) >= stored


def test_an_emptied_database_gets_the_same_rows(cli: Cli, own_url: str) -> None:
    cli(*ARGUMENTS, DATABASE_URL=own_url)
    stored = everything(own_url)
    with psycopg.connect(own_url) as connection:
        connection.execute("DELETE FROM public.users")
    assert everything(own_url) == set()
    cli(*ARGUMENTS, DATABASE_URL=own_url)
    assert everything(own_url) == stored


def test_rows_that_seed_did_not_add_need_yes(cli: Cli, own_url: str) -> None:
    with psycopg.connect(own_url) as connection:
        connection.execute("INSERT INTO public.users (id) VALUES ('ada')")
    done = cli(*ARGUMENTS, DATABASE_URL=own_url)
    assert (done.code, everything(own_url)) == (1, set())
    assert "1 users and 0 tasks of others" in done.err and "--yes" in done.err
    assert cli(*ARGUMENTS, "--yes", DATABASE_URL=own_url).code == 0
    assert len(everything(own_url)) == 500


def test_seed_adds_no_user_to_another_programs_table(cli: Cli, empty_url: str) -> None:
    with psycopg.connect(empty_url) as connection:
        connection.execute('CREATE TABLE public."user" (id text PRIMARY KEY)')
    cli("migrate", DATABASE_URL=empty_url)
    done = cli(*ARGUMENTS, DATABASE_URL=empty_url)
    assert done.code == 1
    assert "belongs to another program" in done.err
    with connected(empty_url) as session:
        assert list_users(session) == []


def test_without_a_users_table_seed_adds_tasks_only(cli: Cli, empty_url: str) -> None:
    cli("migrate", DATABASE_URL=empty_url, TASKCORE_USERS_TABLE="none")
    done = cli(*ARGUMENTS, "--json", DATABASE_URL=empty_url)
    assert (done.json["users_added"], done.json["tasks_added"]) == (0, 500)


def everything(url: str) -> set[str]:
    with connected(url) as session:
        return {task.model_dump_json() for task in export(session)}
