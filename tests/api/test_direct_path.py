"""The whole contract, sent through the direct path and through FastAPI alone: the same bytes."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import NamedTuple
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from api.one_way_server import DIRECT, PROGRAM, environment
from support.api_server import ORIGIN, SECRET, Api, serving, token
from support.http_contract import create
from support.pgbouncer import SERVER_SETTINGS
from support.pgbouncer import Route as DatabaseRoute
from taskapi.app import TaskApi, create_app
from taskapi.direct_path import DirectPath
from taskapi.routes import PATH
from taskapi.settings import Settings
from taskapi.task_request import TaskRequest
from taskapi.task_route import TaskRoute
from taskcore import TaskNotFound

JSON = "Content-Type: application/json"
KEY = "Idempotency-Key: the key"
OTHER = "Origin: http://other.example"
ONE = f"{PATH}/{{task}}"
NEW = '{"title": "new"}'


class Sent(NamedTuple):
    """A request. `{task}` is the last task made, `{etag}` its last tag, `{foreign}` another's."""

    method: str
    path: str
    fields: tuple[str, ...] = ()
    body: str = ""


# In the order in which they are sent.
CONTRACT = [
    Sent("POST", PATH, (JSON,), NEW),
    Sent("POST", PATH, (JSON, KEY), NEW),
    Sent("POST", PATH, (JSON, KEY), NEW),
    Sent("POST", PATH, (JSON, "Idempotency-Key: "), NEW),
    Sent("POST", PATH, (JSON,), "{"),
    Sent("POST", PATH, (JSON,), '{"title": ""}'),
    Sent("POST", PATH, (JSON,), '{"title": "x", "color": "red"}'),
    Sent("POST", PATH, (JSON,), "[]"),
    Sent("POST", PATH, (JSON,), "x" * 3_000_000),
    Sent("POST", PATH, ("Content-Type: text/plain",), NEW),
    Sent("POST", PATH),
    Sent("POST", f"{PATH}/", (JSON,), NEW),
    Sent("POST", f"{PATH}?a=b", (JSON, "Expect: 100-continue"), NEW),
    Sent("GET", PATH),
    Sent("GET", PATH, ("If-None-Match: {etag}",)),
    Sent("HEAD", PATH),
    Sent("HEAD", PATH, ("If-None-Match: *",)),
    Sent("GET", ONE),
    Sent("GET", ONE, ("If-None-Match: {etag}",)),
    Sent("GET", ONE, ('If-None-Match: "another"',)),
    Sent("HEAD", ONE),
    Sent("HEAD", ONE, ("If-None-Match: {etag}",)),
    Sent("PUT", ONE, (JSON,), '{"title": "changed"}'),
    Sent("PUT", ONE, (JSON, "If-Match: {etag}"), '{"completed": true}'),
    Sent("PUT", ONE, (JSON, 'If-Match: "stale"'), '{"completed": false}'),
    Sent("PUT", ONE, (JSON, "If-Match: stale"), '{"completed": false}'),
    Sent("PUT", ONE, (JSON,), "{}"),
    Sent("PUT", ONE),
    Sent("PATCH", f"{ONE}/complete"),
    Sent("PATCH", f"{ONE}/complete", (JSON,), '{"completed": true}'),
    Sent("PATCH", f"{ONE}/complete", (JSON,), '{"completed": 1}'),
    Sent("PATCH", f"{ONE}/complete", ('If-Match: "stale"',)),
    Sent("DELETE", ONE, ('If-Match: "stale"',)),
    Sent("DELETE", ONE, ("If-Match: *",)),
    Sent("DELETE", ONE),
    Sent("GET", ONE),
    Sent("HEAD", ONE),
    *(Sent(method, f"{PATH}/{{foreign}}") for method in ("GET", "HEAD", "DELETE")),
    Sent("PUT", f"{PATH}/{{foreign}}", (JSON,), '{"title": "mine"}'),
    Sent("PATCH", f"{PATH}/{{foreign}}/complete"),
    # Without a user.
    *(
        Sent(method, path, (credentials, *extra))
        for credentials in (
            "Authorization: ",
            "Authorization: Basic x",
            "Authorization: Bearer x",
            "Authorization: Bearer {expired}",
            "Authorization: Bearer {unknown}",
        )
        for extra in ((), (f"Origin: {ORIGIN}",))
        for method, path in (("GET", PATH), ("HEAD", ONE), ("PATCH", f"{ONE}/complete"))
    ),
    # Other origins and preflights.
    *(Sent("GET", at, (by,)) for at in (PATH, ONE) for by in (f"Origin: {ORIGIN}", OTHER)),
    *(
        Sent("OPTIONS", path, (origin, f"Access-Control-Request-Method: {method}"))
        for path in (PATH, ONE, f"{ONE}/complete", "/health/live", "/nowhere")
        for origin in (f"Origin: {ORIGIN}", OTHER)
        for method in ("GET", "PATCH", "PURGE")
    ),
    Sent("OPTIONS", PATH),
    # Ids.
    *(
        Sent(method, f"{PATH}/{id}{rest}")
        for id in ("1", "x" * 300, "{{id}}", "%7Bid%7D", "%20", "%00", "%C3%A9", "%FF", "a%2Fb")
        for method, rest in (("GET", ""), ("DELETE", ""), ("PATCH", "/complete"))
    ),
    # Paths.
    *(
        Sent(method, path)
        for path in (
            "/",
            "/api",
            "/api/",
            "//api/tasks",
            "/api//tasks",
            f"{PATH}//",
            f"{PATH}/complete",
            f"{PATH}//complete",
            f"{ONE}/",
            f"{ONE}//",
            f"{ONE}/complete/",
            f"{ONE}/complete/x",
            f"{ONE}/other",
            f"{PATH}/%0A",
            f"{ONE}%0A",
            f"{PATH}%0A",
            f"{PATH}/%0A/complete",
            f"{ONE}/complete%0A",
            "/api/%74asks",
            "/api%2Ftasks",
            "/API/tasks",
            "/api/tasks;x",
            "/api/./tasks",
            "/api/x/../tasks",
            "/api/tasks?x=/",
            "/%7Bid%7D/tasks",
            "/health/live",
            "/health/live/",
            "/docs",
            "/openapi.json",
            "/nowhere",
        )
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
    ),
    Sent("TRACE", PATH),
    Sent("PROPFIND", ONE),
]  # fmt: skip

