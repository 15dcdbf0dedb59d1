"""The peers: each is started as its documentation says, with one worker."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

from bench.database import BenchDatabase, token_of
from support.api_server import SECRET
from support.ports import free_port, listening_socket, listens, port_of

POOL = 10
_TESTS = Path(__file__).parents[1]
_PEERS = Path(__file__).parent / "peers"
_UVICORN = ["-m", "uvicorn", "--loop", "uvloop", "--http", "httptools", "--no-access-log"]


@dataclass(frozen=True)
class Peer:
    """A server program and its settings. `{port}` in its command is the port, `{fd}` a socket.

    A program that can take a listening socket gets one, so that no other process can take its port.
    For the others it is checked that they are the ones that answer on their port.
    """

    name: str
    command: list[str]
    database_url: str
    settings: Mapping[str, str] = field(default_factory=dict)


def taskapi(url: str, *, workers: int = 1) -> Peer:
    """taskapi as in production, with its log."""
    command = [sys.executable, "-m", "taskcli", "serve", "--workers", str(workers), "--fd", "{fd}"]
    settings = {"TASKAPI_POOL_SIZE": str(POOL), "TASKAPI_DRAIN_SECONDS": "0"}
    return Peer("taskapi", command, url, settings)


def twice(url: str) -> Peer:
    """taskapi, which does the work of each request twice."""
    command = [sys.executable, *_UVICORN, "--port", "{port}", "bench.twice:app"]
    return Peer("twice", command, url, taskapi(url).settings)


def idiom(url: str) -> Peer:
    command = [sys.executable, *_UVICORN, "--port", "{port}", "bench.peers.idiom.app:app"]
    return Peer("idiom", command, url)


def limit(url: str) -> Peer:
    command = [sys.executable, *_UVICORN, "--port", "{port}", "bench.peers.limit.app:app"]
    return Peer("limit", command, url)


def fastify(url: str, store: str = "plain") -> Peer:
    """Fastify with prepared statements, as `queries` with new ones each time, or with `rls`."""
    name = {"plain": "fastify", "queries": "fastify, not prepared", "rls": "fastify+rls"}[store]
    settings = {"NODE_ENV": "production", "STORE": store}
    return Peer(name, ["node", str(_PEERS / "fastify" / "server.mjs")], url, settings)


def all_peers(bench_db: BenchDatabase) -> list[Peer]:
    """Return all peers, in the order in which they are measured."""
    return [
        idiom(bench_db.owner_url),
        fastify(bench_db.owner_url),
        fastify(bench_db.owner_url, "queries"),
        fastify(bench_db.tenant_url, "rls"),
        limit(bench_db.tenant_url),
        taskapi(bench_db.tenant_url),
    ]


class Running:
    """A peer that has been started and answers."""

    def __init__(self, peer: Peer, process: subprocess.Popen[bytes], port: int) -> None:
        self.name = peer.name
        self.process = psutil.Process(process.pid)
        self.port = port
        self.base = f"http://127.0.0.1:{port}"
        self.started_in = 0.0
        """Seconds from the start of the process to its first answer; measured to 20 ms."""

    def client(self, number: int) -> httpx.Client:
        """A client with the token of this user."""
        headers = {"Authorization": f"Bearer {token_of(number)}"}
        return httpx.Client(base_url=self.base, headers=headers, timeout=30)


@contextmanager
def running(peer: Peer, place: Path) -> Iterator[Running]:
    """Start the peer, yield it after its first answer, and end it."""
    listener = listening_socket() if "{fd}" in peer.command else None
    port = port_of(listener) if listener else free_port()
    descriptors = [listener.fileno()] if listener else []
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("TASKAPI_")},
        "PYTHONPATH": os.pathsep.join([str(_TESTS), *_inherited()]),
        "DATABASE_URL": peer.database_url,
        "BETTER_AUTH_SECRET": SECRET,
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "POOL_SIZE": str(POOL),
        **peer.settings,
    }
    command = [
        part.format(port=port, fd=listener.fileno() if listener else "") for part in peer.command
    ]
    log = place / f"{peer.name}-{port}.log"
    began = time.monotonic()
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, env=environment, stdout=file, stderr=file, pass_fds=descriptors
        )
    if listener:
        listener.close()
    try:
        server = Running(peer, process, port)
        _wait_until_it_answers(server, process, log)
        if not (listener or listens(process.pid, port)):
            raise RuntimeError(f"another process answers on the port of {server.name}")
        server.started_in = time.monotonic() - began
        yield server
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(20)


def _wait_until_it_answers(server: Running, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    with server.client(0) as client:
        while True:
            try:
                answer = client.get("/api/tasks")
                if answer.status_code in (200, 401):
                    return
                reason = answer.text
            except httpx.TransportError as error:
                reason = str(error)
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{server.name} did not start: {reason}\n{log.read_text()}")
            time.sleep(0.02)


def _inherited() -> list[str]:
    inherited = os.environ.get("PYTHONPATH")
    return [inherited] if inherited else []
