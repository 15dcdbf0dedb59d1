"""uvicorn's response, with head and body in one write.

uvicorn writes the head when it is sent and the body when that is sent: two system calls, and two
packets. Here the head is kept until the first part of the body comes. If that is the only part,
both are written together; otherwise uvicorn goes on as ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

if TYPE_CHECKING:
    from uvicorn._types import ASGISendEvent

_WITHOUT_BODY = (204, 304)


class ResponseCycle(RequestResponseCycle):
    """One request and its response."""

    _head: Any = None

    async def send(self, message: ASGISendEvent) -> None:
        head = self._head
        if head is None:
            if self.response_started or message["type"] != "http.response.start":
                await super().send(message)
            else:
                self._head = message
            return
        self._head = None
        if message["type"] != "http.response.body":
            # The application failed before its body: only closing the connection can report it.
            await super().send(head)
            self.disconnected = True
            self.transport.close()
            return
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        together = None if message.get("more_body") else self._together(head, message["body"])
        if together is None:
            await super().send(head)
            await super().send(message)
        elif not self.disconnected:
            self.response_started = self.response_complete = True
            self.waiting_for_100_continue = False
            self.transport.write(together)
            self.message_event.set()
            if not self.keep_alive:
                self.transport.close()
            self.on_response()

    def _together(self, head: Any, body: bytes) -> bytes | None:
        """The bytes of the response, or None if its length is not known or not right."""
        status = head["status"]
        is_head = self.scope["method"] == "HEAD"
        announced = None
        keep_alive = self.keep_alive
        lines = [STATUS_LINE[status]]
        fields = [*self.default_headers, *head["headers"]]
        for name, value in fields:
            if name == b"content-length":
                announced = value
            elif name == b"transfer-encoding":
                return None
            elif name == b"connection":
                keep_alive = keep_alive and b"close" not in value.lower()
                continue
            lines += (name, b": ", value, b"\r\n")
        if announced is None:
            if status not in _WITHOUT_BODY or body:
                return None
        elif not is_head and int(announced) != len(body):
            return None
        if not keep_alive:
            self.keep_alive = False
            lines.append(b"connection: close\r\n")
        lines.append(b"\r\n")
        start = b"".join(lines)
        # Of the status line, of each field, of Connection, and the empty line.
        breaks = 1 + (len(lines) - 2) // 4 + (not keep_alive) + 1
        if not start.count(b"\n") == start.count(b"\r") == breaks:
            raise RuntimeError("a header has a line break in it")
        return start if is_head else start + body
