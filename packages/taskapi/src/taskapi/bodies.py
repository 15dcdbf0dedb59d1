"""Bodies: read within a bound, parsed as strictly as RFC 8259 has it, never a 500."""

from __future__ import annotations

import asyncio
import json
from email.message import Message
from typing import Any, NoReturn

from starlette.requests import ClientDisconnect, Request

from .problems import BODY_TOO_LARGE, INVALID_JSON, UNSUPPORTED_MEDIA_TYPE, Problem

# A client that sends too much reads the answer only when it has sent it all: what comes is thrown
# away for this long, and then the connection ends.
_LINGER_SECONDS = 5.0


async def read(request: Request, limit: int) -> bytes:
    """The whole body, counted as it comes."""
    announced = request.headers.get("content-length", "0")
    if announced.isdecimal() and int(announced) > limit:
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


def parse(request: Request, body: bytes) -> Any:
    """The value that a body stands for."""
    if not _is_json(request.headers.get("content-type", "")):
        raise Problem(UNSUPPORTED_MEDIA_TYPE)
    try:
        return _DECODER.decode(body.decode("utf-8"))
    except (ValueError, RecursionError):
        raise Problem(INVALID_JSON) from None


async def _refuse(request: Request) -> NoReturn:
    if "expect" in request.headers:  # it has not begun to send, and waits to hear whether it may
        raise Problem(BODY_TOO_LARGE, headers={"Connection": "close"})
    try:
        async with asyncio.timeout(_LINGER_SECONDS):
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


# No field is a number, so a whole number of 5,000 digits may become a float: it is ignored, or
# refused as what is not text. (As an int it would be an error of the parser.)
_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, parse_int=float)
