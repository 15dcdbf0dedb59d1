"""The README's programs run, and its table of settings agrees with `Settings`."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlmodel import Session, create_engine

from taskapi.settings import Settings, variable
from taskcore import admin, embedded

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("program", blocks("python"), ids=["blocking", "awaiting"])
def test_each_program_prints_a_task_made_toggled_listed_and_deleted(
    program: str, tmp_path: Path
) -> None:
    try:
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=tmp_path,
            check=True,
            capture_output=True,
            text=True,
            timeout=120,
        )
    finally:
        embedded.erase(tmp_path / "taskdata")
    made, toggled, listed, deleted = done.stdout.splitlines()
    assert "title='Buy milk'" in made
    assert "completed=False" in made
    assert "completed=True" in toggled
    assert listed.startswith("listed [TaskRead(")
    assert re.fullmatch(r"deleted [0-9a-f-]{36}", deleted)


def settings_table() -> str:
    rows = ["| variable | default | what it sets |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = field.default
        if field.is_required():
            shown = "needed"
        elif isinstance(default, tuple):
            shown = f"`{','.join(default)}`" if default else ""
        elif default is None or isinstance(default, SecretStr):
            shown = ""
        else:
            shown = f"`{str(default).lower() if isinstance(default, bool) else default}`"
        rows.append(f"| `{variable(name)}` | {shown} | {field.description} |")
    return "\n".join(rows)


def test_the_table_of_settings_agrees_with_the_settings() -> None:
    assert settings_table() in README


CORE = (ROOT / "packages" / "taskcore" / "README.md").read_text()


def test_the_programs_of_the_librarys_readme_run(url: str, alice: str, tmp_path: Path) -> None:
    first, in_a_session, for_operators, embedded_one = re.findall(
        r"^```python\n(.*?)^```$", CORE, re.MULTILINE | re.DOTALL
    )
    example = first.replace("postgresql://…", url).replace("user_1", alice)
    namespace: dict[str, object] = {}
    exec(example, namespace)
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with Session(engine) as session:
        exec(in_a_session.replace("user_1", alice), {**namespace, "session": session})
        session.commit()
    engine.dispose()
    exec(example, namespace)
    mine = namespace["mine"]
    assert isinstance(mine, list)
    assert len(mine) == 3
    other = f"{alice}_2"
    exec(for_operators.replace("postgresql://…", url).replace("user_2", other), {})
    with admin.connected(url) as operator:
        assert admin.delete_user(operator, other) == 0
    try:
        exec(embedded_one.replace("taskdata", str(tmp_path / "taskdata")), {})
    finally:
        embedded.erase(tmp_path / "taskdata")


def test_the_librarys_readme_names_everything_that_is_for_operators() -> None:
    page = CORE.partition("## For operators")[2].partition("\n## ")[0]
    named = set(re.findall(r"`(?:admin\.)?(\w+)", page))
    public = {name: getattr(admin, name) for name in admin.__all__}
    errors = {
        name
        for name, value in public.items()
        if isinstance(value, type) and issubclass(value, Exception)
    }
    assert public.keys() - errors - named == set()
