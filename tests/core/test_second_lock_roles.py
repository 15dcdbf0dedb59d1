"""Row-level security holds for every kind of login, and an error restores the login's own role."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from core.isolation_attempts import ATTEMPTS, Admin, leaks, new_task, new_user, new_values
from core.pool_connection import pool_connection
from taskcore import Database, Op, RowRefused, TaskCreate, get_task, list_tasks, migrations
from taskcore.embedded import Server
from taskcore.errors import TenantRoleRefused
from taskcore.execution.op import Row, Steps, rows
from taskcore.tasks import operations

NewLogin: TypeAlias = Callable[[str], str]
_PASSWORD = "of-a-test"


@dataclass
class LoginCase:
    """A migrated database, a login of one kind, and a superuser's connection."""

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
    """Make logins for one test. The migration of `url` has created the tenant role."""
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
def case(
    new_login: NewLogin, empty_url: str, request: pytest.FixtureRequest
) -> Iterator[LoginCase]:
    """A database for one kind of login."""
    attributes, member, migrates = LOGINS[request.param]
    login = new_login(attributes)
    with psycopg.connect(empty_url, autocommit=True) as admin:
        if member:
            _do(admin, "GRANT taskcore_tenant TO {} WITH INHERIT FALSE, SET TRUE", login)
        if migrates:
            _do(admin, "GRANT CREATE, USAGE ON SCHEMA public TO {}", login)
        migrations.upgrade(_as(empty_url, login) if migrates else empty_url)
        yield LoginCase(login, _as(empty_url, login), admin)


# The login's attributes; is it a member of the tenant role; does it migrate, and so own the table.
LOGINS = {
    "superuser": ("SUPERUSER", False, False),
    "owner": ("NOSUPERUSER NOBYPASSRLS", True, True),
    "bypasses": ("CREATEROLE BYPASSRLS", True, True),
    "member": ("NOINHERIT NOSUPERUSER NOBYPASSRLS", True, False),
    "no member": ("NOINHERIT", False, False),
}
SEE_ALL = ["superuser", "owner", "bypasses"]
MEMBERS = [*SEE_ALL, "member"]


@pytest.mark.usefixtures("predicate_off", "owner_check_off")
@pytest.mark.parametrize("case", MEMBERS, indirect=True)
def test_row_level_security_alone_holds(case: LoginCase) -> None:
    with Database(case.url) as database:
        assert leaks(database.run, case.admin) == []
        alice = new_user(case.admin)
        task = new_task(case.admin, alice)
        assert database.run(get_task(alice, task)).id == task

        _do(case.admin, "ALTER TABLE public.tasks DISABLE ROW LEVEL SECURITY")
        assert leaks(database.run, case.admin) == list(ATTEMPTS)


@pytest.mark.parametrize("case", SEE_ALL, indirect=True)
def test_such_a_login_sees_every_row_outside_the_tenant_role(case: LoginCase) -> None:
    """Control: the tenant role hides the rows; the rights of these logins do not."""
    for _ in range(2):
        new_task(case.admin, new_user(case.admin))
    assert len(_select(case)) == 2


@pytest.mark.parametrize("case", ["member"], indirect=True)
def test_a_member_sees_no_row_outside_an_operation(case: LoginCase) -> None:
    new_task(case.admin, new_user(case.admin))
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        _select(case)
    assert _select(case, "SET LOCAL ROLE taskcore_tenant") == []


def _select(case: LoginCase, before: str = "SELECT 1") -> list[Any]:
    with psycopg.connect(case.url) as connection:
        connection.execute(before)
        return connection.execute("SELECT user_id FROM public.tasks").fetchall()


@pytest.mark.parametrize("case", ["no member"], indirect=True)
def test_a_login_that_is_no_member_is_refused_until_it_is_one(case: LoginCase) -> None:
    alice = new_user(case.admin)
    with Database(case.url) as database:
        with pytest.raises(TenantRoleRefused):
            database.run(list_tasks(alice))
        _do(case.admin, "GRANT taskcore_tenant TO {}", case.login)
        assert database.run(list_tasks(alice)) == []


def _plant(owner: str, other: str) -> Steps[list[Row]]:
    values = new_values(TaskCreate(title="planted"))
    return (yield from rows(operations._CREATE, owner=other, task_id=uuid4(), **values))


@pytest.mark.parametrize("case", MEMBERS, indirect=True)
def test_an_error_restores_the_logins_own_role(case: LoginCase) -> None:
    alice, bob = new_user(case.admin), new_user(case.admin)
    with Database(case.url, min_size=1, max_size=1) as database:
        before = _identity(database)
        assert database.run(list_tasks(alice)) == []
        assert _identity(database) == before
        with pytest.raises(RowRefused):
            database.run(Op(alice, _plant, (bob,), list))
        assert _identity(database) == before
        assert before[1:] == (case.login, "none", None)


def _identity(database: Database) -> tuple[Any, ...]:
    """The process of the connection, and its roles and owner; the connection must be idle."""
    with pool_connection(database) as connection:
        assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        found = connection.execute(
            "SELECT pg_backend_pid(), current_user, current_setting('role'),"
            " nullif(current_setting('taskcore.user_id', true), '')"
        )
        return tuple(found.fetchall()[0])
