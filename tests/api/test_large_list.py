"""The largest lists: complete, and no burden on the other users of the process.

The figures of four lists of 120 MB are in tests/faults/README.md; here the lists are smaller.
"""

from __future__ import annotations

import asyncio
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest

from api.list_server import PROGRAM, environment
from support.api_server import SECRET, Api, Serve, serving, token
from support.drivers import DRIVERS
from support.http_contract import create, problem
from support.pgbouncer import SERVER_SETTINGS, Route
from support.polling import wait_until, wait_until_async
from support.sql import wait_for_lock_waiters
from taskapi import responses
from taskapi.app import create_app
from taskapi.services import services_of
from taskapi.settings import Settings
from taskcore import list_tasks

MEGABYTE = 2**20
EMOJI = "\N{GRINNING FACE}"  # four bytes in a file, and in Python's memory
# More than `list_encoder.VERY_LARGE`.
MANY, LONG = 900, 10_000
SIZE = 4 * MANY * LONG
LISTS = 4


def add_tasks(
    admin: psycopg.Connection, owner: str, number: int, length: int, character: str = EMOJI
) -> None:
    admin.execute(
        "INSERT INTO tasks (user_id, id, title, description) "
        "SELECT %s, gen_random_uuid(), 'task ' || n, repeat(%s, %s) "
        "FROM generate_series(1, %s) AS n",
        [owner, character, length, number],
    )


@pytest.fixture
def large(admin: psycopg.Connection, make_user: Callable[[], str]) -> str:
    """A user with a list of 36 MB."""
    user = make_user()
    add_tasks(admin, user, MANY, LONG)
    return user


@pytest.fixture
def serve_lists(url: str, through_pooler: Route, tmp_path: Path) -> Serve:
    """Servers of `list_server`."""

    @contextmanager
    def start(unsliced: bool = False, file_bytes: int = 0, **settings: str) -> Iterator[Api]:
        terms = {**environment(unsliced=unsliced, file_bytes=file_bytes), **settings}
        log = tmp_path / f"lists-{len(list(tmp_path.iterdir()))}"
        with serving(through_pooler(url), log, terms, PROGRAM) as api:
            yield api

    return start


def expected(url: str, user: str) -> responses.Body:
    """The list as it is encoded in one piece."""
    with DRIVERS["Database"](url, min_size=1, max_size=1) as run:
        return run(list_tasks(user).with_result(responses.tasks))


# --- complete, with the same ETag -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "length", "character"),
    [
        *[(number, 2_000, EMOJI) for number in (1, 15, 16, 17, 127, 128, 129, 256, 257)],
        (400, 10_000, "\x01"),  # 24 MB, of which PostgreSQL sends 4 MB
        (4_000, 10, EMOJI),
    ],
)
def test_a_list_of_any_size_has_the_bytes_and_the_etag_of_one_piece(
    number: int,
    length: int,
    character: str,
    api: Api,
    url: str,
    admin: psycopg.Connection,
    alice: str,
    as_alice: httpx.Client,
) -> None:
    add_tasks(admin, alice, number, length, character)
    body = expected(url, alice)
    got, headers = as_alice.get("/api/tasks"), as_alice.head("/api/tasks")
    assert got.content == body.content
    assert len(got.json()) == number
    assert got.status_code == headers.status_code == 200
    assert got.headers["etag"] == headers.headers["etag"] == body.etag
    assert got.headers["content-length"] == str(len(body.content))
    names = {"etag", "content-length", "content-type", "cache-control", "vary"}
    assert {n: got.headers[n] for n in names} == {n: headers.headers[n] for n in names}
    for known in (body.etag, f'"other", W/{body.etag}', "*"):
        same = as_alice.get("/api/tasks", headers={"If-None-Match": known})
        assert (same.status_code, same.content) == (304, b"")
        assert same.headers["etag"] == body.etag
    other = as_alice.get("/api/tasks", headers={"If-None-Match": '"other"'})
    assert (other.status_code, other.content) == (200, body.content)
    assert other.headers["etag"] == body.etag


# --- memory, and the others -----------------------------------------------------------------------


