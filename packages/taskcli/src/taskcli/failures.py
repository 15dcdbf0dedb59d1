"""Turns every error into one sentence and an exit code.

0: done. 1: the check or the work failed. 2: wrong use, wrong settings included. 130: Ctrl-C.
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
    """The work failed. The message says what happened, what was changed and what to do."""

    code = 1


class WrongUse(Failure):
    """The arguments or the settings are wrong."""

    code = 2


class Interrupted(Failure):
    """Ctrl-C ended the work; the code is a shell's for a command that SIGINT has ended."""

    code = 130


@contextmanager
def exit_on_error() -> Iterator[None]:
    """Print the sentence of an error in the block, and exit with its code."""
    try:
        yield
    except (typer.Exit, typer.Abort, SystemExit):
        raise
    except BrokenPipeError:
        # The reader (`head`, say) closed the pipe; the flush at exit must not fail as well.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(1) from None
    except BaseException as error:
        sentence, code = explain(error)
        output.error(sentence)
        output.traceback(error)
        raise typer.Exit(code) from None


@contextmanager
def on_interrupt(sentence: str) -> Iterator[None]:
    """If Ctrl-C ends the block, fail with this sentence about what was changed."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise Interrupted(f"stopped: {sentence}") from error


@contextmanager
def on_full_disk(sentence: str) -> Iterator[None]:
    """If the database's disk is full, fail with this sentence about what was changed."""
    from psycopg.errors import DiskFull, IoError

    try:
        yield
    except (DiskFull, IoError) as error:
        raise Failure(f"the database's disk is full: {sentence}") from error


def explain(error: BaseException) -> tuple[str, int]:
    """The sentence and the exit code for an error; imports nothing that is not loaded yet."""
    if isinstance(error, Failure):
        return str(error), error.code
    if isinstance(error, KeyboardInterrupt):
        return "stopped; nothing was changed", Interrupted.code
    if isinstance(error, OSError):
        return _os_error_sentence(error), 1
    if "taskcore" in sys.modules:
        from taskcore import InvalidInput, NoConnection, TaskcoreError

        if isinstance(error, InvalidInput):
            return str(error), 2
        if isinstance(error, NoConnection):
            reason = connection_failure(error)
            return (f"{reason}; nothing was changed" if reason else str(error)), 1
        if isinstance(error, TaskcoreError):
            return str(error).rstrip("."), 1
    if "psycopg" in sys.modules:
        import psycopg

        if isinstance(error, psycopg.Error):
            said = error.diag.message_primary if error.sqlstate else connection_failure(error)
            return f"the database says: {said or type(error).__name__}", 1
    return (
        f"unexpected error ({type(error).__name__}); --verbose prints the traceback",
        1,
    )


def _os_error_sentence(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full: make room and run the command again"
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}"


# --- failed connections ---------------------------------------------------------------------------

# Words in the messages of libpq and of the server, and the kind of failure they mean. The messages
# may be in another language: then their last line is shown as it is.
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
    "host": "there is no such host as in the database URL: correct DATABASE_URL",
    "tls": "the database and this login do not agree about TLS: put ?sslmode=require into "
    "DATABASE_URL if the server demands TLS, and remove it if the server has no TLS",
    "refused": "nothing answers where the database should be: start it, or correct DATABASE_URL",
    "silent": "the database does not answer in time: check that it runs and that no firewall "
    "blocks it",
    "full": "the database takes no more connections: close some, or raise max_connections",
    "starting": "the database is starting or stopping: try again in a moment",
    "database": "the server has no such database: create it, or correct DATABASE_URL",
    "login": "the server does not let this login in: correct DATABASE_URL",
}
TEMPORARY = frozenset({"refused", "silent", "full", "starting"})


def connection_failure_kind(error: BaseException) -> tuple[str | None, str]:
    """The kind of failure, if its message is known, and the message of the server or of libpq."""
    found = _driver_error(error)
    if found is None:
        return None, ""
    text = str(found)
    for words, kind in _REASONS:
        if any(word in text for word in words):
            return kind, text
    return None, text


def connection_failure(error: BaseException) -> str | None:
    """Why a connection failed, as a sentence without a full stop."""
    kind, text = connection_failure_kind(error)
    if kind is not None:
        return _SENTENCES[kind]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return f"the database cannot be reached ({lines[-1]})" if lines else None


def _driver_error(error: BaseException | None) -> psycopg.Error | None:
    """The driver's error in the chain of causes."""
    import psycopg

    while error is not None:
        if isinstance(error, psycopg.Error):
            return error
        error = getattr(error, "orig", None) or error.__cause__
    return None
