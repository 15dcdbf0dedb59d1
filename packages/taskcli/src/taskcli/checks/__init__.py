"""The checks of `taskcli doctor`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from taskcli import failures

REPAIR = "taskcli repair"


class Finding(NamedTuple):
    """The result of one check; the fields are the keys of `taskcli doctor --json`."""

    check: str
    ok: bool
    message: str = ""
    mend: str | None = None
    """The command that corrects it, if there is one."""


class CheckFailed(Exception):
    """What is wrong, and the command that corrects it."""

    def __init__(self, message: str, mend: str | None = None) -> None:
        super().__init__(message)
        self.mend = mend


def run_check(name: str, check: Callable[[], str]) -> Iterator[Finding]:
    """The finding of a check, which returns its message or raises; an error is a failed check."""
    try:
        yield Finding(name, True, check())
    except CheckFailed as failed:
        yield Finding(name, False, str(failed), failed.mend)
    except Exception as error:
        yield Finding(name, False, failures.explain(error)[0])
