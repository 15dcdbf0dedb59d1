"""Keeps workers running on one listening socket: replaces those that die, reloads, drains, stops.

A worker is this command once more, `taskcli serve --fd N`, as any process supervisor would start
it. It ends when its leash does: a pipe whose other end only this process holds, so that nothing is
left over even if this process is killed.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread, Timer
from time import monotonic
from types import FrameType
from typing import Literal, NamedTuple

from . import changes

_log = logging.getLogger("taskcli.supervisor")

# A worker that ends by itself sooner than this could not start: a busy machine takes its time.
_SOON = 30.0
_TOO_OFTEN = 3
_LONGEST_PAUSE = 2.0


class Ended(NamedTuple):
    worker: subprocess.Popen[bytes]


class Told(NamedTuple):
    signal: int


Happening = Ended | Told | Literal["changed", "again"]


class Supervisor:
    """So many workers on these sockets; and new ones when a `watched` file changes."""

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        workers: int,
        options: Sequence[str] = (),
        watched: Sequence[Path] = (),
    ) -> None:
        self._sockets = list(sockets)
        self._wanted = workers
        self._options = options
        self._watched = watched
        self._happenings: SimpleQueue[Happening] = SimpleQueue()
        self._workers: dict[subprocess.Popen[bytes], float] = {}
        # Told to end because their code has changed, perhaps before they had begun to serve.
        self._outdated: set[subprocess.Popen[bytes]] = set()
        self._failures = 0
        self._stopping = self._gave_up = False

    def run(self) -> int:
        """Until told to stop; the exit code."""
        handled = [signal.SIGTERM, signal.SIGINT]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup
            handled.append(signal.SIGHUP)
        before = {number: signal.signal(number, self._note) for number in handled}
        unwatch = Event()
        self._leash, self._held = os.pipe()
        try:
            if self._watched:
                changes.watch(self._watched, self._tell, unwatch)
            self._fill()
            while self._workers or not self._stopping:
                self._handle(self._happenings.get())
        finally:
            unwatch.set()
            os.close(self._held)
            os.close(self._leash)
            for number, handler in before.items():
                signal.signal(number, handler)
        return 1 if self._gave_up else 0

    def _tell(self, names: str) -> None:
        _log.info("%s changed: reloading", names)
        self._happenings.put("changed")

    def _note(self, number: int, _: FrameType | None) -> None:
        self._happenings.put(Told(number))

    def _handle(self, happening: Happening) -> None:
        if isinstance(happening, Told):
            self._stop(happening.signal)
        elif isinstance(happening, Ended):
            self._bury(happening.worker)
        elif not self._stopping:
            if happening == "changed":
                self._failures = 0
                # Not twice: that would cut what is in flight.
                for worker in self._workers.keys() - self._outdated:
                    self._outdated.add(worker)
                    worker.send_signal(signal.SIGINT)
            self._fill()

    def _fill(self) -> None:
        while len(self._workers) < self._wanted:
            self._start()

    def _start(self) -> None:
        numbers = [sock.fileno() for sock in self._sockets]
        sockets = [option for number in numbers for option in ("--fd", str(number))]
        worker = subprocess.Popen(
            # -P: nothing of the working directory is imported.
            [
                *(sys.executable, "-P", "-m", "taskcli", "serve", "--no-check"),
                *("--leash", str(self._leash), *sockets, *self._options),
            ],
            stdin=subprocess.DEVNULL,
            pass_fds=[*numbers, self._leash],
            # Ctrl-C is for this process, which passes it on.
            process_group=0,
        )
        self._workers[worker] = monotonic()
        Thread(target=self._wait_for, args=(worker,), daemon=True).start()

    def _wait_for(self, worker: subprocess.Popen[bytes]) -> None:
        worker.wait()
        self._happenings.put(Ended(worker))

    def _bury(self, worker: subprocess.Popen[bytes]) -> None:
        lived = monotonic() - self._workers.pop(worker)
        outdated = worker in self._outdated
        self._outdated.discard(worker)
        if self._stopping:
            return
        code = 0 if outdated else worker.returncode
        could_not_start = code > 0 and lived < _SOON
        self._failures = self._failures + 1 if could_not_start else 0
        if code:
            how = f"of signal {-code}" if code < 0 else f"with exit code {code}"
            _log.warning("worker %d ended %s", worker.pid, how)
        if could_not_start and self._watched:
            _log.warning("waiting for a file to change")
        elif self._failures >= _TOO_OFTEN * self._wanted:
            _log.error("the workers do not start: stopping")
            self._gave_up = True
            self._stop(signal.SIGTERM)
        elif self._failures:
            pause = min(0.1 * 2**self._failures, _LONGEST_PAUSE)
            timer = Timer(pause, self._happenings.put, ("again",))
            timer.daemon = True
            timer.start()
        else:
            self._fill()

    def _stop(self, number: int) -> None:
        self._stopping = True
        # The workers' own copies still accept; once those are closed, nobody does.
        while self._sockets:
            self._sockets.pop().close()
        for worker in self._workers:
            worker.send_signal(signal.SIGINT if number == signal.SIGINT else signal.SIGTERM)
