"""A program that forks while a database is open, and reports what each of its processes saw.

    python fork_program.py SCENARIO URL OWNER...

It prints a line of JSON for each process. Every task of an owner has the owner's id as its title.
"""

from __future__ import annotations

import asyncio
import gc
import json
import multiprocessing
import os
import resource
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any

from sqlalchemy import text

from taskcore import AsyncDatabase, Database, Op, TaskcoreError, list_tasks
from taskcore.execution import fork, wire
from taskcore.execution.op import Row, Statement, Steps, rows

TURNS = 40
PLACES = 3
# Far more than any test takes: an operation that waits for it is seen by its time.
DEADLINE = 60.0

_BACKEND = Statement(text("SELECT pg_catalog.pg_backend_pid()"))


def _backend(_: str) -> Steps[list[Row]]:
    return (yield from rows(_BACKEND))


def backends(database: Database, owner: str) -> list[int]:
    """The server processes of all connections of the pool, each asked in its turn."""
    op: Op[int] = Op(owner, _backend, (), lambda found: found[0][0])
    return sorted({database.run(op) for _ in range(4 * PLACES)})


def work(database: Database, owner: str, turns: int = TURNS) -> dict[str, Any]:
    """Read the owner's tasks again and again; tell what was seen."""
    errors: list[str] = []
    foreign, slowest, done = 0, 0.0, 0
    for _ in range(turns):
        begun = monotonic()
        try:
            found = database.run(list_tasks(owner))
        except (TaskcoreError, LookupError, TypeError, ValueError) as error:
            errors.append(repr(error))
        else:
            foreign += any(task.user_id != owner or task.title != owner for task in found)
            done += len(found) == 1
        slowest = max(slowest, monotonic() - begun)
    return {"done": done, "foreign": foreign, "errors": errors[:3], "slowest": slowest}


def fill(database: Database, owners: list[str]) -> None:
    """Open all connections of the pool."""
    barrier = threading.Barrier(PLACES)

    def steps(owner: str) -> Steps[list[Row]]:
        barrier.wait(30)
        return (yield from rows(_BACKEND))

    def both(owner: str) -> Steps[list[Row]]:
        yield from rows(_BACKEND)
        return (yield from steps(owner))

    threads = [
        threading.Thread(target=database.run, args=[Op(owners[0], both, (), list)])
        for _ in range(PLACES)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def say(who: str, seen: dict[str, Any]) -> None:
    os.write(1, json.dumps({"who": who, **seen}).encode() + b"\n")


def in_child(run: Callable[[], None]) -> int:
    """Run it in a child, which then ends as Python ends: with all destructors."""
    child = os.fork()
    if child == 0:
        run()
        sys.exit(0)
    return child


def wait_for(children: list[int]) -> None:
    for child in children:
        _, status = os.waitpid(child, 0)
        if status:
            say("exit", {"status": status})


# --- scenarios ------------------------------------------------------------------------------------


def plain(url: str, owners: list[str], **terms: Any) -> None:
    """Parent and children use the same Database at once."""
    with Database(url, max_size=PLACES, **{"timeout": DEADLINE, **terms}) as database:
        fill(database, owners)
        before = backends(database, owners[0])

        def run(owner: str) -> None:
            seen = work(database, owner)
            shared = set(backends(database, owner)) & set(before)
            say("child", seen | {"shared": len(shared)})

        children = [in_child(lambda owner=owner: run(owner)) for owner in owners[1:]]  # type: ignore[misc]
        seen = work(database, owners[0])
        wait_for(children)
        after = backends(database, owners[0])
        say("parent", seen | {"undisturbed": before == after})


def full(url: str, owners: list[str]) -> None:
    """The process has as many descriptors as it may when it forks."""
    with Database(url, max_size=PLACES, timeout=DEADLINE) as database:
        fill(database, owners)
        before = backends(database, owners[0])
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, most))
        more: list[int] = []
        with suppress(OSError):
            while True:
                more.append(os.open(os.devnull, os.O_RDONLY))

        def run(owner: str) -> None:
            for descriptor in more:
                os.close(descriptor)
            seen = work(database, owner)
            shared = set(backends(database, owner)) & set(before)
            say("child", seen | {"shared": len(shared)})

        children = [in_child(lambda owner=owner: run(owner)) for owner in owners[1:]]  # type: ignore[misc]
        for descriptor in more:
            os.close(descriptor)
        seen = work(database, owners[0])
        wait_for(children)
        say("parent", seen | {"undisturbed": before == backends(database, owners[0])})


def unmended(url: str, owners: list[str]) -> None:
    """The control: the child goes on with what it inherited, until a foreign row is seen."""
    vars(wire).update(rows_are_owners=lambda *_: True, _repeats_owner=lambda *_: True)
    for _ in range(50):
        with Database(url, max_size=1, timeout=1) as database:
            database.run(list_tasks(owners[0]))
            fork._databases.clear()
            fork._sockets.clear()
            reader, writer = os.pipe()
            child = os.fork()
            if child == 0:
                seen = work(database, owners[1], 20)
                os.write(writer, json.dumps(seen).encode())
                os._exit(0)
            mine = work(database, owners[0], 20)
            os.close(writer)
            with os.fdopen(reader) as pipe:
                theirs = json.loads(pipe.read())
            os.waitpid(child, 0)
        if mine["foreign"] or theirs["foreign"]:
            say("control", {"foreign": mine["foreign"] + theirs["foreign"]})
            return


