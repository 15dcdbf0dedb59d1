"""The pages name files that exist; the hooks and the table of sessions agree with nox.

A name in backticks is a path if it ends with `/` or a file's suffix, or begins with a top-level
folder. It is searched in the page's folder, in the repository's root, in packages/ and in each
package's src/; `*` stands for any name. A link's target is searched in the page's folder only.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = {
    path.relative_to(ROOT).as_posix(): path
    for pattern in ("README.md", "packages/*.md", "packages/*/*.md", "tests/README.md")
    for path in ROOT.glob(pattern)
} | {path.relative_to(ROOT).as_posix(): path for path in ROOT.glob("tests/*/README.md")}
SOURCES = [ROOT / "packages" / name / "src" for name in ("taskcore", "taskapi", "taskcli")]

_SUFFIX = r"\.(?:py|md|mako|toml|ya?ml|txt|json|mjs|lua|svg|cfg|sh)"
_PATH = re.compile(rf"(?:\.ci|packages|tests)/[\w.*/-]+|\.?[\w*][\w.*/-]*(?:/|{_SUFFIX})")
_CODE_BLOCK = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)


def named_paths(text: str) -> list[str]:
    """The paths in backticks, without those in code blocks."""
    quoted = re.findall(r"`([^`\n]+)`", _CODE_BLOCK.sub("", text))
    return [name for name in quoted if _PATH.fullmatch(name)]


def linked_paths(text: str) -> list[str]:
    """The targets of links and images to files, without their anchors."""
    targets = re.findall(r"\]\(([^)\s]+)\)", _CODE_BLOCK.sub("", text))
    return [t.partition("#")[0] for t in targets if not re.match(r"[a-z]+:|#", t)]


def missing(text: str, folder: Path) -> list[str]:
    """The paths of a page in this folder that do not exist."""
    places = [folder, ROOT, ROOT / "packages", *SOURCES]
    named = [n for n in named_paths(text) if not any(any(place.glob(n)) for place in places)]
    return named + [target for target in linked_paths(text) if not (folder / target).exists()]


def sessions() -> dict[str, list[str]]:
    """The sessions of nox, each with those of its commands whose arguments are all constants."""
    functions = ast.parse((ROOT / "noxfile.py").read_text()).body
    return {
        function.name: [
            " ".join(ast.literal_eval(argument) for argument in node.args)
            for node in ast.walk(function)
            if isinstance(node, ast.Call)
            and ast.unparse(node.func) == "session.run"
            and all(isinstance(argument, ast.Constant) for argument in node.args)
        ]
        for function in functions
        if isinstance(function, ast.FunctionDef)
        and any(ast.unparse(mark).startswith("nox.session") for mark in function.decorator_list)
    }


def hooks() -> dict[str, list[str]]:
    """The values of each key of the pre-commit configuration."""
    text = (ROOT / ".pre-commit-config.yaml").read_text()
    found: dict[str, list[str]] = {}
    for key, value in re.findall(r"^ *(?:- )?(\w+): (.+)$", text, re.MULTILINE):
        found.setdefault(key, []).append(value)
    return found


def test_the_main_pages_are_found_and_name_files() -> None:
    wanted = {"ARCHITECTURE", "CHANGELOG", "CONTRIBUTING", "SECURITY"}
    assert {f"packages/{name}.md" for name in wanted} | {"tests/README.md"} <= PAGES.keys()
    for name in ("ARCHITECTURE", "CONTRIBUTING", "SECURITY"):
        assert len(named_paths(PAGES[f"packages/{name}.md"].read_text())) > 20


@pytest.mark.parametrize("name", PAGES)
def test_every_file_that_a_page_names_exists(name: str) -> None:
    assert missing(PAGES[name].read_text(), PAGES[name].parent) == []


@pytest.mark.parametrize(
    "wrong",
    ["`taskcore/none.py`", "`tests/house/none.py`", "`.ci/none`", "`core/none/`", "`none_*.py`"],
)
def test_a_wrong_name_is_found(wrong: str) -> None:
    assert missing(f"See {wrong}.", ROOT / "tests") == [wrong.strip("`")]


def test_a_wrong_link_is_found_and_other_text_is_not() -> None:
    good = "`taskcore/models.py`, `tests/house/`, `.ci/run`, `core/`, `house/test_*.py`"
    other = "`/openapi.json`, `application/json`, `a.b`, `taskcli/<verb>.py`, [x](https://a.b/c.md)"
    text = f"{good} {other} [page](README.md#what) [wrong](NONE.md#x)\n```sh\ncat `none.py`\n```\n"
    assert missing(text, ROOT / "tests") == ["NONE.md"]
    assert len(named_paths(text)) == 5


def test_the_hooks_run_what_the_lint_session_runs() -> None:
    found = hooks()
    assert found["entry"] == sessions()["lint"] == ["ruff check", "ruff format --check", "mypy"]
    assert set(found["repo"]) == {"local"}
    assert found["language"] == ["system"] * 3
    assert found["pass_filenames"] == ["false"] * 3


def test_the_table_of_sessions_is_complete() -> None:
    page = PAGES["packages/CONTRIBUTING.md"].read_text()
    table = page.partition("## The sessions of nox")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == sessions().keys()


@pytest.mark.parametrize("name", PAGES)
def test_a_session_that_a_page_names_exists(name: str) -> None:
    named = re.findall(r"\bnox -s (\w+)", PAGES[name].read_text())
    assert set(named) <= sessions().keys()
