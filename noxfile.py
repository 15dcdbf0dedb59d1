"""The checks: `nox` before every commit, `nox -s matrix` before a release, the rest by name."""

import functools
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import nox

if sys.version_info < (3, 11):  # noqa: UP036 - nox may run on an older Python
    found = ".".join(map(str, sys.version_info[:3]))
    sys.exit(f"Python 3.11 or newer is needed, and this is {found}: make .venv with a newer one.")

nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.error_on_missing_interpreters = True

ROOT = Path(__file__).parent
SETTINGS = nox.project.load_toml("pyproject.toml")
DISTRIBUTIONS = ("packages/taskcore", "packages/taskapi", "packages/taskcli")
CONSTRAINTS = ROOT / "tests" / "constraints.txt"
CLIENT_CONSTRAINTS = ROOT / "tests" / "typed_client" / "constraints.txt"
OPENAPI = "packages/taskapi/openapi.json"
LOWEST = ROOT / "tests" / "lowest.txt"

PYTHONS = nox.project.python_versions(
    nox.project.load_toml(ROOT / DISTRIBUTIONS[0] / "pyproject.toml")
)

# The tests that the built wheels are tried with, under tests/.
SMOKE = (
    "core/test_operations.py",
    "core/test_migrations_history.py",
    "core/test_migrations_script.py",
    "api/test_endpoints.py",
    "cli/test_version.py",
)

# How Sphinx builds the documentation site.
STRICT = ("--fail-on-warning", "--keep-going", "--nitpicky", "--quiet")

# Each worker begins with a part of its own, so that the fixtures of a module are made once; a
# worker that is done takes over tests of another.
PARALLEL = ("--numprocesses", "auto", "--dist", "worksteal")


def group(*names: str) -> tuple[str, ...]:
    """Return what [dependency-groups] in pyproject.toml lists under these names."""
    return nox.project.dependency_groups(SETTINGS, *names)


def install(session: nox.Session, *requirements: str) -> None:
    """Install at the pinned versions."""
    session.install("--constraint", str(CONSTRAINTS), *requirements)


def with_embedded(distributions: list[str]) -> list[str]:
    """Return the same distributions, and taskcore with its embedded PostgreSQL."""
    taskcore, *others = distributions
    return [f"{taskcore}[embedded]", *others]


def install_packages(session: nox.Session, *groups: str, editable: bool = False) -> None:
    """Install the three packages of this tree, with these dependency groups."""
    prefix = "--editable=./" if editable else "./"
    here = with_embedded([f"{prefix}{path}" for path in DISTRIBUTIONS])
    install(session, *group(*groups), *here)


@nox.session
def lint(session: nox.Session) -> None:
    """Style, format and types of everything."""
    install_packages(session, "lint")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("mypy")


@nox.session
def tests(session: nox.Session) -> None:
    """The tests that need nothing but Python, but tests/faults: on the embedded PostgreSQL."""
    install_packages(session, "test")
    session.run("pytest", *PARALLEL, "-m", "not long", *session.posargs)


@nox.session(default=False)
def tests_long(session: nox.Session) -> None:
    """Those of the same tests that are long by nature: they wait for limits, or start much."""
    install_packages(session, "test")
    session.run("pytest", *PARALLEL, "-m", "long", *session.posargs)


@nox.session
def wheels(session: nox.Session) -> None:
    """The wheels, each built from its sdist, tested without the source tree."""
    install(session, "uv", *group("build"))
    with tempfile.TemporaryDirectory() as outside:
        built = build_distributions(session, ROOT, Path(outside, "dist"))
        try_wheels(session, built, Path(outside), f"{session.bin}/python")


def build_distributions(session: nox.Session, root: Path, dist: Path) -> list[str]:
    """Build the distributions of a tree; return their wheels in the order of DISTRIBUTIONS."""
    built: list[str] = []
    for path in DISTRIBUTIONS:
        session.run("python", "-m", "build", "--no-isolation", "--outdir", str(dist), root / path)
        built += [str(wheel) for wheel in dist.glob("*.whl") if str(wheel) not in built]
    return built


