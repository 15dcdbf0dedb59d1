"""The log has a line for each request, with its id and without the user's content."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest

from support.api_server import SECRET, Api, Serve, token
from support.http_contract import Json, create

FIELDS = ["method", "route", "status", "ms", "request_id", "user"]
TITLE = "a title that must be in no log"


def log_of(api: Api) -> str:
    """Stop the server and return its log; before the end, the last line may still be missing."""
    api.stop()
    return api.log.read_text()


def requests(log: str) -> list[Json]:
    lines = [json.loads(line) for line in log.splitlines()]
    return [line for line in lines if line["logger"] == "taskapi.access"]


def test_there_is_one_json_line_for_each_request(serve: Serve, alice: str, bob: str) -> None:
    with serve() as api, api.client(alice) as as_alice, api.client(bob) as as_bob:
        task = create(as_alice)
        at = f"/api/tasks/{task['id']}"
        sent = [
            (as_alice.get("/api/tasks"), "/api/tasks", alice),
            (as_alice.get(f"{at}/"), "/api/tasks/{id}", alice),
            (as_bob.get(at), "/api/tasks/{id}", bob),
            (as_alice.get("/api/tasks/1"), "/api/tasks/{id}", alice),
            (as_alice.post("/api/tasks", content=b"{"), "/api/tasks", alice),
            (as_alice.get("/api/tasks", headers={"Authorization": "x"}), "/api/tasks", None),
            (as_alice.get("/nowhere"), None, None),
            (as_alice.patch(f"{at}/complete"), "/api/tasks/{id}/complete", alice),
            (as_alice.delete(at), "/api/tasks/{id}", alice),
        ]
        lines = requests(log_of(api))
    assert (lines[0]["route"], lines[-len(sent) - 1]["method"]) == ("/health/live", "POST")
    for (response, route, user), line in zip(sent, lines[-len(sent) :], strict=True):
        assert list(line) == ["time", "level", "logger", "message", *FIELDS]
        assert line["request_id"] == response.headers["x-request-id"]
        assert line["method"] == response.request.method
        assert (line["route"], line["status"], line["user"]) == (route, response.status_code, user)
        assert line["ms"] >= 0
        assert line["time"].endswith("Z")
        assert datetime.fromisoformat(line["time"]) <= datetime.now(UTC)


@pytest.mark.parametrize("format", ["json", "text"])
def test_no_content_of_a_user_is_logged(format: str, serve: Serve, url: str, alice: str) -> None:
    password = urlsplit(url).password
    assert password
    sent = token(alice)
    with (
        serve(TASKAPI_LOG_FORMAT=format) as api,
        api.client(Authorization=f"Bearer {sent}") as client,
    ):
        task = create(client, title=TITLE, description="described-by-alice")
        at = f"/api/tasks/{task['id']}"
        for path in (f"{at}?asked=by-alice", "/nowhere-of-alices", f"{at}by-alice"):
            client.get(path, headers={"If-None-Match": '"tag-of-alices"', "Cookie": "c=by-alice"})
        client.post("/api/tasks", json={"title": TITLE}, headers={"Idempotency-Key": "by-alice"})
        client.post("/api/tasks", content=TITLE, headers={"Content-Type": "application/json"})
        client.get("/api/tasks", headers={"Authorization": f"Bearer {sent}by-alice"})
        client.get("/health/ready")
        log = log_of(api)
    assert alice in log  # the control: this is the log of these requests
    hidden = [TITLE, "described", "by-alice", "of-alices", sent, sent.split(".")[2], task["id"]]
    assert [text for text in [*hidden, SECRET, password] if text in log] == []


def test_the_text_format_has_one_line_for_a_request(serve: Serve, alice: str) -> None:
    with serve(TASKAPI_LOG_FORMAT="text") as api, api.client(alice) as client:
        client.get("/api/tasks", headers={"X-Request-ID": "the-one"})
        client.get("/nowhere", headers={"X-Request-ID": "lost"})
        log = log_of(api)
    pattern = rf"^\d\d:\d\d:\d\d GET    /api/tasks 200 [\d.]+ ms the-one {alice}$"
    assert len(re.findall(pattern, log, re.MULTILINE)) == 1
    assert len(re.findall(r"^.* 404 [\d.]+ ms lost .*$", log, re.MULTILINE)) == 1


def test_no_line_can_be_forged(serve: Serve, alice: str) -> None:
    with serve(TASKAPI_LOG_FORMAT="text") as api, api.client(alice) as client:
        client.get("/%0D%0A00:00:00%20forged", headers={"X-Request-ID": "forged forged"})
        client.get("/api/tasks/%0Aforged")
        client.get("/api/tasks?%0Aforged", headers={"X-Request-ID": "real"})
        log = log_of(api)
    assert "forged" not in log
    assert len(re.findall(r"^.* 200 .* real .*$", log, re.MULTILINE)) == 1
