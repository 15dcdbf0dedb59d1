"""The server process: uvicorn with a drain, so that a restart loses no request.

At SIGTERM stock uvicorn closes its listening sockets at once, and ends by the signal. Here SIGTERM
first makes /health/ready fail for `drain_seconds`, while requests are still served and the load
balancer moves to other processes. Then the listening sockets close, requests in flight end, the
pool closes, and the exit code is 0. SIGHUP does the same, unless it is ignored (nohup).

What a client may send, and how slowly, is limited in `http_protocol`.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from types import FrameType

import uvicorn
from fastapi import FastAPI

from . import local_hosts
from .app import create_app
from .connections import Connections, connection_limit
from .http_protocol import HttpProtocol
from .services import services_of
from .settings import Settings

_log = logging.getLogger(__name__)

# For requests in flight once the listening sockets are closed; a request's own deadline is shorter.
_IN_FLIGHT_SECONDS = 30
# Between closing the listening sockets and closing idle connections: the first request of a
# connection that was just accepted may still be on its way.
_NEW_CONNECTION_SECONDS = 0.2
# uvicorn calls `on_tick` ten times a second.
_TICKS_BETWEEN_SWEEPS = 5


class Server(uvicorn.Server):
    """A uvicorn server that drains at SIGTERM, and closes the connections of late clients."""

    server_state: Connections

    def __init__(self, config: uvicorn.Config, app: FastAPI, settings: Settings) -> None:
        super().__init__(config)
        self.server_state = Connections(connection_limit(settings.pool_size))
        self._app = app
        self._drain_seconds = settings.drain_seconds
        self._drained_at: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if sig == signal.SIGINT:  # Ctrl-C: stop without draining; the second one without waiting
            self.force_exit = self.should_exit
            self.should_exit = True
        elif self._drained_at is None:
            if sig == signal.SIGHUP:
                _log.warning("SIGHUP: stopping as at SIGTERM; settings are read at the start only")
            services_of(self._app).draining = True
            self._drained_at = monotonic() + self._drain_seconds

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        # uvicorn leaves SIGHUP alone, whose default would end the process with requests in flight.
        with super().capture_signals():
            if threading.current_thread() is not threading.main_thread():
                yield
                return
            before = signal.getsignal(signal.SIGHUP)
            if before is not signal.SIG_IGN:  # nohup
                signal.signal(signal.SIGHUP, self.handle_exit)
            try:
                yield
            finally:
                signal.signal(signal.SIGHUP, before)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        # What is loaded now stays. A full collection would look at all of it each time, and while
        # it does, no client is answered: 164 ms under lists, and 2 ms without what is loaded.
        gc.freeze()

    async def on_tick(self, counter: int) -> bool:
        if self._drained_at is not None and monotonic() >= self._drained_at:
            self.should_exit = True
        if counter % _TICKS_BETWEEN_SWEEPS == 0:
            self.server_state.sweep()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Stock uvicorn closes the listening sockets and all idle connections at once, also those
        # that were just accepted and whose first request has not arrived.
        if self._drained_at is not None:
            for listener in self.servers:
                listener.close()
            for sock in sockets or []:
                sock.close()
            await asyncio.sleep(_NEW_CONNECTION_SECONDS)
        await super().shutdown(sockets)


def serve(
    settings: Settings,
    sockets: list[socket.socket] | None = None,
    *,
    local_hosts_only: bool = False,
) -> None:
    """Serve until a signal; on these listening sockets, or else on `settings.host` and `port`.

    The caller configures logging.
    """
    app = create_app(settings)
    if local_hosts_only:
        local_hosts.install(app)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=HttpProtocol,
        lifespan="on",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        # No code here reads the client's address or scheme, so a proxy's headers are not needed.
        proxy_headers=False,
        timeout_graceful_shutdown=_IN_FLIGHT_SECONDS,
    )
    server = Server(config, app, settings)
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(server.serve(sockets=sockets))