def try_wheels(session: nox.Session, built: list[str], outside: Path, python: str) -> Path:
    """Try the wheels with this Python, in a folder outside; return their environment."""
    folder = outside / f"with-{Path(python).name}"
    environment = folder / "environment"
    left = shutil.ignore_patterns("house", "e2e", "node_modules", "__pycache__")
    shutil.copytree(ROOT / "tests", folder / "tests", ignore=left)
    shutil.copy(ROOT / "pyproject.toml", folder)
    # A Python that is missing is an error.
    found_only = {"UV_PYTHON_DOWNLOADS": "never"}
    into = ("uv", "pip", "install", "--quiet", "--python", str(environment))
    pinned = ("--constraint", str(CONSTRAINTS))
    with session.chdir(folder):
        session.run("uv", "venv", "--quiet", "--python", python, str(environment), env=found_only)
        # First with nothing else installed: the wheels declare what they need.
        session.run(*into, *pinned, *built)
        run = functools.partial(session.run, external=True)
        run(environment / "bin" / "python", "-c", "import taskcore, taskapi, taskcli")
        run(environment / "bin" / "taskcli", "--version")

        session.run(*into, *pinned, *group("test"), *with_embedded(built))
        run(environment / "bin" / "pytest", *smoke(session, folder / "tests"))
    return environment


def smoke(session: nox.Session, folder: Path) -> Iterator[Path]:
    """Yield the files that SMOKE names; a pattern without a file is an error."""
    for pattern in SMOKE:
        found = sorted(folder.glob(pattern))
        if not found:
            session.error(f"no test matches {pattern}")
        yield from found


@nox.session(default=False)
def release(session: nox.Session) -> None:
    """All of a release up to the upload: nox -s release -- 1.2.3. Needs each Python."""
    if len(session.posargs) != 1:
        session.error("name the version: nox -s release -- 1.2.3")
    (version,) = session.posargs
    install(session, "uv", *group("build"))
    tool = "packages/tools/release.py"
    with tempfile.TemporaryDirectory() as outside:
        tree, dist = Path(outside, "tree"), Path(outside, "dist")
        session.run("python", tool, "prepare", version, tree)
        built = build_distributions(session, tree, dist)
        session.run("twine", "check", "--strict", *sorted(dist.iterdir()))
        for python in PYTHONS:
            environment = try_wheels(session, built, Path(outside), python)
        document = (environment / "bin" / "python", "-m", "taskapi.openapi")
        if session.run(*document, external=True, silent=True) != (tree / OPENAPI).read_text():
            session.error(f"{OPENAPI} is not what the wheels make")
        session.run("python", tool, "finish", version, tree, dist)


@nox.session(default=False)
def docs(session: nox.Session) -> None:
    """The documentation site, in build/site: a warning of its generator is an error."""
    install_packages(session, "docs", "test")
    source, site = Path(session.create_tmp(), "source"), ROOT / "build" / "site"
    session.run("python", "packages/docs/pages.py", source)
    session.run("sphinx-build", *STRICT, "--fresh-env", "-c", "packages/docs", source, site)
    session.run("pytest", "tests/docs", *session.posargs)


@nox.session(default=False)
def better_auth(session: nox.Session) -> None:
    """The tokens of the real Better Auth, on the same database as the tasks. Needs Node."""
    node_packages(session, "better_auth")
    install_packages(session, "test")
    session.run("pytest", "tests/better_auth", *session.posargs)


@nox.session(default=False)
def e2e(session: nox.Session) -> None:
    """A page in a real browser. Needs Node, Debian's chromium, and port 3000."""
    if shutil.which("chromium") is None:
        session.error("chromium is missing: apt-get install --no-install-recommends chromium")
    node_packages(session, "better_auth", "e2e")
    install_packages(session, "test")
    session.run("pytest", "tests/e2e", *session.posargs)


@nox.session(default=False)
def typed_client(session: nox.Session) -> None:
    """Strictly typed clients, made from the OpenAPI document by three generators. Needs Node."""
    node_packages(session, "typed_client")
    # First, and with pins of its own: it needs an older typer than taskcli has.
    session.install("--constraint", str(CLIENT_CONSTRAINTS), *group("client"))
    with session.chdir(ROOT / "tests" / "typed_client"):
        session.run("npm", "run", "build", external=True)
        session.run(
            *("python", "-m", "openapi_python_client", "generate", "--overwrite"),
            *("--fail-on-warning", "--config", "openapi-python-client.yaml"),
            *("--path", "../../packages/taskapi/openapi.json", "--output-path", "build/python"),
        )
    install_packages(session, "lint")
    session.run("pytest", "tests/typed_client", *session.posargs)


def node_packages(session: nox.Session, *folders: str) -> None:
    """Install the packages of the lock files in these folders of tests/."""
    missing = [program for program in ("node", "npm") if shutil.which(program) is None]
    if missing:
        session.error(f"missing: {' and '.join(missing)} (Node 20.19 or newer comes with both)")
    for folder in folders:
        with session.chdir(ROOT / "tests" / folder):
            options = ("--ignore-scripts", "--no-audit", "--no-fund")
            session.run("npm", "ci", *options, external=True)


