"""Successful responses: rows become bytes without a model in between."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from taskcore.tasks.fields import TASK_COLUMNS, TaskRow
from taskcore.tasks.operations import CreatedRow

from . import etags
from .problems import CACHING

_ID = TASK_COLUMNS.index("id")
_UPDATED_AT = TASK_COLUMNS.index("updated_at")


class Body(NamedTuple):
    """The bytes of a response and their ETag."""

    content: bytes
    etag: str


class Created(NamedTuple):
    """The body of a created task; `replayed` if an earlier request with the key created it."""

    body: Body
    id: str
    replayed: bool


def row_dicts(rows: Iterable[TaskRow]) -> list[dict[str, Any]]:
    """The rows as JSON objects. A test compares the fields with TASK_COLUMNS."""
    # Written out: a zip with the names takes three times as long, and a list has many rows.
    return [
        {
            "id": id,
            "user_id": user_id,
            "title": title,
            "description": description,
            "completed": completed,
            "created_at": created_at,
            "updated_at": updated_at,
        }
        for id, user_id, title, description, completed, created_at, updated_at in rows
    ]


def task(row: TaskRow) -> Body:
    content = orjson.dumps(row_dicts([row])[0], option=orjson.OPT_UTC_Z)
    return Body(content, etags.of_version(row[_UPDATED_AT]))


def array(rows: Iterable[TaskRow]) -> bytes:
    """The rows as a JSON array."""
    return orjson.dumps(row_dicts(rows), option=orjson.OPT_UTC_Z)


def tasks(rows: list[TaskRow]) -> Body:
    content = array(rows)
    return Body(content, etags.of_bytes(content))


def created(row: CreatedRow) -> Created:
    return Created(task(row.task), str(row.task[_ID]), row.replayed)


def ok(body: Body, if_none_match: str | None = None) -> Response:
    """200, or 304 if the client has this version already."""
    etag = (b"etag", body.etag.encode())
    if if_none_match is not None and etags.is_known(body.etag, if_none_match):
        return _Prepared(304, [etag], None)
    return _Prepared(200, [etag], body.content)


def made(created: Created, path: str, *, keyed: bool) -> Response:
    """201 with the path of the task."""
    headers = [
        (b"etag", created.body.etag.encode()),
        (b"location", f"{path}/{created.id}".encode()),
    ]
    if keyed and created.replayed:
        headers.append((b"idempotency-replayed", b"true"))
    return _Prepared(201, headers, created.body.content)


def deleted() -> Response:
    """204."""
    return _Prepared(204, [], None)


_CACHING = [(name.lower().encode(), value.encode()) for name, value in CACHING.items()]
_JSON = (b"content-type", b"application/json")


class _Prepared(Response):
    """A response whose headers are bytes already: Starlette would encode each of them again."""

    def __init__(
        self, status: int, headers: list[tuple[bytes, bytes]], content: bytes | None
    ) -> None:
        self.status_code = status
        self.background = None
        self.body = content or b""
        self.raw_headers = [*_CACHING, *headers]
        if content is not None:
            self.raw_headers += [(b"content-length", b"%d" % len(content)), _JSON]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": self.status_code}
        await send({**start, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body})