# What differs by its nature.
TIMES = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
DATE = re.compile(r"(?m)^date: .*$")
REQUEST_ID = re.compile(r'(x-request-id: |"request_id":")[0-9a-f]{20,}')
TAG = re.compile(r'(?m)^etag: "(.*)"')
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class Way:
    """A server, and what was sent to it by a user of its own."""

    def __init__(self, api: Api, user: str, foreign: str) -> None:
        self.api = api
        self._user = user
        self._values = {
            "task": "",
            "etag": "",
            "foreign": foreign,
            "expired": token(user, lifetime=-600),
            "unknown": token("no such user"),
        }
        self._ids: list[str] = []

    def answer(self, sent: Sent) -> str:
        """The bytes of the answer, but for what differs by its nature."""
        raw = self._exchange(sent).decode("latin-1")
        head = raw.partition("\r\n\r\n")[0]
        if tag := TAG.search(head):
            self._values["etag"] = f'"{tag[1]}"'
        if made := re.search(r"(?m)^location: .*/(.*)\r$", head):
            self._values["task"] = made[1]
        for found in ID.findall(raw):
            if found not in self._ids:
                self._ids.append(found)
        for number, found in enumerate(self._ids):
            raw = raw.replace(found, f"<task {number}>")
        raw = raw.replace(self._user, "<user>")
        for pattern, instead in ((TIMES, "<time>"), (DATE, "<date>"), (TAG, "<tag>")):
            raw = pattern.sub(instead, raw)
        return REQUEST_ID.sub(r"\1<request id>", raw)

    def _exchange(self, sent: Sent) -> bytes:
        fields = [field.format(**self._values) for field in sent.fields]
        if not any(field.startswith("Authorization") for field in fields):
            fields.append(f"Authorization: Bearer {token(self._user)}")
        if sent.body:
            fields.append(f"Content-Length: {len(sent.body)}")
        path = sent.path.format(**self._values)
        lines = [f"{sent.method} {path} HTTP/1.1", "Host: x", "Connection: close", *fields, "", ""]
        parts = urlsplit(self.api.base)
        with socket.create_connection((parts.hostname, parts.port), timeout=30) as sock:
            sock.sendall("\r\n".join(lines).encode() + sent.body.encode())
            return b"".join(iter(lambda: sock.recv(65_536), b""))

    def direct(self) -> int:
        return self.api.log.read_text().count(DIRECT)


@pytest.fixture(scope="module")
def make_api(
    url: str, through_pooler: DatabaseRoute, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[bool], Api]]:
    with ExitStack() as stack:

        def make(alone: bool) -> Api:
            log = tmp_path_factory.mktemp("ways") / "log"
            settings = {"CORS_ORIGINS": ORIGIN, **environment(fastapi_alone=alone)}
            return stack.enter_context(serving(through_pooler(url), log, settings, PROGRAM))

        yield make


def test_both_ways_answer_the_whole_contract_alike(
    make_api: Callable[[bool], Api], make_user: Callable[[], str]
) -> None:
    direct, alone = make_api(False), make_api(True)
    with alone.client(make_user()) as stranger:
        foreign = create(stranger)["id"]
    ways = [Way(api, make_user(), foreign) for api in (direct, alone)]
    statuses = set()
    for sent in CONTRACT:
        through_both = [way.answer(sent) for way in ways]
        assert through_both[0] == through_both[1], sent
        assert through_both[0].startswith("HTTP/1.1 "), sent
        statuses.add(int(through_both[0][9:12]))
    wanted = {200, 201, 204, 304, 400, 401, 403, 404, 405, 412, 413, 415, 422}
    assert statuses >= wanted
    # The control: the two ways were not the same way.
    assert ways[0].direct() > 80 and ways[1].direct() == 0


