"""Answers that are no errors: rows go to bytes without a model in between."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import orjson
from starlette.responses import Response

from taskcore.schemas import CreatedRow, TaskRow

from . import etags
from .problems import CACHING


class Body(NamedTuple):
    """A representation, and the ETag that stands for it."""

    content: bytes
    etag: str


class Created(NamedTuple):
    body: Body
    id: str
    replayed: bool


def _dicts(rows: Iterable[TaskRow]) -> list[dict[str, Any]]:
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
    return Body(orjson.dumps(_dicts([row])[0], option=orjson.OPT_UTC_Z), etags.of_version(row[6]))


def tasks(rows: list[TaskRow]) -> Body:
    content = orjson.dumps(_dicts(rows), option=orjson.OPT_UTC_Z)
    return Body(content, etags.of_bytes(content))


def created(row: CreatedRow) -> Created:
    return Created(task(row[:7]), str(row[0]), row[7])


def ok(body: Body, known: str | None = None) -> Response:
    """200, or 304 for a client that has it already."""
    headers = {"ETag": body.etag, **CACHING}
    if etags.is_known(body.etag, known):
        return Response(None, 304, headers)
    return Response(body.content, 200, headers, "application/json")


def made(new: Created, path: str, *, keyed: bool) -> Response:
    """201 with the task's place."""
    headers = {"ETag": new.body.etag, "Location": f"{path}/{new.id}", **CACHING}
    if keyed and new.replayed:
        headers["Idempotency-Replayed"] = "true"
    return Response(new.body.content, 201, headers, "application/json")


def gone() -> Response:
    return Response(None, 204, CACHING)
