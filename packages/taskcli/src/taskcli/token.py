"""`taskcli token`: print a token for development, or say why a token is refused."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from typing import Annotated, Any

import typer

from . import environment, output
from .failures import Failure, WrongUse
from .verbs import Json

# 32 letters and digits; in a cookie, a signature follows.
_SESSION_TOKEN = re.compile(r"[A-Za-z0-9]{32}(\.[A-Za-z0-9+/=%_-]+)?")
_UNKNOWN_USER = "there is no such user"
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def token(
    user: Annotated[
        str | None, typer.Option(metavar="ID", help="User id; print a token for this user.")
    ] = None,
    ttl: Annotated[str, typer.Option(help="Lifetime of the token: 90s, 15m, 12h, 7d.")] = "1h",
    inspect: Annotated[
        str | None,
        typer.Option(metavar="JWT", help="Verify this token; - reads it from standard input."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Print a token for development, or say whether the server accepts a token.

    The token is signed with BETTER_AUTH_SECRET. The user must exist.
    """
    if (user is None) == (inspect is None):
        raise WrongUse("give either --user ID or --inspect JWT")
    if inspect is not None:
        _inspect(inspect, as_json)
    elif user is not None:
        _make(user, ttl, as_json)


def _make(user: str, ttl: str, as_json: bool) -> None:
    seconds = duration(ttl)
    settings = environment.settings()
    if settings.better_auth_secret is None:
        raise WrongUse("set BETTER_AUTH_SECRET: a development token is signed with it")
    _must_exist(user)
    expires_at = int(time.time()) + seconds
    text = sign(
        user,
        expires_at,
        settings.better_auth_secret.get_secret_value(),
        iss=settings.jwt_issuer,
        aud=settings.jwt_audience,
    )
    if as_json:
        output.document({"token": text, "user_id": user, "expires_at": expires_at})
    else:
        output.line(text)


def sign(user: str, expires_at: int, secret: str, **claims: str | None) -> str:
    """A token as a frontend signs it."""
    import jwt

    payload: dict[str, Any] = {"sub": user, "iat": int(time.time()), "exp": expires_at}
    payload |= {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(payload, secret, "HS256")


def duration(text: str) -> int:
    """The seconds of 90s, 15m, 12h or 7d."""
    parts = re.fullmatch(r"([1-9][0-9]{0,8})([smhd]?)", text)
    if parts is None:
        raise WrongUse(f"--ttl {text} is no duration: write 90s, 15m, 12h or 7d")
    return int(parts[1]) * _UNITS[parts[2] or "s"]


def _must_exist(user: str) -> None:
    from taskcore import UnknownUser

    try:
        _ask_for(user)
    except UnknownUser as error:
        raise Failure(f"there is no user {user!r}: `taskcli users list` shows them") from error


def _ask_for(user: str) -> None:
    """Ask as the server does: UnknownUser if the database does not know the user."""
    from uuid import UUID

    from taskcore import Database, TaskNotFound, get_task

    with Database(environment.database_url(), max_size=1) as database, suppress(TaskNotFound):
        database.run(get_task(user, UUID(int=0)))


def _inspect(text: str, as_json: bool) -> None:
    import asyncio

    from taskapi.problems import Problem

    text = typer.get_text_stream("stdin").read() if text == "-" else text
    text = text.strip().removeprefix("Bearer ")
    try:
        user = asyncio.run(_identify(text))
    except Problem as problem:
        reason = problem.reason or problem.kind.detail.rstrip(".")
        if _SESSION_TOKEN.fullmatch(text):
            reason += (
                "; it looks like Better Auth's session token: `await client.token()` in the page "
                "gives the JWT"
            )
        raise _refused(problem.kind.code, reason, as_json) from problem
    unasked = _why_not_asked(user)
    if unasked is _UNKNOWN_USER:
        raise _refused("user_unknown", f"there is no user {user!r} in the database", as_json)
    if as_json:
        exists = True if unasked is None else None
        output.document({"valid": True, "user_id": user, "user_exists": exists})
        return
    output.line(user)
    if unasked is None:
        output.note("the token would be accepted, as this user's")
    else:
        output.note(f"the token would be accepted, if this user exists: {unasked}")


def _refused(code: str, reason: str, as_json: bool) -> Failure:
    if as_json:
        output.document({"valid": False, "code": code, "reason": reason})
    return Failure(f"the token would be refused: {reason} ({code})")


def _why_not_asked(user: str) -> str | None:
    """None if the database knows the user, _UNKNOWN_USER, or why it could not be asked."""
    from taskcore import TaskcoreError, UnknownUser

    from .serve import connection_failure

    if failure := connection_failure(environment.database_url()):
        return failure[1]
    try:
        _ask_for(user)
    except UnknownUser:
        return _UNKNOWN_USER
    except TaskcoreError as error:
        return str(error).rstrip(".")
    return None


async def _identify(text: str) -> str:
    """The user of a token, verified as the server verifies it."""
    from taskapi.auth import authenticator_for

    authenticator = authenticator_for(environment.settings())
    await authenticator.open()
    try:
        return await authenticator.identify([(b"authorization", b"Bearer " + text.encode())])
    finally:
        await authenticator.close()
