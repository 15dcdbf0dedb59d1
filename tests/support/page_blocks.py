"""The code blocks of a page, and how a test applies those that change a file."""

from __future__ import annotations

import re
from pathlib import Path


def section(page: str, title: str) -> str:
    """The text below a heading, up to the next heading of the same level."""
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    assert found is not None, f"the page has no section {title!r}"
    return found[1]


def blocks(text: str, language: str) -> list[str]:
    """The code blocks of a language, without the indent of the list around them."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", block, flags=re.MULTILINE) for indent, block in found]


def apply(block: str, root: Path) -> str:
    """Apply a block, which is a diff without line numbers; return the name of the changed file."""
    name, *rest = block.removeprefix("+++ ").splitlines()
    file = root / name
    text = file.read_text()
    for hunk in "\n".join(rest).split("\n@@\n"):
        lines = hunk.splitlines()
        before = "".join(f"{line[1:]}\n" for line in lines if line[:1] in (" ", "-"))
        after = "".join(f"{line[1:]}\n" for line in lines if line[:1] in (" ", "+"))
        assert text.count(before) == 1, f"{name} has this {text.count(before)} times:\n{before}"
        text = text.replace(before, after)
    file.write_text(text)
    return name


def write(block: str, root: Path) -> str:
    """Write a block whose first line is a comment with a file's name; return the name."""
    first, _, text = block.partition("\n")
    name = first.removeprefix("# ")
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)
    return name
