"""Prepare a release in a copy of the repository, and take the copy's changes over.

`nox -s release -- 1.2.3` runs both parts, and what stands between them: the build and its tests. So
a release that fails anywhere leaves the repository as it was.
"""

from __future__ import annotations

import datetime
import io
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
CHANGELOG = "packages/CHANGELOG.md"
SECURITY = "packages/SECURITY.md"

# Where the version stands: the group of each pattern, wherever it matches in its file.
PLACES = {
    "packages/taskcore/pyproject.toml": r'^version = "([^"]+)"',
    "packages/taskapi/pyproject.toml": r'(?:^version = "|"taskcore==)([^"]+)"',
    "packages/taskcli/pyproject.toml": (
        r'(?:^version = "|"taskcore(?:\[embedded\])?==|"taskapi==)([^"]+)"'
    ),
    "packages/taskapi/openapi.json": r'\A\{[^}]*"version": "([^"]+)"',
}
# The first release has no predecessor, which these sentences say.
FIRST_ONLY = {
    CHANGELOG: r"Becomes \d+\.\d+\.\d+, the first release\.\n\n",
    SECURITY: r"No version has been released so far\.\n\n",
}


def versions(root: Path) -> dict[str, list[str]]:
    """The versions that stand in each place."""
    return {
        name: re.findall(pattern, (root / name).read_text(), re.MULTILINE)
        for name, pattern in PLACES.items()
    }


def parsed(version: str) -> tuple[int, ...]:
    """The numbers of a version; anything but three numbers is refused."""
    if not re.fullmatch(r"(0|[1-9]\d*)(\.(0|[1-9]\d*)){2}", version):
        sys.exit(f"{version!r} is no version: give three numbers, such as 1.2.3.")
    return tuple(map(int, version.split(".")))


def git(root: Path, *arguments: str) -> bytes:
    command = ("git", *arguments)
    return subprocess.run(command, cwd=root, check=True, stdout=subprocess.PIPE).stdout


def refuse_unless_releasable(root: Path, version: str) -> None:
    """Exit with a sentence if this version cannot be made of this repository."""
    if git(root, "status", "--porcelain"):
        sys.exit("the tree is not clean: commit or put away what `git status` lists.")
    stated = {one for found in versions(root).values() for one in found}
    if len(stated) != 1:
        sys.exit(f"the packages have several versions: {', '.join(sorted(stated))}.")
    (last,) = stated
    if git(root, "tag", "--list", f"v{version}") or parsed(version) < parsed(last):
        sys.exit(f"{version} is not newer than the last release, {last}.")
    if parsed(version) == parsed(last) and git(root, "tag", "--list", "v*"):
        sys.exit(f"{version} stands in the packages already, but has no tag: give a newer one.")
    if not unreleased(root):
        sys.exit(f"{CHANGELOG} has nothing under [Unreleased]: say what has changed.")


def unreleased(root: Path) -> str:
    """What the changelog lists for the next release."""
    section = re.search(
        r"^## \[Unreleased\]\n(.*?)(?=^## |\Z)",
        (root / CHANGELOG).read_text(),
        re.MULTILINE | re.DOTALL,
    )
    if section is None:
        sys.exit(f"{CHANGELOG} has no section [Unreleased].")
    return re.sub(FIRST_ONLY[CHANGELOG], "", section[1]).strip()


def copy(root: Path, target: Path) -> None:
    """Copy what is committed, and nothing else."""
    with tarfile.open(fileobj=io.BytesIO(git(root, "archive", "HEAD"))) as archive:
        archive.extractall(target, filter="data")


def write_version(root: Path, version: str, day: datetime.date) -> None:
    """Write the version in all its places, and close the section of the changelog."""

    def with_version(match: re.Match[str]) -> str:
        before, after = match.string[match.start() : match.start(1)], match.string[match.end(1) :]
        return before + version + after[: match.end() - match.end(1)]

    for name, pattern in PLACES.items():
        replace(root / name, pattern, with_version)
    for name, sentence in FIRST_ONLY.items():
        replace(root / name, sentence, lambda _: "", needed=False)
    heading = f"## [Unreleased]\n\n## [{version}] - {day.isoformat()}\n"
    replace(root / CHANGELOG, r"^## \[Unreleased\]\n", lambda _: heading)
    minor = version.rpartition(".")[0]
    row = r"(?<=\| the newest release of )\d+\.\d+(?= \|)"
    replace(root / SECURITY, row, lambda _: minor)


def replace(
    path: Path, pattern: str, new: Callable[[re.Match[str]], str], *, needed: bool = True
) -> None:
    text, count = re.subn(pattern, new, path.read_text(), flags=re.MULTILINE)
    if needed and not count:
        sys.exit(f"{path} has nothing like {pattern}.")
    path.write_text(text)


def prepare(version: str, target: Path, root: Path = ROOT) -> None:
    """Make a copy of the repository with this version in it."""
    refuse_unless_releasable(root, version)
    copy(root, target)
    write_version(target, version, datetime.datetime.now(datetime.UTC).date())


def finish(version: str, prepared: Path, dist: Path, root: Path = ROOT) -> str:
    """Take over what changed in the copy and what was built of it; return what is left to do."""
    for name in (*PLACES, CHANGELOG, SECURITY):
        shutil.copyfile(prepared / name, root / name)
    folder = Path("dist", version)
    shutil.rmtree(root / folder, ignore_errors=True)
    shutil.copytree(dist, root / folder)
    return (
        f"{version} is built and tested, and written into the tree. Two commands are left:\n\n"
        f'git commit --all --message "Release {version}" && git tag --annotate v{version} '
        f'--message "Release {version}" && git push --follow-tags\n'
        f"twine upload {folder}/*\n"
    )


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["prepare", version, target]:
            prepare(version, Path(target))
        case ["finish", version, prepared, dist]:
            sys.stdout.write(finish(version, Path(prepared), Path(dist)))
        case _:
            sys.exit("give `prepare VERSION TARGET`, or `finish VERSION PREPARED DIST`")
