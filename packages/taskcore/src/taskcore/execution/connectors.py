"""The threads in which the blocking driver's connections are made. They are kept and used again.

OpenSSL takes a lock when a thread that has used it ends. If the process is forked at that moment,
the lock stays locked in the child, which then can never connect.
"""

from __future__ import annotations

import os
from _thread import start_new_thread
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import TypeAlias

Job: TypeAlias = Callable[[], object]

_idle: deque[SimpleQueue[Job]] = deque()


def start(job: Job) -> None:
    """Run the job in a thread of its own."""
    try:
        jobs = _idle.pop()
    except IndexError:
        jobs = SimpleQueue()
        start_new_thread(_work, (jobs,))
    jobs.put(job)


def _work(jobs: SimpleQueue[Job]) -> None:
    while True:
        jobs.get()()
        _idle.append(jobs)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_idle.clear)  # the threads are not in the child
