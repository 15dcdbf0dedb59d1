"""A program that opens an AsyncDatabase, does not close it, and lets its event loop end.

    python left_open.py URL OWNER idle|connecting|working guarded|unguarded

It prints a line when its first coroutine has returned, and one for each thing that it tries on a
second event loop.
"""

from __future__ import annotations

import asyncio
import sys

from taskcore import AsyncDatabase, TaskcoreError, list_tasks


async def leave_open(database: AsyncDatabase, owner: str, how: str) -> None:
    await database.open()
    if how != "connecting":
        await database.run(list_tasks(owner))
    if how == "working":
        tasks = [asyncio.create_task(database.run(list_tasks(owner))) for _ in range(4)]
        await asyncio.wait(tasks, timeout=0)
    print("returned", flush=True)


async def use(database: AsyncDatabase, owner: str) -> int:
    return len(await database.run(list_tasks(owner)))


async def open_and_use(database: AsyncDatabase, owner: str) -> int:
    async with database:
        return await use(database, owner)


async def forever() -> None:
    await asyncio.get_running_loop().create_future()


def main(url: str, owner: str, how: str, guarded: str) -> None:
    database = AsyncDatabase(url, min_size=4, max_size=4, timeout=30)
    if guarded == "unguarded":
        # It is cancelled with the loop, and closes nothing.
        database._close_with_loop = forever  # type: ignore[method-assign]
    asyncio.run(leave_open(database, owner, how))
    print("ended", flush=True)
    try:
        asyncio.run(use(database, owner))
    except TaskcoreError as error:
        print(f"{type(error).__name__}: {error}", flush=True)
    print(asyncio.run(open_and_use(database, owner)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
