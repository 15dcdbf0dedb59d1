"""A module that a prefork server imports before it forks: it opens its database, and uses it.

It is also a WSGI application, which answers with the tasks of the owner in the path.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from typing import Any

from faults.forks.fork_program import DEADLINE, PLACES, fill, work
from taskcore import Database, list_tasks

database = Database(os.environ["FORKS_URL"], max_size=PLACES, timeout=DEADLINE)
database.open()
fill(database, [os.environ["FORKS_OWNER"]])
PRELOADED_IN = os.getpid()


def in_worker(owner: str) -> dict[str, Any]:
    assert os.getpid() != PRELOADED_IN
    return work(database, owner)


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    owner = environ["PATH_INFO"].lstrip("/")
    titles = [task.title for task in database.run(list_tasks(owner))]
    start_response("200 OK", [("Content-Type", "application/json")])
    inherited = os.getpid() != PRELOADED_IN
    answer = {"process": os.getpid(), "inherited": inherited, "titles": titles}
    return [json.dumps(answer).encode()]
