"""What a statement on the tasks gives outside of a binding, by the kind of login."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest
from sqlalchemy import create_engine, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from sqlmodel import col

from support.drivers import sqlalchemy_url
from support.sql import as_login, run_sql
from taskcore import Task, bind_owner, embedded, migrations

INHERITS = "GRANT taskcore_tenant TO reader WITH INHERIT TRUE, SET TRUE"
TAKES_ONLY = "GRANT taskcore_tenant TO reader WITH INHERIT FALSE, SET TRUE"
SELECTS = "GRANT SELECT ON public.tasks TO reader"

EVERYTHING = ["alice", "bob"]
NOTHING: list[str] = []
# The login's attributes, its grants, and what it reads; None is a refusal.
LOGINS: dict[str, tuple[str, list[str], list[str] | None]] = {
    "takes the role": ("", [TAKES_ONLY], None),
    "takes the role, selects": ("", [TAKES_ONLY, SELECTS], NOTHING),
    "inherits the role": ("", [INHERITS], NOTHING),
    "inherits the role, selects": ("", [INHERITS, SELECTS], NOTHING),
    "bypasses row-level security": ("BYPASSRLS", [TAKES_ONLY, SELECTS], EVERYTHING),
    "a superuser": ("SUPERUSER", [], EVERYTHING),
    "owns the tables": ("", [TAKES_ONLY, "ALTER TABLE public.tasks OWNER TO reader"], EVERYTHING),
}


@pytest.mark.parametrize(("attributes", "grants", "expected"), LOGINS.values(), ids=list(LOGINS))
def test_an_unbound_read_and_a_bound_one(
    attributes: str,
    grants: list[str],
    expected: list[str] | None,
    roles: embedded.Server,
    make_login: Callable[[str, str], None],
) -> None:
    run_sql(roles.url, "CREATE DATABASE reads")
    url = roles.url_for("reads")
    migrations.upgrade(url)
    make_login("reader", attributes)
    run_sql(
        url,
        "INSERT INTO users (id) VALUES ('alice'), ('bob')",
        "INSERT INTO tasks (user_id, id, title) SELECT id, gen_random_uuid(), 'one' FROM users",
        *grants,
    )
    query = select(col(Task.user_id)).order_by(col(Task.user_id))
    engine = create_engine(sqlalchemy_url(as_login(url, "reader")))
    with Session(engine) as session:
        if expected is None:
            with pytest.raises(DBAPIError) as refused:
                session.scalars(query)
            assert isinstance(refused.value.orig, psycopg.errors.InsufficientPrivilege)
            session.rollback()
        else:
            assert session.scalars(query).all() == expected
        # Control: under the binding, every kind of login reads the owner's rows and no others.
        with bind_owner(session, "bob"):
            assert session.scalars(query).all() == ["bob"]
    engine.dispose()
