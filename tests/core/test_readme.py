"""The example in the README runs as it stands, against a database and a user that exist."""

from __future__ import annotations

import re
from pathlib import Path

from taskcore import Database, list_tasks

README = Path(__file__).parents[2] / "packages" / "taskcore" / "README.md"


def test_the_readmes_example_runs(url: str, alice: str, db: Database) -> None:
    examples = re.findall(r"^```python\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)
    assert len(examples) == 1
    example = examples[0].replace("postgresql://…", url).replace("user_1", alice)
    assert url in example
    assert alice in example
    namespace: dict[str, object] = {}
    exec(example, namespace)
    assert namespace["mine"] == db.run(list_tasks(alice))
    assert len(db.run(list_tasks(alice))) == 1
