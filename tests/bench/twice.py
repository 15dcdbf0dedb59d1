"""The control: taskapi that does the whole work of each request twice."""

from __future__ import annotations

from starlette.types import Message, Receive, Scope, Send

from taskapi.app import create_app_from_environment

_app = create_app_from_environment()


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await _app(dict(scope), receive, _discard)
    await _app(scope, receive, send)


async def _discard(message: Message) -> None:
    pass
