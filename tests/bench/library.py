"""The library's CPU per run, beside psycopg with the same two statements and SQLModel's Session.

psycopg is measured with a connection that is at hand, and with psycopg_pool, which the library is
to be compared with: it lends a connection for each run too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from statistics import median
from time import process_time
from typing import Any, LiteralString, TypeAlias

import psycopg
from psycopg_pool import AsyncConnectionPool, ConnectionPool
from rich.console import Console
from rich.table import Table
from sqlmodel import Session, col, create_engine, select

from bench import statements
from bench.database import BenchDatabase
from bench.peers.idiom.models import Task, User
from taskcore import AsyncDatabase, Database, get_task, list_tasks

_OWNER = "user-1"
_ROUNDS = 7
_TIMES = {"get": 500, "list": 150}

Run: TypeAlias = Callable[[], object]
AsyncRun: TypeAlias = Callable[[], Awaitable[object]]


def measure(bench_db: BenchDatabase, console: Console) -> dict[str, Any]:
    """Measure µs of CPU of this process, as the median of rounds in turn."""
    bench_db.seed(users=100)
    found = asyncio.run(_measured(bench_db))
    table = Table(title="CPU µs per run (÷ psycopg with its pool)")
    for name in ("", "get", "list of 100"):
        table.add_column(name, justify="right" if name else "left")
    for library in dict.fromkeys(library for library, _ in found):
        raw = "psycopg, pool, await" if "await" in library else "psycopg, pool"
        cells = (
            f"{found[library, what]:.0f} ({found[library, what] / found[raw, what]:.2f})"
            for what in _TIMES
        )
        table.add_row(library, *cells)
    console.print(table)
    return {f"{library}: {what}": round(cost, 1) for (library, what), cost in found.items()}


async def _measured(bench_db: BenchDatabase) -> dict[tuple[str, str], float]:
    url = bench_db.tenant_url
    engine = create_engine(bench_db.owner_url.replace("postgresql://", "postgresql+psycopg://", 1))
    raw = psycopg.connect(url, autocommit=True)
    raw_async = await psycopg.AsyncConnection.connect(url, autocommit=True)
    autocommit = {"autocommit": True}
    pool = ConnectionPool(url, kwargs=autocommit, open=False)
    async_pool = AsyncConnectionPool(url, kwargs=autocommit, open=False)
    costs: dict[tuple[str, str], list[float]] = {}
    with raw, pool, Database(url) as database, engine.connect():
        async with raw_async, async_pool, AsyncDatabase(url) as async_database:
            task = database.run(list_tasks(_OWNER))[0].id
            given = {"owner": _OWNER, "id": task}
            blocking: dict[tuple[str, str], Run] = {
                ("psycopg", "get"): lambda: _psycopg(raw, statements.GET, given),
                ("psycopg", "list"): lambda: _psycopg(raw, statements.LIST, given),
                ("psycopg, pool", "get"): lambda: _pool(pool, statements.GET, given),
                ("psycopg, pool", "list"): lambda: _pool(pool, statements.LIST, given),
                ("Database", "get"): lambda: database.run(get_task(_OWNER, task)),
                ("Database", "list"): lambda: database.run(list_tasks(_OWNER)),
                ("SQLModel Session", "get"): lambda: _session_get(engine, task),
                ("SQLModel Session", "list"): lambda: _session_list(engine),
            }
            awaiting: dict[tuple[str, str], AsyncRun] = {
                ("psycopg, await", "get"): lambda: _async(raw_async, statements.GET, given),
                ("psycopg, await", "list"): lambda: _async(raw_async, statements.LIST, given),
                ("psycopg, pool, await", "get"): lambda: _async_pool(
                    async_pool, statements.GET, given
                ),
                ("psycopg, pool, await", "list"): lambda: _async_pool(
                    async_pool, statements.LIST, given
                ),
                ("AsyncDatabase, await", "get"): lambda: async_database.run(get_task(_OWNER, task)),
                ("AsyncDatabase, await", "list"): lambda: async_database.run(list_tasks(_OWNER)),
            }
            for turn in range(_ROUNDS + 1):  # the first warms up
                for name, run in blocking.items():
                    began = process_time()
                    for _ in range(_TIMES[name[1]]):
                        run()
                    if turn:
                        costs.setdefault(name, []).append(_each(began, name))
                for name, start in awaiting.items():
                    began = process_time()
                    for _ in range(_TIMES[name[1]]):
                        await start()
                    if turn:
                        costs.setdefault(name, []).append(_each(began, name))
    engine.dispose()
    return {name: median(each) for name, each in costs.items()}


def _each(began: float, name: tuple[str, str]) -> float:
    return (process_time() - began) / _TIMES[name[1]] * 1e6


def _psycopg(connection: Any, statement: LiteralString, given: dict[str, Any]) -> object:
    with connection.pipeline():
        connection.execute(statements.BIND, (_OWNER,))
        cursor = connection.execute(statement, given, binary=True)
    return cursor.fetchall()


async def _async(connection: Any, statement: LiteralString, given: dict[str, Any]) -> object:
    async with connection.pipeline():
        await connection.execute(statements.BIND, (_OWNER,))
        cursor = await connection.execute(statement, given, binary=True)
    return await cursor.fetchall()


def _pool(pool: Any, statement: LiteralString, given: dict[str, Any]) -> object:
    with pool.connection() as connection:
        return _psycopg(connection, statement, given)


async def _async_pool(pool: Any, statement: LiteralString, given: dict[str, Any]) -> object:
    async with pool.connection() as connection:
        return await _async(connection, statement, given)


def _session_get(engine: Any, task: Any) -> object:
    with Session(engine) as session:
        session.get(User, _OWNER)
        return session.get(Task, task)


def _session_list(engine: Any) -> object:
    with Session(engine) as session:
        session.get(User, _OWNER)
        newest = (col(Task.created_at).desc(), col(Task.id).desc())
        return session.exec(select(Task).where(Task.user_id == _OWNER).order_by(*newest)).all()
