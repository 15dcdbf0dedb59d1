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
        together = (
            None if message.get("more_body") else self._together(head, message.get("body", b""))
        )
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
        """The bytes of the response, or None where uvicorn has to decide how it ends."""
        status = head["status"]
        fields = [*self.default_headers, *head.get("headers", ())]
        values = dict(fields)
        connection = values.get(b"connection", b"close")
        if connection != b"close" or b"transfer-encoding" in values:
            return None
        is_head = self.scope["method"] == "HEAD"
        announced = values.get(b"content-length")
        if announced is None:
            if status not in _WITHOUT_BODY or body:
                return None
        elif not is_head and int(announced) != len(body):
            return None
        if b"connection" in values:
            self.keep_alive = False
        elif not self.keep_alive:
            fields.append((b"connection", b"close"))
        lines = b"\r\n".join(map(b": ".join, fields))
        start = b"%b%b\r\n\r\n" % (STATUS_LINE[status], lines)
        # Of the status line, of each field, and the empty line.
        breaks = 1 + len(fields) + 1
        if not start.count(b"\n") == start.count(b"\r") == breaks:
            raise RuntimeError("a header has a line break in it")
        return start if is_head else start + body
