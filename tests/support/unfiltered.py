"""The statements of the operations, and each of them without the first lock, its predicate."""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy import BinaryExpression, bindparam
from sqlalchemy.sql.visitors import replacement_traverse

from taskcore import Task
from taskcore.execution.op import Statement
from taskcore.tasks import operations

STATEMENTS = {
    name: value for name, value in vars(operations).items() if isinstance(value, Statement)
}
# An INSERT has no predicate, and the function that says why asks the whole table on purpose.
FILTERED = [name for name in STATEMENTS if name not in ("_CREATE", "_REASON")]


def unfiltered(statement: Statement) -> Statement:
    """Return the same statement for the tasks of every owner; it takes the same parameters."""
    owned = Task.__table__.c.user_id
    anybody = bindparam("owner", type_=owned.type).is_not(None)

    def replace(element: Any, **_: object) -> Any:
        names_owner = isinstance(element, BinaryExpression) and element.left is owned
        return anybody if names_owner else None

    core = replacement_traverse(cast(Any, statement.core), {}, replace)
    return Statement(core, repeatable=statement.repeatable)
