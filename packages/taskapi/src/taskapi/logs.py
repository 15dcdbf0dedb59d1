"""Logs on standard error: a line per request, as JSON or for a person at a terminal."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import orjson
from starlette.types import Scope

from .inputs import USER

Format = Literal["auto", "json", "text"]


class AccessLog:
    """What is told of a request: never its headers, its query or its body."""

    def __init__(self) -> None:
        self._logger = logging.getLogger("taskapi.access")

    def log(self, scope: Scope, status: int, seconds: float) -> None:
        if not self._logger.isEnabledFor(logging.INFO):
            return
        route = scope.get("route")
        self._logger.info(
            "request",
            extra={
                "fields": {
                    "method": scope["method"],
                    # The template and not the path: that is the client's to choose.
                    "route": getattr(route, "path", None),
                    "status": status,
                    "ms": round(seconds * 1000, 2),
                    "request_id": scope["taskapi.request_id"],
                    "user": scope.get(USER),
                }
            },
        )


ACCESS = AccessLog()


class JsonLines(logging.Formatter):
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
    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        fields = _fields(record)
        if fields:
            rest = "{method:6} {route} {status} {ms} ms {request_id} {user}".format(**fields)
        else:
            rest = f"{record.levelname.lower()} {record.name}: {record.getMessage()}"
        if record.exc_info:
            rest += "\n" + self.formatException(record.exc_info)
        return f"{time} {rest}"


def _fields(record: logging.LogRecord) -> Mapping[str, Any]:
    fields: Mapping[str, Any] = getattr(record, "fields", {})
    return fields


def configure(format: Format, level: str = "INFO") -> None:
    """Send everything that is logged in this process to standard error."""
    as_text = sys.stderr.isatty() if format == "auto" else format == "text"
    handler = logging.StreamHandler()
    handler.setFormatter(Text() if as_text else JsonLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # What these tell as information is not for a log: the pool's every move, and the key set's URL.
    for chatty in ("psycopg.pool", "uvicorn.access", "httpx", "httpcore"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
