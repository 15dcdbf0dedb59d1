"""Databases for tests on an embedded PostgreSQL; the pytest plugin makes fixtures of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from . import admin
from .embedded import Server

SETTINGS = {
    # What the tests write need not survive the machine.
    "fsync": "off",
    "synchronous_commit": "off",
    "max_connections": "300",
    # For passwords set from now on. 4096 rounds are half of what each connection costs.
    "scram_iterations": "1",
}
"""PostgreSQL's settings for tests: fast, and enough connections for parallel workers."""

SERVER_LOGIN = "taskcore_server"
"""A login with the rights of a server: a member of the tenant role, and nothing else."""

_numbers = count()


def template(server: Server, migrate: Callable[[str], None], name: str = "migrated") -> str:
    """Return the name of a migrated database to copy; the first of parallel workers makes it."""
    unfinished = f"{name}_unfinished"
    with _one_at_a_time(server) as connection:
        query = "SELECT 1 FROM pg_database WHERE datname = %s"
        if not connection.execute(query, [name]).fetchone():
            _do(connection, "DROP DATABASE IF EXISTS {} WITH (FORCE)", unfinished)
            _do(connection, "CREATE DATABASE {}", unfinished)
            migrate(server.url_for(unfinished))
            password = sql.Literal(connection.info.password)
            connection.execute(sql.SQL("ALTER ROLE CURRENT_USER PASSWORD {}").format(password))
            _do(connection, "ALTER DATABASE {} RENAME TO {}", unfinished, name)
    return name


@contextmanager
def database(server: Server, template: str = "template1") -> Iterator[str]:
    """Make a database, and drop it at the end: a copy of the template, so empty if none is named.

    What it gives is the URL for the login that owns the database.
    """
    name = f"test_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(server.url, autocommit=True) as connection:
        _do(connection, "CREATE DATABASE {} TEMPLATE {}", name, template)
        try:
            yield server.url_for(name)
        finally:
            _do(connection, "DROP DATABASE {} WITH (FORCE)", name)


def server_url(server: Server, url: str) -> str:
    """Return the URL of a migrated database for SERVER_LOGIN, which is made where it is missing."""
    with _one_at_a_time(server) as connection:
        query = "SELECT 1 FROM pg_roles WHERE rolname = %s"
        password = connection.info.password
        if not connection.execute(query, [SERVER_LOGIN]).fetchone():
            make = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}")
            connection.execute(make.format(sql.Identifier(SERVER_LOGIN), sql.Literal(password)))
            with admin.connected(url) as operator:
                admin.grant(operator, SERVER_LOGIN)
    parts = urlsplit(url)
    login = f"{SERVER_LOGIN}:{password}@{parts.hostname}:{parts.port}"
    return urlunsplit(parts._replace(netloc=login))


@contextmanager
def _one_at_a_time(server: Server) -> Iterator[psycopg.Connection]:
    """Connect; other workers wait until the connection ends."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(1)")
        yield connection


def _do(connection: psycopg.Connection, statement: str, *names: str) -> None:
    connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
