"""What was acknowledged is there, whoever is killed: the database, or the process that serves."""

from __future__ import annotations

from uuid import uuid4

import psycopg
import pytest

from fix_api import Serve
from fix_crowd import Person, crowd, differences
from fix_faults import FULL, Figure
from fix_fleet import MakeFleet
from fix_mortal import Mortal
from fix_schema import do, wait_until

PEOPLE = 32 if FULL else 8
KILLS = 10 if FULL else 1
SERVER_KILLS = 10 if FULL else 1


@pytest.fixture
def people(mortal: Mortal) -> list[Person]:
    return [Person(mortal.new_user()) for _ in range(PEOPLE)]


def acknowledged(people: list[Person]) -> int:
    return sum(person.acknowledged.total() for person in people)


def wait_for_more(people: list[Person], number: int) -> None:
    wanted = acknowledged(people) + number
    wait_until(lambda: acknowledged(people) >= wanted, f"{number} more acknowledged")


def told(people: list[Person]) -> set[str]:
    return {said for person in people for said in person.refused}


def test_a_database_that_is_killed_loses_nothing_that_was_acknowledged(
    serve: Serve, mortal: Mortal, people: list[Person], figure: Figure
) -> None:
    with serve(mortal.url) as api, crowd(people, lambda: api.base):
        for _ in range(KILLS):
            wait_for_more(people, 100)
            mortal.kill()
            mortal.start()
        wait_for_more(people, 100)
    assert differences(people, mortal.owner_url) == {"lost": [], "doubled": [], "torn": []}
    assert told(people) <= {"503 database_unavailable", "503 outcome_unknown", "404 task_not_found"}
    figure(f"database killed {KILLS} times: {acknowledged(people)} acknowledged, 0 lost, 0 doubled")


def test_servers_that_are_killed_lose_nothing_that_was_acknowledged(
    make_fleet: MakeFleet, mortal: Mortal, people: list[Person], figure: Figure
) -> None:
    fleet = make_fleet(mortal.url)
    old = fleet.start()
    with crowd(people, lambda: fleet.base):
        for _ in range(SERVER_KILLS):
            new = fleet.start()
            wait_for_more(people, 100)
            old.kill()
            old = new
        wait_for_more(people, 100)
    assert differences(people, mortal.owner_url) == {"lost": [], "doubled": [], "torn": []}
    assert any(person.refused for person in people), "somebody was in the middle of something"
    figure(
        f"servers killed {SERVER_KILLS} times: {acknowledged(people)} acknowledged, "
        "0 lost, 0 doubled"
    )


def test_a_database_that_acknowledges_too_early_is_seen_to_lose(
    serve: Serve, mortal: Mortal, people: list[Person]
) -> None:
    """The control: commits that nobody has written down yet."""
    early = ("synchronous_commit = off", "wal_writer_delay = '10s'")
    do(mortal.owner_url, *(f"ALTER SYSTEM SET {setting}" for setting in early))
    do(mortal.owner_url, "SELECT pg_reload_conf()")
    try:
        with serve(mortal.url) as api, crowd(people, lambda: api.base):
            wait_for_more(people, 200)
            mortal.kill()
        mortal.start()
        assert differences(people, mortal.owner_url)["lost"] != []
    finally:
        do(mortal.owner_url, "ALTER SYSTEM RESET ALL", "SELECT pg_reload_conf()")


def test_what_exists_twice_or_in_halves_is_seen(mortal: Mortal, people: list[Person]) -> None:
    """The control: a task that nobody was told of, and one that is not as somebody was told."""
    with psycopg.connect(mortal.owner_url, autocommit=True) as admin:
        insert = "INSERT INTO tasks (user_id, id, title) VALUES (%s, %s, 'one')"
        more, other = uuid4(), uuid4()
        admin.execute(insert, [people[0].user, more])
        admin.execute(insert, [people[1].user, other])
    people[1].states[str(other)] = [("one", True)]
    found = differences(people, mortal.owner_url)
    assert found["doubled"] == [str(more)]
    assert found["torn"] == [(str(other), ("one", False), [("one", True)])]
