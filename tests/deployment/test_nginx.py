"""The page's nginx configuration, with Debian's nginx in front of a real server."""

from __future__ import annotations

import os
import re
import shutil
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from deployment.operations import use_all
from deployment.page import file, replaced
from faults.servers_on_one_socket import ServersOnOneSocket
from support.api_server import Api, Serve, token
from support.polling import wait_until
from support.ports import free_port, listens
from support.tls import Certified, certified

CLIENTS = 8
# What Debian's nginx.conf has around the page's file, with all paths in the test's own folder.
AROUND = """\
daemon off;
pid {home}/pid;
error_log {home}/error.log;
events {{}}
http {{
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    include {home}/taskapi.conf;
}}
"""


def nginx() -> str:
    """Debian's program, which is not on everybody's path."""
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    assert found is not None, "nginx is missing: apt-get install --no-install-recommends nginx"
    return found


class Proxied:
    """A running nginx: its address, and clients that trust its certificate."""

    def __init__(self, port: int, tls: Certified, home: Path) -> None:
        self.base = f"https://127.0.0.1:{port}"
        self.home = home
        self._trusting = ssl.create_default_context(cafile=str(tls.certificate))

    def client(self, user: str) -> httpx.Client:
        headers = {"Authorization": f"Bearer {token(user)}"}
        return httpx.Client(base_url=self.base, headers=headers, verify=self._trusting, timeout=60)


@contextmanager
def in_front_of(base: str, home: Path) -> Iterator[Proxied]:
    """The page's configuration in front of this server."""
    home.mkdir()
    home.chmod(0o755)
    tls, port = certified(home, "127.0.0.1"), free_port()
    text = replaced(
        file("taskapi.conf"),
        address=base.removeprefix("http://"),
        tls=f"127.0.0.1:{port} ssl http2",
        certificate=str(tls.certificate),
        key=str(home / "private.pem"),
        log=str(home / "access.log"),
        host="127.0.0.1",
    )
    (home / "taskapi.conf").write_text(text)
    (home / "nginx.conf").write_text(AROUND.format(home=home))
    with (home / "output").open("wb") as output:
        process = subprocess.Popen(
            [nginx(), "-c", str(home / "nginx.conf"), "-e", str(home / "error.log")],
            stdout=output,
            stderr=output,
        )

    def started() -> bool:
        assert process.poll() is None, (home / "output").read_text()
        return listens(process.pid, port)

    try:
        wait_until(started, "nginx")
        yield Proxied(port, tls, home)
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture
def proxied(api: Api, tmp_path: Path) -> Iterator[Proxied]:
    # Its workers give up root's rights, and pytest's folders are closed to others.
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    with in_front_of(api.base, tmp_path / "nginx") as running:
        yield running


def test_the_operations_work_through_nginx(proxied: Proxied, alice: str) -> None:
    with proxied.client(alice) as client:
        use_all(client)
        answer = client.get("/api/tasks", headers={"X-Request-ID": "named-by-the-client"})
    assert answer.headers["X-Request-ID"] == "named-by-the-client"
    log = (proxied.home / "access.log").read_text()
    assert re.search(r'"GET /api/tasks HTTP/1\.1" 200 \S+ named-by-the-client', log)


def connections_to(base: str) -> set[int]:
    """The ports of nginx's connections to the server."""
    port = int(base.rpartition(":")[2])
    established = (
        (connection.laddr, connection.raddr)
        for connection in psutil.net_connections("tcp")
        if connection.status == psutil.CONN_ESTABLISHED
    )
    return {near.port for near, far in established if near and far and far.port == port}


def test_connections_to_the_server_are_used_again(proxied: Proxied, api: Api, alice: str) -> None:
    def ask() -> None:
        with proxied.client(alice) as client:
            assert client.get("/api/tasks").status_code == 200

    ask()
    first = connections_to(api.base)
    assert first
    for _ in range(5):
        ask()
    assert connections_to(api.base) == first


def test_a_large_body_is_refused_by_the_server_and_a_huge_one_by_nginx(
    proxied: Proxied, alice: str
) -> None:
    with proxied.client(alice) as client:
        json = {"Content-Type": "application/json"}
        large = client.post("/api/tasks", content=b" " * 300_000, headers=json)
        assert (large.status_code, large.json()["code"]) == (413, "body_too_large")
        huge = client.post("/api/tasks", content=b" " * 2_000_000, headers=json)
        assert huge.status_code == 413
        assert huge.headers["Content-Type"] == "text/html"


def test_readiness_is_for_the_inside_only(proxied: Proxied, api: Api, alice: str) -> None:
    with proxied.client(alice) as client:
        assert client.get("/health/ready").status_code == 404
        assert client.get("/health/live").status_code == 200
    assert httpx.get(f"{api.base}/health/ready").status_code == 200


def restart(
    proxied: Proxied, user: str, replace: Callable[[Callable[[], None]], None]
) -> list[int]:
    """Replace the server under load, of reads and creates; return the statuses of all answers."""
    statuses: list[int] = []
    over = threading.Event()

    def work() -> None:
        with proxied.client(user) as client:
            while not over.is_set():
                statuses.append(client.get("/api/tasks").status_code)
                statuses.append(client.post("/api/tasks", json={"title": "t"}).status_code)

    def wait_for_more() -> None:
        wanted = len(statuses) + 5 * CLIENTS
        wait_until(lambda: len(statuses) >= wanted, "more answers")

    with ThreadPoolExecutor(CLIENTS) as threads:
        working = [threads.submit(work) for _ in range(CLIENTS)]
        try:
            wait_for_more()
            replace(wait_for_more)
            wait_for_more()
        finally:
            over.set()
        for future in working:
            future.result(60)
    return statuses


def test_a_restart_behind_the_socket_fails_no_request(url: str, alice: str, tmp_path: Path) -> None:
    """The test holds the socket, as systemd does; one process ends before the next one starts."""
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    servers = ServersOnOneSocket(url, tmp_path, {"TASKAPI_DRAIN_SECONDS": "1"})
    try:
        with in_front_of(servers.base, tmp_path / "nginx") as proxied:
            old = servers.start()

            def replace(wait_for_more: Callable[[], None]) -> None:
                old.terminate()
                assert old.wait(60) == 0
                servers.start()
                wait_for_more()

            assert set(restart(proxied, alice, replace)) == {200, 201}
    finally:
        servers.close()


def test_a_restart_without_the_socket_is_seen(serve: Serve, alice: str, tmp_path: Path) -> None:
    """The control: where the socket ends with its process, requests meanwhile get a 502."""
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    with serve() as api, in_front_of(api.base, tmp_path / "nginx") as proxied:

        def replace(wait_for_more: Callable[[], None]) -> None:
            assert api.stop() == 0
            wait_for_more()

        assert 502 in restart(proxied, alice, replace)