def resident(api: Api, field: str = "VmRSS") -> int:
    lines = Path(f"/proc/{api.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


def read_at_once(api: Api, user: str, method: str = "GET", **headers: str) -> list[tuple[int, int]]:
    """Ask for the list four times at once; return statuses and numbers of bytes."""
    together = threading.Barrier(LISTS)

    def read(_: int) -> tuple[int, int]:
        with api.client(user, **headers) as client:
            client.get("/health/live")
            together.wait(60)
            with client.stream(method, "/api/tasks", timeout=60) as response:
                return response.status_code, sum(map(len, response.iter_raw()))

    with ThreadPoolExecutor(LISTS) as pool:
        return list(pool.map(read, range(LISTS)))


def growth(api: Api, user: str, read: Callable[[], object]) -> int:
    """How much more memory than for small lists was resident at any time."""
    with api.client(user) as client:
        for _ in range(20):
            assert client.get("/api/tasks").status_code == 200
    before = resident(api)
    read()
    return resident(api, "VmHWM") - before


# On a busy machine four lists may take longer than the usual deadline.
PATIENT = {"TASKAPI_DEADLINE": "60", "TASKAPI_STATEMENT_TIMEOUT": "60"}
BOUND = 100 * MEGABYTE


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [("GET", {}, 200), ("HEAD", {}, 200), ("GET", {"If-None-Match": "*"}, 304)],
    ids=["GET", "HEAD", "304"],
)
def test_four_large_lists_at_once_leave_memory_bounded(
    method: str, headers: dict[str, str], status: int, serve: Serve, large: str, alice: str
) -> None:
    found: list[tuple[int, int]] = []
    with serve(**PATIENT) as api:
        more = growth(api, alice, lambda: found.extend(read_at_once(api, large, method, **headers)))
        again = growth(
            api, alice, lambda: found.extend(read_at_once(api, large, method, **headers))
        )
    assert {answered for answered, _ in found} == {status}
    assert {size > SIZE for _, size in found} == {method == "GET" and status == 200}
    assert max(more, again) < BOUND


def test_what_four_lists_take_in_one_piece_would_be_seen(
    serve_lists: Serve, large: str, alice: str
) -> None:
    """The control: without slices and a file, memory grows with the lists."""
    found: list[tuple[int, int]] = []
    with serve_lists(unsliced=True, **PATIENT) as api:
        more = growth(api, alice, lambda: found.extend(read_at_once(api, large)))
    assert {(status, size > SIZE) for status, size in found} == {(200, True)}
    assert more > 1.5 * BOUND


# --- the file -------------------------------------------------------------------------------------


def files_of_lists(api: Api) -> list[str]:
    """The temporary files that the server holds open; they have no name any more."""
    descriptors = Path(f"/proc/{api.process.pid}/fd")
    found = []
    for descriptor in descriptors.iterdir():
        with suppress(FileNotFoundError):
            target = str(descriptor.readlink())
            if target.startswith(tempfile.gettempdir()) and target.endswith(" (deleted)"):
                found.append(target)
    return found


@contextmanager
def unread(api: Api, user: str) -> Iterator[socket.socket]:
    """A client that has asked for the list and reads nothing."""
    at = urlsplit(api.base)
    with socket.create_connection((at.hostname or "", at.port or 0), timeout=60) as client:
        lines = ["GET /api/tasks HTTP/1.1", "Host: x", f"Authorization: Bearer {token(user)}"]
        client.sendall("".join(f"{line}\r\n" for line in [*lines, "", ""]).encode())
        wait_until(lambda: len(client.recv(1, socket.MSG_PEEK)), "the first byte of the answer")
        yield client


ONE_CONNECTION = {**PATIENT, "TASKAPI_POOL_SIZE": "1", "TASKAPI_POOL_WAIT": "0.5"}


