"""Request bodies: read up to a limit, and parsed as strictly as RFC 8259 says."""

from __future__ import annotations

import asyncio
import json
from email.message import Message
from typing import Any, NoReturn

from starlette.requests import ClientDisconnect, Request

from .header_values import header_values
from .problems import BODY_TOO_LARGE, INVALID_JSON, UNSUPPORTED_MEDIA_TYPE, Problem

# Many clients read the answer only after they have sent the whole body. The rest of a body that is
# too large is therefore read and discarded for this long; then the connection is closed.
_DISCARD_SECONDS = 5.0
# A request with neither has no body.
_FRAMING = (b"content-length", b"transfer-encoding")


async def read(request: Request, limit: int) -> bytes:
    """The whole body; 413 as soon as more than `limit` bytes are announced or received."""
    announced = header_values(request.scope, b"content-length")
    if announced and announced[0].isdecimal() and int(announced[0]) > limit:
        await _refuse(request)
    parts: list[bytes] = []
    size = 0
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            parts.clear()
            await _refuse(request)
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


async def discard(request: Request) -> None:
    """Wait for the end of a body that nothing reads: a part of a request changes nothing."""
    if not any(name in _FRAMING for name, _ in request.scope["headers"]):
        return  # to receive would let the server read the request behind this one
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        if not message.get("more_body", False):
            return


def parse(request: Request, body: bytes) -> Any:
    """The JSON value of a body; 415 or 400 if it is none."""
    if not _is_json((header_values(request.scope, b"content-type") or [""])[0]):
        raise Problem(UNSUPPORTED_MEDIA_TYPE)
    try:
        return _DECODER.decode(body.decode("utf-8"))
    except (ValueError, RecursionError):
        raise Problem(INVALID_JSON) from None


async def _refuse(request: Request) -> NoReturn:
    if "expect" in request.headers:  # the client waits for 100 Continue and has sent nothing
        raise Problem(BODY_TOO_LARGE, headers={"Connection": "close"})
    try:
        async with asyncio.timeout(_DISCARD_SECONDS):
            while (await request.receive()).get("more_body", False):
                pass
    except TimeoutError:
        raise Problem(BODY_TOO_LARGE, headers={"Connection": "close"}) from None
    raise Problem(BODY_TOO_LARGE)


def _is_json(content_type: str) -> bool:
    if content_type == "application/json":
        return True
    message = Message()
    message["content-type"] = content_type
    return message.get_content_type() == "application/json" and content_type != ""


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


# int() refuses more than 4,300 digits, which would make valid JSON a 400. No field is a number, so
# the loss of precision of a float does not matter.
_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, parse_int=float)
