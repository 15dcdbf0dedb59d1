"""The first lock: every statement on the tasks compares the owner with a parameter.

It is checked in the source of the statements and in the SQL that is sent.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from sqlalchemy import literal, or_, select

from support.unfiltered import FILTERED, STATEMENTS, unfiltered
from taskcore import Task
from taskcore.execution.op import Statement
from taskcore.tasks import operations

SOURCE = Path(operations.__file__).read_text()
_TASKS = Task.__table__


def without_owner(source: str) -> list[str]:
    """The statements on the tasks that do not name their owner."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return [
        ast.unparse(call)
        for call in calls
        if ast.unparse(call.func) == "Statement" and _on_tasks(call) and not _names_owner(call)
    ]


def _on_tasks(statement: ast.Call) -> bool:
    names = {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)}
    return bool(names & {"_tasks", "_COLUMNS", "Task"})


def _names_owner(statement: ast.Call) -> bool:
    for node in ast.walk(statement):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            conditions = {ast.unparse(argument) for argument in node.args}
            values = {(word.arg, ast.unparse(word.value)) for word in node.keywords}
            inserts = "insert(_tasks)" in ast.unparse(node.func)
            if node.func.attr == "where" and "_tasks.c.user_id == _OWNER" in conditions:
                return True
            if node.func.attr == "values" and inserts and ("user_id", "_OWNER") in values:
                return True
    return False


def owner_parameter(statement: Statement) -> str | None:
    """The parameter that every row's user_id must equal, or None if there is none."""
    sql = statement.sql.decode()
    if insert := re.match(r"INSERT INTO public\.tasks \(([^)]*)\) VALUES \(([^)]*)\)", sql):
        values = dict(zip(insert[1].split(", "), insert[2].split(", "), strict=True))
        found = re.fullmatch(r"\$(\d+)::VARCHAR", values["user_id"])
    else:
        where = re.search(r"\bWHERE (.*?)( ORDER BY .*| RETURNING .*|)$", sql, re.DOTALL)
        # Only parts of the condition that no OR makes optional count.
        flat = where[1] if where else ""
        while flat != (flatter := re.sub(r"\([^()]*\)", "…", flat)):
            flat = flatter
        equal = [
            re.fullmatch(r"public\.tasks\.user_id = \$(\d+)::VARCHAR", part.strip())
            for part in flat.split(" AND ")
            if " OR " not in flat
        ]
        found = next(filter(None, equal), None)
    return statement.parameters[int(found[1]) - 1] if found else None


def test_the_source_names_the_owner_in_every_statement() -> None:
    assert without_owner(SOURCE) == []
    assert SOURCE.count("= Statement(") == len(STATEMENTS)


@pytest.mark.parametrize(
    "bad",
    [
        "Statement(select(*_COLUMNS).where(_tasks.c.id == _ID))",
        "Statement(delete(_tasks).returning(_tasks.c.user_id))",
        "Statement(select(*_COLUMNS).where(_tasks.c.user_id == 'user_1'))",
        "Statement(select(*_COLUMNS).where(or_(_tasks.c.user_id == _OWNER, _FRESH)))",
        "Statement(update(_tasks).where(_tasks.c.id == _ID).values(user_id=_OWNER))",
        "Statement(insert(_tasks).values(id=_ID))",
    ],
)
def test_a_source_without_the_owner_is_found(bad: str) -> None:
    assert without_owner(bad) == [bad]
    assert without_owner("Statement(delete(_tasks).where(_tasks.c.user_id == _OWNER))") == []


@pytest.mark.parametrize("name", [*FILTERED, "_CREATE"])
def test_the_sql_compares_with_the_owners_parameter(name: str) -> None:
    assert owner_parameter(STATEMENTS[name]) == "owner"


@pytest.mark.parametrize("name", FILTERED)
def test_sql_without_the_comparison_is_found(name: str) -> None:
    assert owner_parameter(unfiltered(STATEMENTS[name])) is None


def test_sql_that_makes_the_comparison_optional_is_found() -> None:
    owned = _TASKS.c.user_id == operations._OWNER
    never = literal(1) == literal(2)
    everything = select(_TASKS.c.id)
    assert owner_parameter(Statement(everything.where(owned, never))) == "owner"
    assert owner_parameter(Statement(everything.where(or_(owned, never)))) is None
    assert owner_parameter(Statement(everything.where(or_(owned, never), never))) is None
    assert owner_parameter(Statement(everything.where(_TASKS.c.user_id == operations._ID))) is None


@pytest.mark.parametrize("name", STATEMENTS)
def test_the_sql_names_every_object_with_its_schema(name: str) -> None:
    """Otherwise a hostile search_path could change what a name means."""
    sql = STATEMENTS[name].sql.decode()
    named = re.findall(r"(\w+\.)?\b(tasks|taskcore_why_missed)\b", sql)
    assert named
    assert {schema for schema, _ in named} == {"public."}
