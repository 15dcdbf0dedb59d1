"""Mutants of SQL, in the form of cosmic-ray's operators, which do not look into strings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, TypeAlias

Position: TypeAlias = tuple[int, int]

_IS_SQL = re.compile(r"\b(AND|CREATE|EXISTS|GRANT|IF|IN|NOT|OR|REVOKE|SELECT|SET|WHERE|WITH)\b")
# What stands in a string, and what it becomes. A statement that begins a line becomes a comment.
_CHANGES = (
    (r"\bAND\b", "OR"),
    (r"\bOR\b(?! REPLACE)", "AND"),
    (r"\bNOT ", ""),
    (r"\bIS NULL\b", "IS NOT NULL"),
    (r"(?<!NOT )\bEXISTS\b", "NOT EXISTS"),
    (r"(?<!NOT) IN \(", " NOT IN ("),
    (r" = ", " <> "),
    (r" <> ", " = "),
    (r" >= ", " < "),
    (r" > ", " < "),
    (r"\btrue\b", "false"),
    (r"\bfalse\b", "true"),
    (r"(?m)^(\s*)(ALTER|COMMENT|GRANT|PERFORM|REVOKE)\b", r"\1-- \2"),
)


class ReplaceSql:
    """Changes one word of the SQL in a string."""

    def mutation_positions(self, node: Any) -> Iterator[tuple[Position, Position]]:
        for _ in _changed(node):
            yield node.start_pos, node.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        node.value = list(_changed(node))[index]
        return node


def _changed(node: Any) -> Iterator[str]:
    """The string with each of the changes, at each place."""
    if node.type not in ("string", "fstring_string") or not _IS_SQL.search(node.value):
        return
    for pattern, replacement in _CHANGES:
        for found in re.finditer(pattern, node.value):
            head, tail = node.value[: found.start()], node.value[found.end() :]
            yield head + found.expand(replacement) + tail