# --- one table ------------------------------------------------------------------------------------


@pytest.fixture
def app(served_url: str, monkeypatch: pytest.MonkeyPatch) -> TaskApi:
    changed = {"DATABASE_URL": served_url, "BETTER_AUTH_SECRET": SECRET, **SERVER_SETTINGS}
    for name, value in changed.items():
        monkeypatch.setenv(name, value)
    app = create_app(Settings.from_environment())
    assert isinstance(app, TaskApi)
    return app


def _route(app: TaskApi, method: str, path: str, root_path: str = "") -> TaskRoute | None:
    scope = {"type": "http", "method": method, "path": path, "root_path": root_path}
    return app.direct_path._route(scope)


def test_each_task_route_is_found_directly_and_no_other_is(app: TaskApi) -> None:
    found: list[TaskRoute] = []
    for route in app.routes:
        for method in getattr(route, "methods", None) or ():
            path = route.path.replace("{id}", "an id")  # type: ignore[attr-defined]
            if isinstance(route, TaskRoute):
                assert _route(app, method, path) is route
                found.append(route)
            else:
                assert _route(app, method, path) is None
    assert len(found) == len(app.direct_path._routes) == 8


def test_what_does_not_match_exactly_is_left_to_fastapi(app: TaskApi) -> None:
    one = f"{PATH}/{uuid4()}"
    assert _route(app, "GET", one) is not None
    for method, path in (
        ("GET", f"{one}/"),
        ("GET", f"{PATH}/"),
        ("GET", f"/{one}"),
        ("GET", f"{one}\n"),
        ("PATCH", f"{PATH}//complete"),
        ("PATCH", f"{PATH}/\n/complete"),
        ("PUT", PATH),
        ("POST", one),
        ("OPTIONS", PATH),
        ("GET", "/api/{id}/x"),
        ("GET", ""),
    ):
        assert _route(app, method, path) is None, (method, path)
    assert _route(app, "GET", one, root_path="/prefix") is None


def test_a_route_that_does_not_fit_the_table_is_refused(app: TaskApi) -> None:
    """Rather than be served by FastAPI alone."""
    # The control: one more that fits.
    app.router.add_api_route("/api/others", _nothing, route_class_override=TaskRoute)
    assert ("GET", "", "api", "others") in DirectPath(app, app)._routes
    app.router.add_api_route("/{id}/tasks/x", _nothing, route_class_override=TaskRoute)
    with pytest.raises(TypeError, match="does not fit"):
        DirectPath(app, app)


async def _nothing(request: TaskRequest) -> Response:
    return Response()


@pytest.mark.parametrize("mounted", [True, False], ids=["mounted", "alone"])
async def test_below_another_application_everything_goes_through_fastapi(
    mounted: bool, app: TaskApi, alice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    direct = 0
    answer = DirectPath._answer

    async def counted(*args: object) -> None:
        nonlocal direct
        direct += 1
        await answer(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(DirectPath, "_answer", counted)
    outer = Starlette(routes=[Mount("/below", app)]) if mounted else app
    base = "http://test/below" if mounted else "http://test"
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(outer),
            base_url=base,
            headers={"Authorization": f"Bearer {token(alice)}"},
        ) as client,
    ):
        made = await client.post(PATH, json={"title": "one"})
        assert made.status_code == 201
        got = await client.get(made.headers["location"])
        assert got.json() == made.json()
        assert (await client.get(f"{PATH}/x")).json()["code"] == "validation_failed"
    assert direct == (0 if mounted else 3)


async def test_an_application_that_is_mounted_here_is_served(app: TaskApi) -> None:
    async def hello(_: Request) -> Response:
        return PlainTextResponse("hello")

    app.mount("/sub", Starlette(routes=[Route("/hello", hello)]))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://test"
    ) as client:
        served = await client.get("/sub/hello")
        assert (served.status_code, served.text) == (200, "hello")
        assert served.headers["x-request-id"]
        # The control: what is not there is a problem of this application.
        missing = await client.get("/elsewhere")
        assert missing.json()["code"] == "route_not_found"


@pytest.mark.parametrize("path", [PATH, f"{PATH}/"], ids=["directly", "through FastAPI"])
async def test_the_nearest_handler_of_an_error_answers(path: str, app: TaskApi, alice: str) -> None:
    """A service that embeds the application may add one for a kind of error."""

    async def teapot(_: Request, error: Exception) -> Response:
        return PlainTextResponse(type(error).__name__, 418)

    app.add_exception_handler(TaskNotFound, teapot)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app),
            base_url="http://test",
            headers={"Authorization": f"Bearer {token(alice)}"},
        ) as client,
    ):
        one = f"{PATH}/{uuid4()}" + ("/" if path.endswith("/") else "")
        answered = await client.get(one)
        assert (answered.status_code, answered.text) == (418, "TaskNotFound")
        # The control: another error has the usual answer.
        assert (await client.get(f"{PATH}/x")).json()["code"] == "validation_failed"
