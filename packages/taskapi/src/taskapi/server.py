"""The process: uvicorn, taught to stop without anybody noticing.

Stock uvicorn closes its listener at the signal and dies of it. Here SIGTERM first turns readiness
off for a while, in which requests are still served and whoever routes them looks elsewhere; then
the listener closes, what is in flight ends, the pool closes, and the exit code is 0.
"""

from __future__ import annotations

import asyncio
import signal
import socket
from time import monotonic
from types import FrameType

import uvicorn
from fastapi import FastAPI

from . import logs
from .app import create_app
from .settings import Settings

# For what is in flight when the listener has closed; each request has its own, shorter deadline.
_LAST_REQUESTS_SECONDS = 30
# Between the last connection and the end of those that are silent: its request is on the way.
_LAST_WORDS_SECONDS = 0.2


class Server(uvicorn.Server):
    """One process that drains."""

    def __init__(self, config: uvicorn.Config, app: FastAPI, drain_seconds: float) -> None:
        super().__init__(config)
        self._app = app
        self._drain_seconds = drain_seconds
        self._leaves_at: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if sig == signal.SIGINT:  # somebody at a terminal: at once, and the second time by force
            self.force_exit = self.should_exit
            self.should_exit = True
        elif self._leaves_at is None:
            self._app.state.draining = True
            self._leaves_at = monotonic() + self._drain_seconds

    async def on_tick(self, counter: int) -> bool:
        if self._leaves_at is not None and monotonic() >= self._leaves_at:
            self.should_exit = True
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Stock uvicorn closes in one breath the listener and each connection on which nothing was
        # said yet, and cuts whoever has just connected.
        if self._leaves_at is not None:
            for listener in self.servers:
                listener.close()
            for sock in sockets or []:
                sock.close()
            await asyncio.sleep(_LAST_WORDS_SECONDS)
        await super().shutdown(sockets)


def serve(settings: Settings, sockets: list[socket.socket] | None = None) -> None:
    """Serve until told to stop; on these sockets, if somebody else has bound them."""
    logs.configure(settings.log_format)
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        # Nothing here asks who the client is or how it came: no header of a proxy's is needed.
        proxy_headers=False,
        timeout_graceful_shutdown=_LAST_REQUESTS_SECONDS,
    )
    server = Server(config, app, settings.drain_seconds)
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(server.serve(sockets=sockets))