def test_a_reader_holds_no_connection(serve: Serve, large: str, alice: str, url: str) -> None:
    body = expected(url, large)
    with (
        serve(**ONE_CONNECTION) as api,
        api.client(alice) as client,
        unread(api, large) as reader,
    ):
        assert files_of_lists(api)
        at = f"/api/tasks/{create(client)['id']}"
        assert client.get(at).status_code == 200
        assert client.put(at, json={"title": "another"}).status_code == 200
        assert len(client.get("/api/tasks").json()) == 1
        answer = reader.makefile("rb")
        while answer.readline() != b"\r\n":
            pass
        assert answer.read(len(body.content)) == body.content
        wait_until(lambda: not files_of_lists(api), "the end of the file")


def test_a_connection_that_is_held_would_be_seen(
    serve: Serve, own_url: str, through_pooler: Route
) -> None:
    """The control: while the one connection waits for a lock, another request is 503."""
    with psycopg.connect(own_url) as admin:
        admin.execute("INSERT INTO users (id) VALUES ('alice'), ('bob')")
        admin.commit()
        with (
            serve(own_url, **ONE_CONNECTION) as api,
            api.client("alice") as alice,
            api.client("bob") as bob,
            ThreadPoolExecutor(1) as pool,
        ):
            assert alice.get("/api/tasks").status_code == 200
            admin.execute("LOCK TABLE tasks")
            waiting = pool.submit(alice.get, "/api/tasks")
            wait_for_lock_waiters(own_url, 1)
            problem(bob.get("/api/tasks"), "database_unavailable")
            admin.rollback()
            assert waiting.result().status_code == 200
            assert bob.get("/api/tasks").status_code == 200


async def test_very_large_lists_that_wait_hold_no_connection(
    served_url: str, large: str, alice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One is read at a time; the others of the same user must not take all connections."""
    for name, value in {
        "DATABASE_URL": served_url,
        "BETTER_AUTH_SECRET": SECRET,
        **SERVER_SETTINGS,
        **PATIENT,
        "TASKAPI_POOL_SIZE": "2",
    }.items():
        monkeypatch.setenv(name, value)
    app = create_app(Settings.from_environment())
    services = services_of(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://test", timeout=60
        ) as client,
    ):

        async def get(user: str) -> httpx.Response:
            bearer = {"Authorization": f"Bearer {token(user)}"}
            return await client.get("/api/tasks", headers=bearer)

        async with services.very_large_list:  # as while another one is read
            reading = [asyncio.create_task(get(large)) for _ in range(4)]
            lock = services.very_large_list
            await wait_until_async(lambda: len(lock._waiters or ()) == 4)
            assert services.database.stats()["requests_waiting"] == 0
            assert (await get(alice)).json() == []
            assert not any(task.done() for task in reading), "the control: they wait"
        for answered in await asyncio.gather(*reading):
            assert answered.status_code == 200
            assert len(answered.json()) == MANY
        assert not services.very_large_list.locked()


def test_a_client_that_leaves_leaves_no_file(serve: Serve, large: str) -> None:
    with serve(**PATIENT) as api:
        for _ in range(3):
            with unread(api, large):
                assert files_of_lists(api)
        wait_until(lambda: not files_of_lists(api), "the end of the files")


def test_head_and_304_write_no_file(serve_lists: Serve, large: str, alice: str, url: str) -> None:
    """A process that may write no file over half a megabyte answers them, and cannot send the list.

    The failure of the disk is a 500 without a word about it, and costs no connection.
    """
    body = expected(url, large)
    with (
        serve_lists(file_bytes=MEGABYTE // 2, **ONE_CONNECTION) as api,
        api.client(large) as client,
        api.client(alice) as other,
    ):
        for _ in range(2):
            answer = client.head("/api/tasks")
            assert (answer.status_code, answer.headers["etag"]) == (200, body.etag)
            assert answer.headers["content-length"] == str(len(body.content))
            for known in (body.etag, "*"):
                same = client.get("/api/tasks", headers={"If-None-Match": known})
                assert (same.status_code, same.headers["etag"]) == (304, body.etag)
            problem(client.get("/api/tasks"), "internal_error")
            problem(client.get("/api/tasks", headers={"If-None-Match": '"x"'}), "internal_error")
            assert other.get("/api/tasks").status_code == 200
        assert not files_of_lists(api)
