"""Runs worker processes on shared listening sockets: restarts, reloads, drains and stops them.

A worker is `taskcli serve --fd N`, started as any process supervisor would start it. Each worker
also inherits the read end of the parent pipe, whose write end only this process has: when this
process ends, even by SIGKILL, the pipe closes and the workers stop.
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
from typing import Literal, NamedTuple, TypeAlias

from . import file_changes

_log = logging.getLogger("taskcli.supervisor")

# A worker that exits with an error sooner than this failed to start. It is this long because a
# busy machine needs time to start one.
_START_SECONDS = 30.0
_MAX_FAILED_STARTS = 3
"""Failed starts in a row, for each wanted worker, after which the supervisor stops."""
_MAX_PAUSE = 2.0


class WorkerExited(NamedTuple):
    worker: subprocess.Popen[bytes]


class SignalReceived(NamedTuple):
    signal: int


SupervisorEvent: TypeAlias = WorkerExited | SignalReceived | Literal["files_changed", "retry_start"]


class Supervisor:
    """Keeps this many workers on these sockets; restarts them when a watched file changes."""

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        workers: int,
        options: Sequence[str] = (),
        watched: Sequence[Path] = (),
    ) -> None:
        self._listeners = list(listeners)
        self._wanted = workers
        self._options = options
        self._watched = watched
        self._events: SimpleQueue[SupervisorEvent] = SimpleQueue()
        self._started_at: dict[subprocess.Popen[bytes], float] = {}
        # Workers that were sent SIGINT because files changed, perhaps before they served.
        self._outdated: set[subprocess.Popen[bytes]] = set()
        self._failed_starts = 0
        self._stopping = self._gave_up = False

    def run(self) -> int:
        """Run until a signal stops it; return the exit code."""
        handled = [signal.SIGTERM, signal.SIGINT]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup
            handled.append(signal.SIGHUP)
        handlers_before = {number: signal.signal(number, self._on_signal) for number in handled}
        stop_watching = Event()
        self._parent_pipe, parent_end = os.pipe()
        try:
            if self._watched:
                file_changes.watch(self._watched, self._on_file_change, stop_watching)
            self._start_missing_workers()
            while self._started_at or not self._stopping:
                self._handle(self._events.get())
        finally:
            stop_watching.set()
            os.close(parent_end)
            os.close(self._parent_pipe)
            for number, handler in handlers_before.items():
                signal.signal(number, handler)
        return 1 if self._gave_up else 0

    def _on_file_change(self, names: str) -> None:
        _log.info("%s changed: reloading", names)
        self._events.put("files_changed")

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        self._events.put(SignalReceived(number))

    def _handle(self, event: SupervisorEvent) -> None:
        if isinstance(event, SignalReceived):
            self._stop(event.signal)
        elif isinstance(event, WorkerExited):
            self._on_worker_exit(event.worker)
        elif not self._stopping:
            if event == "files_changed":
                self._failed_starts = 0
                # Only once each: a second SIGINT would cut requests in flight.
                for worker in self._started_at.keys() - self._outdated:
                    self._outdated.add(worker)
                    worker.send_signal(signal.SIGINT)
            self._start_missing_workers()

    def _start_missing_workers(self) -> None:
        while len(self._started_at) < self._wanted:
            self._start_worker()

    def _start_worker(self) -> None:
        descriptors = [listener.fileno() for listener in self._listeners]
        fd_options = [option for number in descriptors for option in ("--fd", str(number))]
        worker = subprocess.Popen(
            # -P: modules of the working directory are not imported.
            [
                *(sys.executable, "-P", "-m", "taskcli", "serve", "--no-check"),
                *("--parent-pipe", str(self._parent_pipe), *fd_options, *self._options),
            ],
            stdin=subprocess.DEVNULL,
            pass_fds=[*descriptors, self._parent_pipe],
            # A process group of its own: Ctrl-C reaches only this process, which passes it on.
            process_group=0,
        )
        self._started_at[worker] = monotonic()
        Thread(target=self._wait_for, args=(worker,), daemon=True).start()

    def _wait_for(self, worker: subprocess.Popen[bytes]) -> None:
        worker.wait()
        self._events.put(WorkerExited(worker))

    def _on_worker_exit(self, worker: subprocess.Popen[bytes]) -> None:
        lifetime = monotonic() - self._started_at.pop(worker)
        outdated = worker in self._outdated
        self._outdated.discard(worker)
        if self._stopping:
            return
        code = 0 if outdated else worker.returncode
        failed_to_start = code > 0 and lifetime < _START_SECONDS
        self._failed_starts = self._failed_starts + 1 if failed_to_start else 0
        if code:
            how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
            _log.warning("worker %d ended %s", worker.pid, how)
        if failed_to_start and self._watched:
            _log.warning("waiting for a file to change")
        elif self._failed_starts >= _MAX_FAILED_STARTS * self._wanted:
            _log.error("the workers do not start: stopping")
            self._gave_up = True
            self._stop(signal.SIGTERM)
        elif self._failed_starts:
            pause = min(0.1 * 2**self._failed_starts, _MAX_PAUSE)
            timer = Timer(pause, self._events.put, ("retry_start",))
            timer.daemon = True
            timer.start()
        else:
            self._start_missing_workers()

    def _stop(self, number: int) -> None:
        if number == signal.SIGHUP and not self._stopping:
            _log.warning("SIGHUP: stopping as at SIGTERM; settings are read at the start only")
        self._stopping = True
        # The workers have their own copies of the sockets and still accept; when the last copy
        # is closed, connections are refused.
        while self._listeners:
            self._listeners.pop().close()
        for worker in self._started_at:
            worker.send_signal(signal.SIGINT if number == signal.SIGINT else signal.SIGTERM)