@nox.session(default=False)
def first_minutes(session: nox.Session) -> None:
    """The README's first command, in an environment that it makes itself."""
    install_packages(session, "test")
    session.run("pytest", "tests/first_minutes", *session.posargs)


@nox.session(default=False)
def shells(session: nox.Session) -> None:
    """Completion by Tab in bash, zsh and fish. Needs zsh and fish."""
    missing = [program for program in ("bash", "zsh", "fish") if shutil.which(program) is None]
    if missing:
        names = " ".join(missing)
        session.error(f"missing: {names} (apt-get install --no-install-recommends {names})")
    install_packages(session, "test")
    session.run("pytest", "tests/shells", *session.posargs)


@nox.session(default=False)
def deployment(session: nox.Session) -> None:
    """The pages of deployment: half a minute. Needs Debian's nginx and systemd."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin"
    programs = ("nginx", "systemd-analyze", "systemd-socket-activate")
    if missing := [program for program in programs if shutil.which(program, path=path) is None]:
        names = "nginx-light systemd"
        session.error(f"missing: {', '.join(missing)} (apt-get install {names})")
    install_packages(session, "test")
    session.run("pytest", "tests/deployment", *session.posargs)


@nox.session(default=False)
def telemetry(session: nox.Session) -> None:
    """The recipes of packages/taskapi/README.md, with OpenTelemetry's own programs."""
    install_packages(session, "test", "telemetry")
    session.run("pytest", "tests/telemetry", *session.posargs)


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """The speed beside other servers: a quarter of an hour. Needs Node and Debian's wrk."""
    if shutil.which("wrk") is None:
        session.error("wrk is missing: apt-get install --no-install-recommends wrk")
    node_packages(session, "bench/peers/fastify")
    install_packages(session, "test")
    session.run("python", "-m", "bench", *session.posargs, env={"PYTHONPATH": str(ROOT / "tests")})


@nox.session(default=False)
def matrix(session: nox.Session) -> None:
    """Each Python (3.11 to 3.13) with each PostgreSQL, and the lowest versions allowed."""
    install(session, *group("matrix"))
    session.run("tox", "run-parallel", "--parallel", "2", "--parallel-no-spinner", *session.posargs)


@nox.session(default=False)
def pins(session: nox.Session) -> None:
    """Take newer versions: write the files of pins in tests/ anew."""
    install(session, "uv")
    here = with_embedded([f"--editable=./{path}" for path in DISTRIBUTIONS])
    ours = ("test", "lint", "telemetry", "build", "docs", "matrix", "coverage", "mutants")
    wanted = {
        CONSTRAINTS: ("highest", [*here, *group(*ours)]),
        LOWEST: ("lowest-direct", [*here, *group("test")]),
        CLIENT_CONSTRAINTS: ("highest", group("client")),
    }
    for file, (resolution, requirements) in wanted.items():
        header = [line for line in file.read_text().splitlines() if line.startswith("#")]
        with tempfile.TemporaryDirectory() as fresh:
            session.run("uv", "venv", "--quiet", "--python", "3.11", fresh)
            session.run(
                *("uv", "pip", "install", "--quiet", "--python", fresh),
                *("--resolution", resolution, *requirements),
            )
            frozen = session.run(
                *("uv", "pip", "freeze", "--quiet", "--exclude-editable", "--python", fresh),
                silent=True,
            )
        file.write_text("\n".join(header) + f"\n{frozen}")


@nox.session(default=False)
def revision(session: nox.Session) -> None:
    """Write the next migration from the models: nox -s revision -- "what it does"."""
    if len(session.posargs) != 1:
        session.error('say what the revision does: nox -s revision -- "add due_at to tasks"')
    install_packages(session, "lint", editable=True)
    session.run("python", "packages/taskcore/tools/new_revision.py", *session.posargs)
    session.run("ruff", "format", "packages/taskcore/src/taskcore/migrations/versions")


# Tests that are not run under coverage.
UNMEASURED = (
    # It compares the CPU of two servers, and only one of them is measured.
    "tests/api/test_cost_guard.py",
    # It looks at what is installed without -e.
    "tests/house/test_packaging.py::test_an_installed_distribution_is_complete",
    # They interrupt and fork processes at any moment, also while coverage holds a lock of its own.
    "tests/faults/test_forks.py",
    "tests/faults/test_interrupts.py",
)


