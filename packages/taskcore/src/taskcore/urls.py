"""Database URLs in any driver's dialect, as connection strings for libpq."""

from __future__ import annotations

import re
from typing import NamedTuple

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from .errors import InvalidInput

_START = re.compile(r"^postgres(?:ql)?(?:\+\w+)?://(?P<login>[^@/]*@)?")
_POOLER = "-pooler"
# Where a URL names none.
_PORT = 5432


def libpq_conninfo(url: str) -> str:
    """Return libpq's connection string for a URL; no error message repeats the URL."""
    start = _START.match(url)
    if start is None:
        raise InvalidInput("the database URL must start with postgresql://")
    # asyncpg calls sslmode ssl; a password may contain the same characters.
    rest = re.sub(r"([?&])ssl=", r"\1sslmode=", url[start.end() :])
    try:
        return make_conninfo(f"postgresql://{start['login'] or ''}{rest}")
    except psycopg.ProgrammingError as error:
        parameter = re.search(r'invalid URI query parameter: "([^"]*)"', str(error))
        reason = f": PostgreSQL knows no parameter {parameter[1]!r}" if parameter else ""
        raise InvalidInput(f"the database URL can't be read{reason}") from None


class Place(NamedTuple):
    """Where a database is, as far as its URL says it."""

    host: str | None
    port: int | None
    database: str | None


def place_of(url: str) -> Place:
    """Return host, port and database of a URL; of several hosts none, and no port of a socket."""
    found = conninfo_to_dict(libpq_conninfo(url))
    host, port = str(found.get("host") or ""), str(found.get("port") or _PORT)
    if "," in host or "," in port:
        host = ""
    if not host or host.startswith("/"):
        port = ""
    database = found.get("dbname")
    return Place(host or None, int(port) if port else None, str(database) if database else None)


def is_pooled(conninfo: str) -> bool:
    """Whether a host is named as Neon names its transaction pooler."""
    return any(_is_pooler(host) for host in _hosts(conninfo))


def direct(conninfo: str) -> str:
    """Return the connection string of the same database without the pooler in front."""
    hosts = [_without_pooler(host) for host in _hosts(conninfo)]
    return make_conninfo(conninfo, host=",".join(hosts)) if hosts else conninfo


def _hosts(conninfo: str) -> list[str]:
    host = conninfo_to_dict(conninfo).get("host")
    return str(host).split(",") if host else []


def _is_pooler(host: str) -> bool:
    return host.partition(".")[0].endswith(_POOLER)


def _without_pooler(host: str) -> str:
    name, dot, domain = host.partition(".")
    return name.removesuffix(_POOLER) + dot + domain
