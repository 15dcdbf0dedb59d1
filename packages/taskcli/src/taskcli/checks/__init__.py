"""What `taskcli doctor` looks at; each check returns what it found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from taskcli import failures


class Finding(NamedTuple):
    """One line: what was checked, whether it is well, and what mends it."""

    check: str
    ok: bool
    message: str = ""
    mend: str | None = None


class Ill(Exception):
    """What is wrong, and the command that mends it."""

    def __init__(self, message: str, mend: str | None = None) -> None:
        super().__init__(message)
        self.mend = mend


def attempt(check: str, look: Callable[[], str]) -> Iterator[Finding]:
    """What a look at something finds; that it can't be looked at is a finding as well."""
    try:
        yield Finding(check, True, look())
    except Ill as ill:
        yield Finding(check, False, str(ill), ill.mend)
    except Exception as error:
        yield Finding(check, False, failures.explained(error)[0])
