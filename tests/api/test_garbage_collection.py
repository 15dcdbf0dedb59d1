"""A full garbage collection does not look at what a server has loaded; nobody is answered in one.

The server runs in a process of its own, which is this file, and ends itself after its first answer.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

from support.api_server import SECRET
from support.pgbouncer import SERVER_SETTINGS
from support.ports import listening_socket, port_of


def test_what_a_server_has_loaded_is_out_of_the_collectors_reach(served_url: str) -> None:
    done = subprocess.run(
        [sys.executable, str(Path(__file__))],
        env={
            **os.environ,
            "DATABASE_URL": served_url,
            "BETTER_AUTH_SECRET": SECRET,
            **SERVER_SETTINGS,
            "PYTHONPATH": os.pathsep.join(sys.path),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["before"]["frozen"] == 0
    assert found["before"]["reached"] > 50_000, "the control: a collection would look at as many"
    assert found["after"]["frozen"] >= found["before"]["reached"]
    assert found["after"]["reached"] < found["before"]["reached"] / 5


def _counts() -> dict[str, int]:
    return {"frozen": gc.get_freeze_count(), "reached": len(gc.get_objects())}


def _main() -> None:
    from taskapi import server
    from taskapi.settings import Settings

    listener = listening_socket()
    found = {"before": _counts()}

    def ask_and_stop() -> None:
        with urllib.request.urlopen(f"http://127.0.0.1:{port_of(listener)}/health/live"):
            found["after"] = _counts()
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=ask_and_stop).start()
    try:
        server.serve(Settings.from_environment(), [listener])
    finally:
        print(json.dumps(found))


if __name__ == "__main__":
    _main()
