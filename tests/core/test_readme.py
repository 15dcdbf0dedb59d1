"""The examples of the README run as they stand, with a user and a session that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from taskcore import Database, embedded, list_tasks

README = Path(__file__).parents[2] / "packages" / "taskcore" / "README.md"


def examples(*places: tuple[str, str]) -> list[str]:
    """The examples, with each place in them that a reader fills in."""
    text = README.read_text()
    for placeholder, value in places:
        assert placeholder in text
        text = text.replace(placeholder, value)
    return re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def test_the_examples_run(
    url: str,
    alice: str,
    db: Database,
    session: Session,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = tmp_path / "taskdata"
    filled = examples(("postgresql://…", url), ("user_1", alice), ('"taskdata"', repr(str(data))))
    namespace: dict[str, object] = {"session": session}
    with_database, in_session, with_server = filled

    exec(with_database, namespace)
    assert namespace["mine"] == db.run(list_tasks(alice))
    exec(in_session, namespace)
    session.commit()
    assert [task.title for task in db.run(list_tasks(alice))] == ["Buy milk"] * 2

    try:
        exec(with_server, namespace)
        assert capsys.readouterr().out.startswith("postgresql://")
    finally:
        embedded.erase(data)