@nox.session(default=False)
def coverage(session: nox.Session) -> None:
    """Branch coverage of the three packages, processes included: under 95 % fails."""
    install_packages(session, "test", "coverage", editable=True)
    everything = [f"tests/{name}" for name in ("api", "cli", "core", "faults", "house")]
    session.env["COVERAGE_ROOT"] = str(ROOT)
    session.run("coverage", "erase")
    session.run(
        *("coverage", "run", "-m", "pytest", *PARALLEL),
        *(session.posargs or everything),
        *(f"--deselect={test}" for test in UNMEASURED),
    )
    session.run("coverage", "combine", "--quiet")
    session.run("coverage", "report")


@nox.session(default=False)
def mutants(session: nox.Session) -> None:
    """Mutation testing of the modules in tests/mutants: nox -s mutants -- claims token."""
    install_packages(session, "test", "mutants")
    environment = {"PYTHONPATH": str(ROOT / "tests")}
    session.run("python", "-m", "mutants", *session.posargs, env=environment)


@nox.session(default=False)
def faults_short(session: nox.Session) -> None:
    """The short form of tests/faults: two minutes."""
    install_packages(session, "test")
    session.run("pytest", *PARALLEL, "tests/faults", *session.posargs)


@nox.session(default=False)
def faults(session: nox.Session) -> None:
    """The long form of tests/faults: ten minutes; the figures are printed at the end."""
    install_packages(session, "test")
    session.run(
        *("pytest", "-p", "no:xdist", "tests/faults", *session.posargs),
        env={"TASKCORE_TEST_PROFILE": "full"},
    )


# The tests that also run through PgBouncer.
POOLED = ("tests/api", "tests/core/test_isolation_load.py", "tests/core/test_isolation_machine.py")
# The tests among them that cannot, or need not.
UNPOOLED = {
    "transaction": (
        # These two count the server's connections in PostgreSQL, which are the pooler's here.
        "tests/api/test_shutdown.py::test_what_is_in_flight_is_finished",
        "tests/api/test_shutdown.py::test_a_connection_that_idles_keeps_nobody_waiting",
        # It compares costs without a pooler.
        "tests/api/test_cost_guard.py",
    ),
    "session": ("tests/api/test_cost_guard.py",),
}


@nox.session(default=False)
def poolers(session: nox.Session) -> None:
    """Tests through PgBouncer, in both modes: ten minutes. Needs Debian's pgbouncer."""
    if shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin") is None:
        session.error("pgbouncer is missing: apt-get install --no-install-recommends pgbouncer")
    install_packages(session, "test")
    session.run("pytest", "-p", "no:xdist", "tests/poolers")
    for mode, left_out in UNPOOLED.items():
        session.run(
            *("pytest", *PARALLEL, *POOLED),
            *(f"--deselect={test}" for test in left_out),
            *session.posargs,
            env={"TASKCORE_TEST_POOLER": mode},
        )


# What runs requests. The tests of migrations are about databases that they make themselves.
SHAPED = ("tests/core", "tests/api", "tests/faults/test_connection_cut_anywhere.py")
# The tests among them that count on the other shape: controls that take the binding apart, those of
# a plain exchange and of its commit, and readiness, which says more of a cluster; and those that
# choose the embedded PostgreSQL's version, because the stand-in is for the version of the run.
UNSHAPED = (
    "tests/core/test_isolation_load.py::test_row_level_security_that_is_bound_once_for_each_client_leaks",
    "tests/core/test_shared_statements.py::test_without_the_repetition_it_is_a_fault",
    "tests/api/test_health.py",
    "tests/api/test_shutdown_drain.py::test_a_draining_server_is_not_ready_and_serves_on",
    "tests/api/test_cost_guard.py",
    "tests/core/test_embedded.py",
    "tests/core/test_commit_refused.py",
    "tests/core/test_exchange.py",
)


@nox.session(default=False)
def shapes(session: nox.Session) -> None:
    """The second shape of a request, as on a cluster: every one a transaction block."""
    install_packages(session, "test")
    session.run(
        *("pytest", *PARALLEL, "-m", "not long", *SHAPED, "--ignore-glob=*/test_migrations_*"),
        *(f"--deselect={test}" for test in UNSHAPED),
        *session.posargs,
        env={"TASKCORE_TEST_SHAPE": "block"},
    )
    if shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin") is None:
        session.error("pgbouncer is missing: apt-get install --no-install-recommends pgbouncer")
    session.run(
        *("pytest", *PARALLEL, *POOLED),
        *(f"--deselect={test}" for test in (*UNPOOLED["transaction"], *UNSHAPED)),
        *session.posargs,
        env={"TASKCORE_TEST_SHAPE": "block", "TASKCORE_TEST_POOLER": "transaction"},
    )
