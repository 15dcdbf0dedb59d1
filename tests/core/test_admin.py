"""What an operator does across users; a login that would see fewer rows is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import sql

from taskcore import InvalidInput, NoConnection, TaskRead, UnknownUser, migrations
from taskcore.admin import (
    NotPermitted,
    UsersNotOurs,
    add_missing,
    add_user,
    add_users,
    connected,
    copy_in,
    copy_line,
    count_between,
    count_others,
    delete_user,
    export,
    grant,
    list_users,
    show_user,
    tasks_of,
    tenant_role,
    users_table,
)
from taskcore.admin.connection import Admin
from taskcore.errors import SchemaMissing
from taskcore.tasks.fields import TASK_COLUMNS

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=50)


def task(owner: str, title: str = "one", description: str | None = None) -> TaskRead:
    return TaskRead.model_validate(
        {
            "id": uuid4(),
            "user_id": owner,
            "title": title,
            "description": description,
            "completed": True,
            "created_at": "2026-01-01T00:00:00.000001Z",
            "updated_at": "2026-01-02T00:00:00Z",
        }
    )


@given(st.lists(st.tuples(texts, st.none() | texts), max_size=5))
def test_copied_tasks_are_exported_unchanged(
    url: str, written: list[tuple[str, str | None]]
) -> None:
    user = f"user_{uuid4().hex}"
    tasks = [task(user, title, description) for title, description in written]
    with connected(url) as session:
        add_user(session, user)
        try:
            assert copy_in(session, TASK_COLUMNS, map(copy_line, tasks)) == len(tasks)
            assert [*export(session, user)] == sorted(tasks, key=lambda one: one.id)
            assert len(tasks_of(session, user, limit=100)) == len(tasks)
        finally:
            assert delete_user(session, user) == len(tasks)


def test_a_copy_is_all_or_nothing_and_a_repetition_adds_what_is_missing(
    url: str, alice: str
) -> None:
    first, second = task(alice), task(alice)
    with connected(url) as session:
        copy_in(session, TASK_COLUMNS, [copy_line(first)])
        with pytest.raises(InvalidInput, match="does not take this"), connected(url) as other:
            copy_in(other, TASK_COLUMNS, [copy_line(second), copy_line(first)])
        assert [*export(session, alice)] == [first]
        assert add_missing(session, TASK_COLUMNS, [copy_line(second), copy_line(first)]) == (1, 0)
        assert {one.id for one in export(session, alice)} == {first.id, second.id}
        assert count_between(session, first.id, first.id) == 1
        with pytest.raises(UnknownUser, match="nothing was changed"):
            add_missing(session, TASK_COLUMNS, [copy_line(task("unknown"))])
        assert add_missing(session, TASK_COLUMNS, [copy_line(second)]) == (0, 0)


def test_make_users_adds_the_missing_users(own_url: str) -> None:
    with connected(own_url) as session:
        given_tasks = [copy_line(task(user)) for user in ("a", "b", "a")]
        assert add_missing(session, TASK_COLUMNS, given_tasks, make_users=True) == (3, 2)
        assert [(user.id, user.tasks) for user in list_users(session)] == [("a", 2), ("b", 1)]
        assert count_others(session, "") == (0, 0)
        assert count_others(session, "a") == (1, 1)
        assert add_users(session, [("a", None, None), ("c", None, None)]) == 1


@pytest.fixture
def member(own_url: str) -> Iterator[str]:
    """A login that inherits the tenant role's rights: it may read `tasks`, but sees no rows."""
    name = f"member_{uuid4().hex[:12]}"
    identifier = sql.Identifier(name)
    with psycopg.connect(own_url, autocommit=True) as owner:
        owner.execute("INSERT INTO public.users (id) VALUES ('ada')")
        create = "CREATE ROLE {} LOGIN INHERIT PASSWORD 'p' IN ROLE taskcore_tenant"
        owner.execute(sql.SQL(create).format(identifier))
        owner.execute(sql.SQL("GRANT SELECT ON public.users TO {}").format(identifier))
        with connected(own_url) as session:
            copy_in(session, TASK_COLUMNS, [copy_line(task("ada"))])
        parts = urlsplit(own_url)
        yield parts._replace(netloc=f"{name}:p@{parts.hostname}:{parts.port}").geturl()
        owner.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(identifier))


def test_a_login_under_the_policy_is_refused_instead_of_seeing_fewer_rows(
    own_url: str, member: str
) -> None:
    with psycopg.connect(member) as plain:  # the number of rows that it would see
        assert plain.execute("SELECT count(*) FROM public.tasks").fetchone() == (0,)
    reads: list[Callable[[Admin], list[Any]]] = [list_users, lambda admin: [*export(admin)]]
    for read in reads:
        with pytest.raises(NotPermitted), connected(member) as session:
            read(session)
        with connected(own_url) as session:
            assert len(read(session)) == 1


def test_driver_errors_become_ours_and_keep_their_cause(empty_url: str) -> None:
    with pytest.raises(SchemaMissing) as missing, connected(empty_url) as session:
        list_users(session)
    assert isinstance(missing.value.__cause__, psycopg.Error)
    with pytest.raises(NoConnection) as refused, connected("postgresql://x@127.0.0.1:1/x"):
        pass
    assert isinstance(refused.value.__cause__, psycopg.OperationalError)


def test_a_users_table_that_is_not_ours_is_read_only(empty_url: str) -> None:
    with psycopg.connect(empty_url) as connection:
        connection.execute('CREATE TABLE public."user" (id varchar PRIMARY KEY, name text)')
        connection.execute("""INSERT INTO public."user" VALUES ('u', 'Ada')""")
    migrations.upgrade(empty_url)
    with connected(empty_url) as session:
        table = users_table(session)
        assert (table.name, table.ours) == ('public."user"', False)
        with pytest.raises(UsersNotOurs):
            add_user(session, "v")
        with pytest.raises(UsersNotOurs):
            add_users(session, [("v", None, None)])
        assert [(user.id, user.name, user.email) for user in list_users(session)] == [
            ("u", "Ada", None)
        ]


def test_other_candidates_for_the_users_table_are_named(own_url: str) -> None:
    with connected(own_url) as session:
        assert users_table(session).others == ()
        session.execute('CREATE TABLE public."user" (id text)')
        session.execute("CREATE TABLE public.user_settings (id text)")
        assert users_table(session).others == ('public."user"',)


def test_a_grant_can_be_repeated_and_needs_an_existing_login(own_url: str) -> None:
    name = f"login_{uuid4().hex[:12]}"
    with connected(own_url) as session:
        with pytest.raises(InvalidInput, match="no login"):
            grant(session, name)
        session.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))
        try:
            for _ in range(2):
                grant(session, name)
            assert name in tenant_role(session).members
        finally:
            session.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))
        assert name not in tenant_role(session).members


def test_a_user_is_shown_or_reported_as_unknown(url: str, alice: str) -> None:
    with connected(url) as session:
        copy_in(session, TASK_COLUMNS, [copy_line(task(alice)), copy_line(task(alice))])
        assert (show_user(session, alice).tasks, show_user(session, alice).completed) == (2, 2)
        for ask in (show_user, delete_user):
            with pytest.raises(UnknownUser):
                ask(session, "unknown")
