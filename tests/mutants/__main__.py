"""Mutation testing, one module at a time: `nox -s mutants -- claims token`, or all of them.

Each module is changed in a copy of the tree, one small change after another, and its tests have to
fail. A mutant that survives has to be killed by a new test, or listed in accepted.toml.
`operations:4,20-25` tries these mutants only, by the numbers that are printed.
"""

from __future__ import annotations

import signal
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

from mutants.mutations import Mutant, mutants
from mutants.workers import ROOT, outcomes

HERE = Path(__file__).parent
MODULES: dict[str, Any] = tomllib.loads((HERE / "modules.toml").read_text())


class Accepted(NamedTuple):
    """A mutant that may survive: in this function, or anywhere in the module."""

    function: str | None
    before: str
    after: str

    def means(self, mutant: Mutant) -> bool:
        same = (self.before, self.after) == (mutant.before, mutant.after)
        return same and self.function in (None, mutant.function)


def accepted(module: str) -> list[Accepted]:
    """The mutants of a module that need not be killed."""
    listed = tomllib.loads((HERE / "accepted.toml").read_text())["mutant"]
    return [
        Accepted(one.get("function"), one["before"], after)
        for one in listed
        if one["module"] == module
        for after in one["after"]
    ]


def numbers(ranges: str) -> set[int]:
    """The numbers in `4,20-25`."""
    found: set[int] = set()
    for one in filter(None, ranges.split(",")):
        first, _, last = one.partition("-")
        found |= {*range(int(first), int(last or first) + 1)}
    return found


def survivors(name: str, chosen: set[int]) -> list[Mutant]:
    """Try the mutants of a module, or those chosen; return the ones that live unaccepted."""
    several = list(mutants(ROOT / MODULES[name]["path"]))
    everything = range(1, len(several) + 1)
    tried = [number for number in everything if not chosen or number in chosen]
    found = outcomes(MODULES[name], several, tried)
    lived = [several[number - 1] for number in tried if found[number] is None]
    reasons = accepted(name)
    left = [mutant for mutant in lived if not any(one.means(mutant) for one in reasons)]
    timeouts = sum(str(failed).startswith("timeout") for failed in found.values())
    print(
        f"{name}: {len(tried)} mutants, {len(tried) - len(lived)} killed ({timeouts} by a "
        f"timeout), {len(lived) - len(left)} accepted, {len(left)} left"
    )
    for one in reasons:
        if not chosen and not any(one.means(mutant) for mutant in lived):
            print(f"accepted, but killed or no mutant: {one.after}")
    return left


def interrupt(*_: object) -> None:
    """End once: a second signal would interrupt what ends the workers and their PostgreSQL."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def main(arguments: Sequence[str]) -> int:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    wanted = [argument.partition(":") for argument in arguments or MODULES]
    unknown = [name for name, _, _ in wanted if name not in MODULES]
    if unknown:
        print(f"no such module: {', '.join(unknown)}; there are {', '.join(MODULES)}")
        return 2
    any_left = False
    for name, _, ranges in wanted:
        started = monotonic()
        left = survivors(name, numbers(ranges))
        print(f"{name}: {(monotonic() - started) / 60:.1f} minutes", flush=True)
        for mutant in left:
            where = mutant.function or "no function"
            print(f"survived in {name}, {where}:\n- {mutant.before}\n+ {mutant.after}")
        any_left = any_left or bool(left)
    return 1 if any_left else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
