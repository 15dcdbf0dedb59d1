"""Where everything that can go wrong becomes one sentence and an exit code.

0: done. 1: the check or the work failed. 2: wrong use, settings included.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from . import output

if TYPE_CHECKING:
    import psycopg


class Failure(Exception):
    """The work failed; the message says what happened, what was changed and what to do."""

    code = 1


class WrongUse(Failure):
    """What was asked for makes no sense, or a setting doesn't."""

    code = 2


@contextmanager
def reported() -> Iterator[None]:
    """Whatever goes wrong inside is told in one sentence, and ends the command."""
    try:
        yield
    except (typer.Exit, typer.Abort, SystemExit):
        raise
    except BrokenPipeError:
        # Whoever read has read enough; the interpreter must not complain when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(1) from None
    except BaseException as error:
        sentence, code = explained(error)
        output.error(sentence)
        output.traceback(error)
        raise typer.Exit(code) from None


@contextmanager
def stopping_says(sentence: str) -> Iterator[None]:
    """What Ctrl-C in here leaves behind."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise Failure(f"stopped: {sentence}") from error


def explained(error: BaseException) -> tuple[str, int]:
    """The sentence and the exit code for an error."""
    if isinstance(error, Failure):
        return str(error), error.code
    if isinstance(error, KeyboardInterrupt):
        return "stopped; nothing was changed", 1
    if isinstance(error, OSError):
        return _of_the_system(error), 1
    if "taskcore" in sys.modules:
        from taskcore import InvalidInput, NoConnection, TaskcoreError

        if isinstance(error, InvalidInput):
            return str(error), 2
        if isinstance(error, NoConnection):
            reason = refusal(error)
            return (f"{reason}; nothing was changed" if reason else str(error)), 1
        if isinstance(error, TaskcoreError):
            return str(error).rstrip("."), 1
    if "psycopg" in sys.modules:
        import psycopg

        if isinstance(error, psycopg.Error):
            said = error.diag.message_primary if error.sqlstate else refusal(error)
            return f"the database says: {said or type(error).__name__}", 1
    return (
        f"something went wrong that nobody foresaw ({type(error).__name__}); --verbose shows where",
        1,
    )


def _of_the_system(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full: make room and run the command again"
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}"


# --- a connection that was not to be had ----------------------------------------------------------

# What libpq and the server say, and what it means to whoever set the URL. Their words may be in
# another language: then the words themselves are the reason.
_REASONS = (
    (("password authentication failed", "no password supplied", "SASL"), "password"),
    (("could not translate host name", "resolve", "not known"), "host"),
    (("does not support SSL", "certificate", "SSL error", "no encryption", "insecure"), "tls"),
    (("Connection refused", "No such file or directory"), "refused"),
    (("timeout", "timed out"), "silent"),
    (("too many clients", "remaining connection slots", "too many connections"), "full"),
    (("starting up", "shutting down", "recovery mode"), "starting"),
    (('database "',), "database"),
    (('role "', "not permitted to log in", "no pg_hba.conf entry"), "login"),
)
_SENTENCES = {
    "password": "the database does not accept the password of this login: correct DATABASE_URL",
    "host": "there is no such host as the database URL names: correct DATABASE_URL",
    "tls": "the database and this login do not agree about TLS: try ?sslmode=require in "
    "DATABASE_URL where the server demands TLS, and take it out where the server has none",
    "refused": "nothing answers where the database should be: start it, or correct DATABASE_URL",
    "silent": "the database does not answer in time: is it there, and does a firewall let you by?",
    "full": "the database takes no more connections: close some, or raise max_connections",
    "starting": "the database is starting or stopping: try again in a moment",
    "database": "the server has no such database: create it, or correct DATABASE_URL",
    "login": "the server does not let this login in: correct DATABASE_URL",
}
PASSING = frozenset({"refused", "silent", "full", "starting"})


def kind_of_refusal(error: BaseException) -> tuple[str | None, str]:
    """Why a connection was refused, and the server's or libpq's own words."""
    found = _operational(error)
    if found is None:
        return None, ""
    text = str(found)
    for words, kind in _REASONS:
        if any(word in text for word in words):
            return kind, text
    return None, text


def refusal(error: BaseException) -> str | None:
    """Why a connection was refused, in a sentence without its end."""
    kind, text = kind_of_refusal(error)
    if kind is not None:
        return _SENTENCES[kind]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return f"the database cannot be reached ({lines[-1]})" if lines else None


def _operational(error: BaseException | None) -> psycopg.Error | None:
    """The driver's error somewhere among the causes."""
    import psycopg

    while error is not None:
        if isinstance(error, psycopg.Error):
            return error
        error = getattr(error, "orig", None) or error.__cause__
    return None
