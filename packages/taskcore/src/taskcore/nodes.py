"""Which nodes of a cluster can be reached, asked as a server can: as an operation."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import text

from .citus import IS_DISTRIBUTED, NODES
from .execution.op import Op, Row, Statement, Steps, first, rows

# No user has this id: the question concerns no user, and reads no user's row.
_NO_OWNER = "taskcore:nodes"
_IS_DISTRIBUTED = Statement(text(f"SELECT {IS_DISTRIBUTED}"))
_NODES = Statement(text(NODES))


class Nodes(NamedTuple):
    """How many nodes hold tasks, and how many of them answer; none on a single server."""

    answering: int
    known: int


def cluster_nodes() -> Op[Nodes]:
    """Ask the coordinator which nodes let it in."""
    return Op(_NO_OWNER, _cluster_nodes, (), _counted)


def _cluster_nodes(_: str) -> Steps[list[Row]]:
    distributed = yield from first(_IS_DISTRIBUTED)
    if distributed is None or not distributed[0]:
        return []
    return (yield from rows(_NODES))


def _counted(found: list[Row]) -> Nodes:
    return Nodes(sum(bool(answers) for _, answers in found), len(found))
