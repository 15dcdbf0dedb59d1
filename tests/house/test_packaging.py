"""The three distributions fit together, and the repository holds no unwanted file."""

import re
import subprocess
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
FOLDERS = {"taskcore": "taskcore", "taskapi": "taskapi", "taskcore-cli": "taskcli"}
# Dependencies of which more is used than they document; the reason stands beside each bound.
USED_INSIDE = ("fastapi", "psycopg", "starlette", "uvicorn")
TOP_LEVEL = {
    ".ci",
    ".gitignore",
    ".pre-commit-config.yaml",
    "LICENSE",
    "README.md",
    "noxfile.py",
    "packages",
    "pyproject.toml",
    "tests",
}


def settings(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text())


PROJECTS: dict[str, dict[str, Any]] = {
    name: settings(ROOT / "packages" / folder / "pyproject.toml")["project"]
    for name, folder in FOLDERS.items()
}


def requirements(project: dict[str, Any]) -> Iterator[Requirement]:
    """The requirements of a distribution, those of its extras included."""
    extras = project.get("optional-dependencies", {}).values()
    for line in [*project["dependencies"], *(line for extra in extras for line in extra)]:
        yield Requirement(line)


def pinned(file: str) -> dict[str, str]:
    """The pins of a file in tests/, which may hold only pins and comments."""
    pins = {}
    for line in (ROOT / "tests" / file).read_text().splitlines():
        if not line.startswith("#"):
            pin = re.fullmatch(r"([a-z0-9-]+)==([a-z0-9.]+)", line)
            assert pin is not None, f"{file}: {line}"
            pins[pin[1]] = pin[2]
    return pins


def tree() -> list[str]:
    """The files that a commit of everything would hold."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [path for path in listing.stdout.split("\0") if path and (ROOT / path).is_file()]


def test_the_distributions_have_one_version() -> None:
    versions = {name: project["version"] for name, project in PROJECTS.items()}
    assert len(set(versions.values())) == 1, versions
    assert {name: metadata.version(name) for name in versions} == versions


def test_the_distributions_have_one_licence() -> None:
    copies = [path.read_bytes() for path in (ROOT / "packages").glob("*/LICENSE")]
    assert copies == [(ROOT / "LICENSE").read_bytes()] * len(PROJECTS)


def test_folders_are_named_after_the_import_package() -> None:
    assert {name: project["name"] for name, project in PROJECTS.items()} == {
        name: name for name in FOLDERS
    }


@pytest.mark.parametrize("name", PROJECTS)
def test_each_pins_the_others_to_its_own_version(name: str) -> None:
    project = PROJECTS[name]
    for wanted in requirements(project):
        if wanted.name in PROJECTS:
            assert str(wanted.specifier) == f"=={project['version']}"


def test_dependencies_point_one_way() -> None:
    ours = {
        name: {wanted.name for wanted in requirements(project)} & PROJECTS.keys()
        for name, project in PROJECTS.items()
    }
    assert ours == {
        "taskcore": set(),
        "taskapi": {"taskcore"},
        "taskcore-cli": {"taskcore", "taskapi"},
    }


def test_no_dependency_is_named_taskcli() -> None:
    groups = settings(ROOT / "pyproject.toml")["dependency-groups"].values()
    names = {wanted.name for project in PROJECTS.values() for wanted in requirements(project)}
    names |= {Requirement(line).name for lines in groups for line in lines if isinstance(line, str)}
    names |= pinned("constraints.txt").keys() | pinned("lowest.txt").keys()
    assert "psycopg" in names
    assert "taskcli" not in {canonicalize_name(name) for name in names}


@pytest.mark.parametrize("name", PROJECTS)
def test_an_installed_distribution_is_complete(name: str) -> None:
    files = {str(path) for path in metadata.files(name) or ()}
    assert f"{FOLDERS[name]}/py.typed" in files
    assert any(path.endswith(".dist-info/licenses/LICENSE") for path in files)
    source = ROOT / "packages" / FOLDERS[name] / "src"
    ours = (path.removeprefix(f"{source.relative_to(ROOT)}/") for path in tree())
    assert {path for path in ours if path.startswith(f"{FOLDERS[name]}/")} <= files


@pytest.mark.parametrize("name", PROJECTS)
def test_lower_bounds_are_the_ones_tested(name: str) -> None:
    pins = pinned("lowest.txt")
    for wanted in requirements(PROJECTS[name]):
        if wanted.name not in PROJECTS:
            # An upper bound may stand beside it, and nothing else.
            bounds = [str(bound) for bound in wanted.specifier if bound.operator != "<"]
            assert bounds == [f">={pins[canonicalize_name(wanted.name)]}"], wanted


def test_what_is_used_inside_ends_at_its_next_major_version() -> None:
    pins = pinned("lowest.txt")
    ends = {
        canonicalize_name(wanted.name): bound.version
        for project in PROJECTS.values()
        for wanted in requirements(project)
        for bound in wanted.specifier
        if bound.operator == "<"
    }
    assert ends == {name: str(Version(pins[name]).major + 1) for name in USED_INSIDE}


def test_the_top_level_holds_only_the_listed_entries() -> None:
    assert {path.split("/")[0] for path in tree()} <= TOP_LEVEL


def test_no_lock_file_and_no_registry_address_is_committed() -> None:
    hosts = ["py" + "pi.org", "python" + "hosted.org", "npm" + "js.org", "npm" + "js.com"]
    # package-lock.json is allowed: npm can write it without addresses, and it is searched for them.
    locks = re.compile(r"\.lock$|^(npm-shrinkwrap\.json|pnpm-lock\.yaml)$")
    for path in tree():
        assert not locks.search(Path(path).name), path
        content = (ROOT / path).read_bytes()
        assert not [host for host in hosts if host.encode() in content], path
