"""What readiness needs to know of the database, asked beside the users' pool.

/health/ready takes no token, so any number of clients may ask for it. They all get the answer to
one question, which goes out on a connection of its own, and is then remembered.
"""

from __future__ import annotations

import asyncio

from taskcore import AsyncDatabase, DatabaseNotReady, PermissionMissing, TaskcoreError, migrations
from taskcore.execution.observation import Observer
from taskcore.nodes import cluster_nodes

# Seconds for the question, and for which its answer is remembered, also if it is a failure.
_TIMEOUT = 2.0
_REMEMBERED = 1.0


class Readiness:
    """The checks of the database: one question at a time."""

    def __init__(self, url: str, *, prepare: bool | None) -> None:
        self._database = AsyncDatabase(url, max_size=1, timeout=_TIMEOUT, prepare=prepare)
        self._question: asyncio.Task[dict[str, str]] | None = None
        self._outdated_at = 0.0

    def observe(self, observer: Observer) -> None:
        """Let this observer be told of the questions."""
        self._database.observe = observer

    async def open(self) -> None:
        await self._database.open()

    async def close(self) -> None:
        if self._question is not None:
            self._question.cancel()
            await asyncio.gather(self._question, return_exceptions=True)
        await self._database.close()

    async def checks(self) -> dict[str, str]:
        """The result of each check, at most a second old."""
        now = asyncio.get_running_loop().time()
        question = self._question
        if question is None or (question.done() and now >= self._outdated_at):
            question = self._question = asyncio.create_task(self._ask())
        # A client that hangs up does not end the question of the others.
        return dict(await asyncio.shield(question))

    async def _ask(self) -> dict[str, str]:
        try:
            return await database_checks(self._database)
        finally:
            self._outdated_at = asyncio.get_running_loop().time() + _REMEMBERED


async def database_checks(database: AsyncDatabase) -> dict[str, str]:
    """Whether the database answers, and whether its schema is one that this code can use."""
    try:
        revision = await database.run(migrations.database_revision())
    except PermissionMissing:
        # An older schema: a later revision grants the tenant role SELECT on the version table.
        return {"database": "ok", "schema": "behind"}
    except DatabaseNotReady:
        return {"database": "ok", "schema": "missing"}
    except TaskcoreError:
        return {"database": "unavailable", "schema": "unknown"}
    behind = migrations.is_behind(revision)
    checks = {"database": "ok", "schema": "behind" if behind else "ok"}
    try:
        nodes = await database.run(cluster_nodes())
    except TaskcoreError:
        return {**checks, "nodes": "unknown"}
    if nodes.known:
        all_answer = nodes.answering == nodes.known
        checks["nodes"] = "ok" if all_answer else f"{nodes.answering} of {nodes.known}"
    return checks


def serves(check: str, result: str) -> bool:
    """Whether requests can be served with this result, of some users at least."""
    return result == "ok" or (check == "nodes" and not result.startswith("0 "))
