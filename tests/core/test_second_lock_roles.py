"""Row-level security holds for whatever login the URL names, and an error gives the role back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import monotonic
from typing import Any, TypeAlias
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from core.isolation_attempts import ATTEMPTS, Admin, leaks, new_task, new_user, new_values
from taskcore import Database, Op, RowRefused, TaskCreate, get_task, list_tasks, migrations
from taskcore.embedded import Server
from taskcore.errors import TenantRoleRefused
from taskcore.execution.op import Row, Steps, rows
from taskcore.tasks import operations

NewLogin: TypeAlias = Callable[[str], str]
_PASSWORD = "of-a-test"


@dataclass
class Ground:
    """A migrated database, the login to try in it, and the superuser's view of it."""

    login: str
    url: str
    admin: Admin


def _as(url: str, login: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(
        parts._replace(netloc=f"{login}:{_PASSWORD}@{parts.hostname}:{parts.port}"),
    )


def _do(admin: Admin, statement: str, *names: str) -> None:
    admin.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


@pytest.fixture
def new_login(postgres: Server, url: str) -> Iterator[NewLogin]:
    """Logins of this test's own; `url`, because a migration has to have made the tenant's role."""
    made: list[str] = []

    with psycopg.connect(postgres.url, autocommit=True) as admin:

        def make(attributes: str) -> str:
            made.append(f"login_{uuid4().hex}")
            _do(admin, f"CREATE ROLE {{}} LOGIN PASSWORD '{_PASSWORD}' {attributes}", made[-1])
            return made[-1]

        yield make
        for login in made:
            _do(admin, "DROP ROLE {}", login)


@pytest.fixture
def ground(new_login: NewLogin, empty_url: str, request: pytest.FixtureRequest) -> Iterator[Ground]:
    """The database of one kind of login."""
    attributes, member, migrates = LOGINS[request.param]
    login = new_login(attributes)
    with psycopg.connect(empty_url, autocommit=True) as admin:
        if member:
            _do(admin, "GRANT taskcore_tenant TO {} WITH INHERIT FALSE, SET TRUE", login)
        if migrates:
            _do(admin, "GRANT CREATE, USAGE ON SCHEMA public TO {}", login)
        migrations.upgrade(_as(empty_url, login) if migrates else empty_url)
        yield Ground(login, _as(empty_url, login), admin)


# The attributes of the login, whether it is a member, and whether it migrates (owns the table).
LOGINS = {
    "superuser": ("SUPERUSER", False, False),
    "owner": ("NOSUPERUSER NOBYPASSRLS", True, True),
    "bypasses": ("CREATEROLE BYPASSRLS", True, True),
    "member": ("NOINHERIT NOSUPERUSER NOBYPASSRLS", True, False),
    "stranger": ("NOINHERIT", False, False),
}
SEE_ALL = ["superuser", "owner", "bypasses"]
MEMBERS = [*SEE_ALL, "member"]


@pytest.mark.usefixtures("predicate_off", "owner_check_off")
@pytest.mark.parametrize("ground", MEMBERS, indirect=True)
def test_row_level_security_alone_holds_for(ground: Ground) -> None:
    with Database(ground.url) as database:
        assert leaks(database.run, ground.admin) == []
        alice = new_user(ground.admin)
        task = new_task(ground.admin, alice)
        assert database.run(get_task(alice, task)).id == task

        _do(ground.admin, "ALTER TABLE public.tasks DISABLE ROW LEVEL SECURITY")
        assert leaks(database.run, ground.admin) == list(ATTEMPTS)


@pytest.mark.parametrize("ground", SEE_ALL, indirect=True)
def test_outside_the_lock_sees_every_row(ground: Ground) -> None:
    """The control: it is the tenant's role that holds them, and not their own rights."""
    for _ in range(2):
        new_task(ground.admin, new_user(ground.admin))
    assert len(_select(ground)) == 2


@pytest.mark.parametrize("ground", ["member"], indirect=True)
def test_outside_the_lock_sees_nothing(ground: Ground) -> None:
    new_task(ground.admin, new_user(ground.admin))
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        _select(ground)
    assert _select(ground, "SET LOCAL ROLE taskcore_tenant") == []


def _select(ground: Ground, before: str = "SELECT 1") -> list[Any]:
    with psycopg.connect(ground.url) as connection:
        connection.execute(before)
        return connection.execute("SELECT user_id FROM public.tasks").fetchall()


@pytest.mark.parametrize("ground", ["stranger"], indirect=True)
def test_a_login_that_is_no_member_is_refused_until_it_is_one(ground: Ground) -> None:
    alice = new_user(ground.admin)
    with Database(ground.url) as database:
        with pytest.raises(TenantRoleRefused):
            database.run(list_tasks(alice))
        _do(ground.admin, "GRANT taskcore_tenant TO {}", ground.login)
        assert database.run(list_tasks(alice)) == []


def _plant(owner: str, other: str) -> Steps[list[Row]]:
    values = new_values(TaskCreate(title="planted"))
    return (yield from rows(operations._CREATE, owner=other, task_id=uuid4(), **values))


@pytest.mark.parametrize("ground", MEMBERS, indirect=True)
def test_an_error_gives_the_role_back_to(ground: Ground) -> None:
    alice, bob = new_user(ground.admin), new_user(ground.admin)
    with Database(ground.url, min_size=1, max_size=1) as database:
        before = _identity(database)
        assert database.run(list_tasks(alice)) == []
        assert _identity(database) == before
        with pytest.raises(RowRefused):
            database.run(Op(alice, _plant, (bob,), list))
        assert _identity(database) == before
        assert before[1:] == (ground.login, "none", None)


def _identity(database: Database) -> tuple[Any, ...]:
    """Which connection it is, and who it is; it has to be idle."""
    pool = database._open_pool()
    loan, give_back = pool.loan()
    try:
        connection = pool.take(loan, monotonic() + 10)
        assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        found = connection.execute(
            "SELECT pg_backend_pid(), current_user, current_setting('role'),"
            " nullif(current_setting('taskcore.user_id', true), '')"
        )
        return tuple(found.fetchall()[0])
    finally:
        give_back()
