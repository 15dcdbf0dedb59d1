"""Mutation testing, one module at a time: `nox -s mutants -- claims token`, or all of them.

Each module is changed in a copy of the tree, one small change after another, and its tests have to
fail. A mutant that survives has to be killed by a new test, or listed in accepted.toml.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

from mutants.mutations import Mutant, mutants
from mutants.trials import Trials

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
MODULES: dict[str, Any] = tomllib.loads((HERE / "modules.toml").read_text())
PACKAGES = ("taskcore", "taskapi", "taskcli")


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


def copy_of_the_tree(place: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__", "node_modules", "*.egg-info", ".*")
    for name in ("packages", "tests"):
        shutil.copytree(ROOT / name, place / name, ignore=ignored)
    for name in ("pyproject.toml", "noxfile.py", "README.md"):
        shutil.copy(ROOT / name, place)


def use_the_copy(place: Path) -> None:
    """Let this process, its forks and their programs import the packages of the copy."""
    sources = [str(place / "packages" / name / "src") for name in PACKAGES]
    sys.path[:0] = [*sources, str(place / "tests")]
    # Else each fork would compile everything.
    sys.dont_write_bytecode = False
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPATH"] = os.pathsep.join(sources)
    os.environ |= {
        "TASKCORE_TEST_PROFILE": "quick",
        "TASKCORE_TEST_SERVERS": "no",
        "TASKCORE_TEST_WAIT": "5",
    }


def make_keys_of_tests() -> None:
    """Make the private keys of the tests here, so that no fork need do it: RSA keys take long."""
    from api.tokens import ALGORITHMS, private_key

    for algorithm in ALGORITHMS:
        for number in range(2):
            private_key(algorithm, number)


def survivors(name: str, place: Path) -> list[Mutant]:
    """Try all mutants of a module; return those that survived and are not accepted."""
    module = MODULES[name]
    file = place / module["path"]
    source = file.read_text()
    with_database = module.get("database", False)
    if not with_database:
        make_keys_of_tests()
    trials = Trials(place, module["tests"], with_database=with_database)
    if trials.control.failed is not None:
        print((place / "output").read_text())
        sys.exit(f"{name}: the tests fail without a mutant: {trials.control.failed}")
    several = list(mutants(file))
    lived, timeouts = [], 0
    for number, mutant in enumerate(several, start=1):
        file.write_text(mutant.code)
        # Python compiles a file anew when its time, in whole seconds, has changed.
        os.utime(file, (number, number))
        outcome = trials.run()
        timeouts += outcome.failed == "timeout"
        if outcome.failed is None:
            lived.append(mutant)
        print(f"{number} {outcome.seconds:.1f} s {outcome.failed}: {mutant.after}", flush=True)
    file.write_text(source)
    # The control, in the order that the mutants have given the tests.
    if (failed := trials.run().failed) is not None:
        sys.exit(f"{name}: the tests fail without a mutant: {failed}")
    reasons = accepted(name)
    left = [mutant for mutant in lived if not any(one.means(mutant) for one in reasons)]
    print(
        f"{name}: {len(several)} mutants, {len(several) - len(lived)} killed ({timeouts} by a "
        f"timeout), {len(lived) - len(left)} accepted, {len(left)} left"
    )
    for one in reasons:
        if not any(one.means(mutant) for mutant in lived):
            print(f"accepted, but killed or no mutant: {one.after}")
    return left


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in MODULES]
    if unknown:
        print(f"no such module: {', '.join(unknown)}; there are {', '.join(MODULES)}")
        return 2
    if len(names) != 1:  # each in a process of its own, which imports nothing for another
        each = [
            subprocess.run([sys.executable, "-m", "mutants", name]) for name in names or MODULES
        ]
        return max(run.returncode for run in each)
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        copy_of_the_tree(place)
        use_the_copy(place)
        started = monotonic()
        left = survivors(names[0], place)
        print(f"{names[0]}: {(monotonic() - started) / 60:.1f} minutes", flush=True)
    for mutant in left:
        where = mutant.function or "no function"
        print(f"survived in {names[0]}, {where}:\n- {mutant.before}\n+ {mutant.after}")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
