"""Logs on standard error: one line for each request, as JSON or as text for a terminal."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import orjson
from starlette.types import Scope

from .access_log import AccessLog
from .request_id import REQUEST_ID
from .task_request import USER

REFUSED_WITH = "taskapi.refused_with"
"""The key of the status in the scope of a request that the server has refused, as late for one."""

Format = Literal["auto", "json", "text"]


_access = logging.getLogger("taskapi.access")
# The access log of a process whose log is JSON; otherwise its lines are records of `logging`.
_lines: AccessLog | None = None


def log_request(scope: Scope, status: int, seconds: float) -> None:
    """Log one line for a request, without its headers, query or body."""
    if not _access.isEnabledFor(logging.INFO):
        return
    route = scope.get("route")
    fields = {
        "time": datetime.now(UTC),
        "level": "info",
        "logger": "taskapi.access",
        "message": "request",
        "method": scope["method"],
        # The route's template and not the path, whose text the client chooses.
        "route": None if route is None else getattr(route, "path", None),
        "status": scope.get(REFUSED_WITH, status),
        "ms": round(seconds * 1000, 2),
        "request_id": scope[REQUEST_ID],
        "user": scope.get(USER),
    }
    if _lines is None:
        _access.info("request", extra={"fields": fields})
    else:
        _lines.add(orjson.dumps(fields, option=orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE))


def log_refusal(status: int, request_id: str) -> None:
    """Log one line for what was refused before it was a request."""
    log_request({"method": None, REQUEST_ID: request_id}, status, 0.0)


class JsonLines(logging.Formatter):
    """One JSON object for each record."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str, option=orjson.OPT_UTC_Z).decode()


class Text(logging.Formatter):
    """One line of text for each record."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        fields = _fields(record)
        if fields:
            rest = "{method!s:6} {route} {status} {ms} ms {request_id} {user}".format(**fields)
        else:
            rest = f"{record.levelname.lower()} {record.name}: {record.getMessage()}"
        if record.exc_info:
            rest += "\n" + self.formatException(record.exc_info)
        return f"{time} {rest}"


def _fields(record: logging.LogRecord) -> Mapping[str, Any]:
    fields: Mapping[str, Any] = getattr(record, "fields", {})
    return fields


def configure(format: Format, level: str = "INFO") -> None:
    """Send all logs of this process to standard error; called by the command that owns it."""
    global _lines
    as_text = sys.stderr.isatty() if format == "auto" else format == "text"
    _lines = None if as_text else AccessLog(sys.stderr.fileno())
    handler = logging.StreamHandler()
    handler.setFormatter(Text() if as_text else JsonLines())
    # On the handler too, for the loggers that have a lower level of their own.
    handler.setLevel(level.upper())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # At INFO these log every request, and the URL of the key set.
    for chatty in ("uvicorn.access", "httpx", "httpcore"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
