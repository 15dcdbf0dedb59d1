"""The version is the same in all its places, and a release changes these and nothing else."""

from __future__ import annotations

import datetime
import importlib.util
import re
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


def tool() -> ModuleType:
    """The program of `nox -s release`, which belongs to no package."""
    spec = importlib.util.spec_from_file_location("release", ROOT / "packages/tools/release.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


release = tool()
DAY = datetime.date(2027, 1, 31)


def git(root: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=tests", "-c", "user.email=tests@localhost")
    command = ["git", *identity, *arguments]
    return subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository of its own, with the files of the packages as they are here."""
    root = tmp_path / "repository"
    ignored = shutil.ignore_patterns("__pycache__", "dist", "*.egg-info")
    shutil.copytree(ROOT / "packages", root / "packages", ignore=ignored)
    shutil.copy(ROOT / "README.md", root)
    shutil.copy(ROOT / ".gitignore", root)
    git(root, "init", "--quiet")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "All")
    return root


def stated(root: Path) -> set[str]:
    return {version for found in release.versions(root).values() for version in found}


def newer(root: Path) -> str:
    (version,) = stated(root)
    return f"{release.parsed(version)[0] + 1}.2.3"


def test_the_version_is_the_same_in_all_its_places() -> None:
    found = release.versions(ROOT)
    assert len(stated(ROOT)) == 1, found
    assert {name: len(versions) for name, versions in found.items()} == {
        "packages/taskcore/pyproject.toml": 1,
        "packages/taskapi/pyproject.toml": 2,
        "packages/taskcli/pyproject.toml": 4,
        "packages/taskapi/openapi.json": 1,
    }


def test_the_version_stands_nowhere_else() -> None:
    (version,) = stated(ROOT)
    pattern = re.compile(rf"(?<![\d.]){re.escape(version)}(?![\d.])")
    files = [*ROOT.glob("packages/**/*"), ROOT / "README.md", ROOT / "pyproject.toml"]
    texts = {".py", ".md", ".toml", ".json", ".mako"}
    holding = {
        path.relative_to(ROOT).as_posix()
        for path in files
        if path.suffix in texts and pattern.search(path.read_text())
    }
    # The changelog names every version.
    assert holding - {release.CHANGELOG} == set(release.PLACES)


def test_a_place_that_differs_is_seen(repository: Path) -> None:
    """The control."""
    file = repository / "packages/taskcli/pyproject.toml"
    file.write_text(file.read_text().replace('"taskapi==', '"taskapi==9.'))
    assert len(stated(repository)) == 2
    git(repository, "commit", "--quiet", "--all", "--message", "Another version")
    with pytest.raises(SystemExit, match="the packages have several versions"):
        release.refuse_unless_releasable(repository, "10.0.0")


def test_a_release_is_prepared_in_a_copy_and_then_taken_over(
    repository: Path, tmp_path: Path
) -> None:
    version = newer(repository)
    copied, dist = tmp_path / "copy", tmp_path / "dist"
    release.prepare(version, copied, repository)
    assert git(repository, "status", "--porcelain") == ""
    assert stated(copied) == {version}

    dist.mkdir()
    (dist / "taskcore.whl").write_text("built")
    printed = release.finish(version, copied, dist, repository)
    changed = git(repository, "diff", "--name-only").splitlines()
    assert set(changed) == {*release.PLACES, release.CHANGELOG, release.SECURITY}
    assert (repository / "dist" / version / "taskcore.whl").read_text() == "built"
    first, second = printed.strip().splitlines()[-2:]
    assert first.startswith(f'git commit --all --message "Release {version}" && git tag')
    assert second == f"twine upload dist/{version}/*"


def test_a_release_changes_the_version_and_nothing_around_it(repository: Path) -> None:
    version = newer(repository)
    (last,) = stated(repository)
    before = {name: (repository / name).read_text() for name in release.PLACES}
    release.write_version(repository, version, DAY)
    for name, text in before.items():
        assert (repository / name).read_text() == text.replace(last, version)


def test_the_changelog_gets_a_section_and_an_empty_one_above_it(repository: Path) -> None:
    version = newer(repository)
    listed = release.unreleased(repository)
    release.write_version(repository, version, DAY)
    changelog = (repository / release.CHANGELOG).read_text()
    assert f"## [Unreleased]\n\n## [{version}] - 2027-01-31\n\n{listed}\n" in changelog
    assert release.unreleased(repository) == ""
    security = (repository / release.SECURITY).read_text()
    assert f"| the newest release of {version.rpartition('.')[0]} | yes |" in security
    assert "No version has been released" not in security


@pytest.mark.parametrize("wrong", ["1.2", "v1.2.3", "1.2.3rc1", "01.2.3", "1.2.3.4", ""])
def test_what_is_no_version_is_refused(wrong: str, repository: Path) -> None:
    with pytest.raises(SystemExit, match="give three numbers"):
        release.refuse_unless_releasable(repository, wrong)


def test_the_first_release_may_have_the_version_that_stands_there(repository: Path) -> None:
    (version,) = stated(repository)
    release.refuse_unless_releasable(repository, version)
    git(repository, "tag", f"v{version}")
    with pytest.raises(SystemExit, match=f"{version} is not newer than the last release"):
        release.refuse_unless_releasable(repository, version)


def test_an_older_version_is_refused(repository: Path) -> None:
    with pytest.raises(SystemExit, match=r"0\.0\.1 is not newer than the last release"):
        release.refuse_unless_releasable(repository, "0.0.1")


def test_a_tree_with_changes_is_refused(repository: Path) -> None:
    release.refuse_unless_releasable(repository, newer(repository))
    (repository / "packages" / "new.py").touch()
    with pytest.raises(SystemExit, match="the tree is not clean"):
        release.refuse_unless_releasable(repository, newer(repository))


def test_a_release_without_a_change_is_refused(repository: Path) -> None:
    file = repository / release.CHANGELOG
    file.write_text(file.read_text().replace(release.unreleased(repository), ""))
    git(repository, "commit", "--quiet", "--all", "--message", "Nothing")
    with pytest.raises(SystemExit, match="has nothing under"):
        release.refuse_unless_releasable(repository, newer(repository))
