"""The site is not built with a broken link or an undocumented public name in it.

`nox -s docs` builds the whole site and then runs this, on sources of one page.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import taskcore
from taskcore import migrations

CONFIGURATION = Path(__file__).parents[2] / "packages" / "docs"
REFERENCE = CONFIGURATION / "reference" / "library.md"


def build(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Build a site of one page beside the reference, which has to be complete."""
    source = folder / "source"
    source.mkdir()
    (source / "index.md").write_text(f"# Page\n\n{text}\n\n```{{toctree}}\nlibrary\n```\n")
    (source / "library.md").write_text(REFERENCE.read_text())
    options = ("--fail-on-warning", "--keep-going", "--nitpicky", "-c", str(CONFIGURATION))
    return subprocess.run(
        [sys.executable, "-m", "sphinx", *options, str(source), str(folder / "site")],
        timeout=120,
        capture_output=True,
        text=True,
    )


def test_a_page_without_a_fault_is_built(tmp_path: Path) -> None:
    """The control."""
    built = build("[library](library.md#taskcore)", tmp_path)
    assert (built.returncode, built.stderr) == (0, "")
    page = (tmp_path / "site" / "library.html").read_text()
    for module in (taskcore, migrations):
        for name in module.__all__:
            assert name in page


@pytest.mark.parametrize(
    ("fault", "warning"),
    [
        ("[page](nowhere.md)", "nowhere.md"),
        ("[heading](library.md#nowhere)", "nowhere"),
        ("```{eval-rst}\n:py:func:`taskcore.nothing`\n```", "taskcore.nothing"),
        (
            "```{eval-rst}\n.. autofunction:: taskcore.execution.wire.Exchange.nothing\n```",
            "failed to import",
        ),
    ],
)
def test_a_broken_link_fails(fault: str, warning: str, tmp_path: Path) -> None:
    built = build(fault, tmp_path)
    assert built.returncode == 1
    assert warning in built.stderr