def unused(url: str, owners: list[str], *, mended: bool = True) -> None:
    """A child that lets go of the database without using it says no good-bye for its parent."""
    database = Database(url, max_size=PLACES, timeout=DEADLINE)
    database.open()
    fill(database, owners)
    before = backends(database, owners[0])
    if not mended:
        fork._databases.clear()
        fork._sockets.clear()

    def run() -> None:
        nonlocal database
        database.close()
        del database
        gc.collect()

    wait_for([in_child(run)])
    say("parent", {"undisturbed": backends(database, owners[0]) == before})
    database.close()


def unused_unmended(url: str, owners: list[str]) -> None:
    unused(url, owners, mended=False)


def threads(url: str, owners: list[str]) -> None:
    """Threads of the parent are in the middle of operations at every fork."""
    stop = threading.Event()
    reports: list[dict[str, Any]] = []
    with Database(url, max_size=PLACES, timeout=DEADLINE) as database:

        def busy(owner: str) -> None:
            while not stop.is_set():
                reports.append(work(database, owner, 5))

        others = [threading.Thread(target=busy, args=[owner]) for owner in owners[1:]]
        for thread in others:
            thread.start()
        for _ in range(5):
            wait_for([in_child(lambda: say("child", work(database, owners[0], 3)))])
        stop.set()
        for thread in others:
            thread.join()
        say(
            "parent",
            {
                "done": sum(report["done"] for report in reports),
                "foreign": sum(report["foreign"] for report in reports),
                "errors": [error for report in reports for error in report["errors"]],
                "slowest": max(report["slowest"] for report in reports),
            },
        )


# What multiprocessing calls has to be found by its name.
preloaded: Database | None = None


def in_worker(owner: str) -> dict[str, Any]:
    assert preloaded is not None
    return work(preloaded, owner)


def multiprocessing_fork(url: str, owners: list[str]) -> None:
    global preloaded
    with Database(url, max_size=PLACES, timeout=DEADLINE) as preloaded:
        fill(preloaded, owners)
        with multiprocessing.get_context("fork").Pool(3) as pool:
            running = pool.map_async(in_worker, owners[1:], chunksize=1)
            say("parent", work(preloaded, owners[0]))
            for seen in running.get(DEADLINE):
                say("child", seen)


def multiprocessing_forkserver(url: str, owners: list[str]) -> None:
    """The server of the forks imports a module that opens and uses its database."""
    os.environ |= {"FORKS_URL": url, "FORKS_OWNER": owners[0]}
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["faults.forks.preloaded"])
    from faults.forks import preloaded as module

    with context.Pool(3) as pool:
        for seen in pool.map(module.in_worker, owners[1:], chunksize=1):
            say("child", seen)


def are_null(descriptors: list[int]) -> list[bool]:
    """Whether each of them is pointed at /dev/null."""
    null = Path(os.devnull).stat()
    return [os.path.samestat(os.fstat(number), null) for number in descriptors]


def awaiting(url: str, owners: list[str]) -> None:
    """An AsyncDatabase that was opened before a fork, and one that was only made."""
    opened, made = AsyncDatabase(url, timeout=DEADLINE), AsyncDatabase(url, timeout=DEADLINE)

    async def use(database: AsyncDatabase) -> str:
        begun = monotonic()
        try:
            async with database:
                found = await database.run(list_tasks(owners[0]))
            answer = f"{len(found)} tasks"
        except TaskcoreError as error:
            answer = f"{type(error).__name__}: {error}"
        assert monotonic() - begun < DEADLINE / 2
        return answer

    async def run_only(database: AsyncDatabase) -> str:
        try:
            return f"{len(await database.run(list_tasks(owners[0])))} tasks"
        except TaskcoreError as error:
            return f"{type(error).__name__}: {error}"

    async def parent() -> None:
        await opened.open()
        await opened.run(list_tasks(owners[0]))
        connections = opened._open_pool()._open
        descriptors = [
            number
            for connection in connections
            for number in (connection._descriptor, connection._pgconn.socket)
            if number is not None
        ]
        child = os.fork()
        if child == 0:
            # The loop of the parent must not be used in a child.
            answers: list[str] = []

            def ask() -> None:
                answers.append(asyncio.run(run_only(opened)))
                answers.append(asyncio.run(use(opened)))
                answers.append(asyncio.run(use(made)))

            thread = threading.Thread(target=ask)
            thread.start()
            thread.join()
            say("child", {"answers": answers, "null": are_null(descriptors)})
            os._exit(0)
        wait_for([child])
        answers = [await run_only(opened)]
        say(
            "parent",
            {
                "answers": answers,
                "null": are_null(descriptors),
                "made": opened.stats()["connections_num"],
            },
        )
        await opened.close()

    asyncio.run(parent())


if __name__ == "__main__":
    globals()[sys.argv[1]](sys.argv[2], sys.argv[3:])
