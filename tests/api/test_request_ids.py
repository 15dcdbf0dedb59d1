"""Request ids are unique in a process, in its threads and in the processes that it forks."""

from __future__ import annotations

import re
import subprocess
import sys

PROGRAM = """
import os, sys, threading
from taskapi import request_id

def work(keep):
    made = [request_id.new_request_id() for _ in range(2000)]
    keep.extend(made)

def in_threads():
    made = []
    threads = [threading.Thread(target=work, args=[made]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os.write(1, "".join(f"{each}\\n" for each in made).encode())

request_id.new_request_id()
before = request_id._process
for _ in range(3):
    child = os.fork()
    if child == 0:
        if sys.argv[1] == "control":
            request_id._process = before
        in_threads()
        os._exit(0)
    os.waitpid(child, 0)
in_threads()
"""


def ids(how: str) -> list[str]:
    environment = {"PYTHONPATH": ":".join(sys.path)}
    command = [sys.executable, "-c", PROGRAM, how]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_ids_are_unique_across_threads_and_forked_processes() -> None:
    found = ids("as it is")
    assert len(found) == len(set(found)) == 4 * 4 * 2000
    assert all(re.fullmatch(r"[0-9a-f]{20}", each) for each in found)


def test_without_a_new_prefix_a_child_repeats_those_of_its_parent() -> None:
    """The control."""
    found = ids("control")
    assert len(set(found)) < len(found)
