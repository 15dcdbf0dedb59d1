"""Two processes that try the mutants of a module, each in a copy of the tree."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from mutants.mutations import Mutant
from mutants.trials import Trials

ROOT = Path(__file__).parents[2]
PACKAGES = ("taskcore", "taskapi", "taskcli")

# Forked, so that a worker has what is imported here, and nothing of the tree.
_FORK = multiprocessing.get_context("fork")
_WORKERS = 2

_ERASE = """
import sys
from pathlib import Path
from taskcore import embedded

for directory in Path(sys.argv[1]).iterdir():
    embedded.erase(directory)
"""

Numbers: TypeAlias = "multiprocessing.queues.SimpleQueue[int | None]"


def outcomes(
    module: Mapping[str, Any], several: Sequence[Mutant], numbers: Iterable[int]
) -> dict[int, str | None]:
    """Try these mutants; return the test that each of them failed, or None."""
    queue = _FORK.SimpleQueue()
    for number in [*numbers, *[None] * _WORKERS]:
        queue.put(number)
    with tempfile.TemporaryDirectory() as directory:
        places = [Path(directory, f"worker-{number}") for number in range(_WORKERS)]
        workers = [
            _FORK.Process(target=_work, args=(place, module, several, queue)) for place in places
        ]
        try:
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
        except BaseException:
            for worker in workers:
                worker.terminate()
                worker.join()
            raise
        if any(worker.exitcode for worker in workers):
            sys.exit(1)
        found: dict[int, str | None] = {}
        for place in places:
            found |= {int(n): one for n, one in json.loads((place / "found").read_text()).items()}
        return found


def _work(
    place: Path, module: Mapping[str, Any], several: Sequence[Mutant], queue: Numbers
) -> None:
    # Ctrl-C reaches all processes of a terminal: the first one passes it on.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end)
    _copy_the_tree(place)
    _use_the_copy(place)
    try:
        found = _tried(place, module, several, queue)
    finally:
        subprocess.run([sys.executable, "-c", _ERASE, place / "clusters"], check=True)
    (place / "found").write_text(json.dumps(found))


def _end(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(1)


def _copy_the_tree(place: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__", "node_modules", "*.egg-info", ".*")
    for name in ("packages", "tests"):
        shutil.copytree(ROOT / name, place / name, ignore=ignored)
    for name in ("pyproject.toml", "noxfile.py", "README.md"):
        shutil.copy(ROOT / name, place)
    (place / "clusters").mkdir()


def _use_the_copy(place: Path) -> None:
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
        "TASKCORE_TEST_CLUSTERS": str(place / "clusters"),
    }


def _make_keys_of_tests() -> None:
    """Make the private keys of the tests here, so that no fork need do it: RSA keys take long."""
    from api.tokens import ALGORITHMS, private_key

    for algorithm in ALGORITHMS:
        for number in range(2):
            private_key(algorithm, number)


def _tried(
    place: Path, module: Mapping[str, Any], several: Sequence[Mutant], queue: Numbers
) -> dict[int, str | None]:
    file = place / module["path"]
    source = file.read_text()
    with_database = module.get("database", False)
    if not with_database:
        _make_keys_of_tests()
    trials = Trials(place, module["tests"], with_database=with_database)
    if trials.control.failed is not None:
        print((place / "output").read_text())
        sys.exit(f"the tests fail without a mutant: {trials.control.failed}")
    print(f"the tests take {trials.control.seconds:.0f} s", flush=True)
    found: dict[int, str | None] = {}
    while (number := queue.get()) is not None:
        mutant = several[number - 1]
        file.write_text(mutant.code)
        # Python compiles a file anew when its time, in whole seconds, has changed.
        os.utime(file, (number, number))
        outcome = trials.run()
        found[number] = outcome.failed
        print(f"{number} {outcome.seconds:.1f} s {outcome.failed}: {mutant.after}", flush=True)
    file.write_text(source)
    # The control, in the order that the mutants have given the tests.
    if (failed := trials.run().failed) is not None:
        print((place / "output").read_text())
        sys.exit(f"the tests fail without a mutant: {failed}")
    return found
