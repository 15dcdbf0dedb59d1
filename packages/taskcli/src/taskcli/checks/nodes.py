"""The nodes of a cluster: whether each lets the tenant role in, as every operation needs."""

from __future__ import annotations

from typing import Any

import psycopg

from taskcore.citus import NODES
from taskcore.tenancy import TENANT_ROLE

from . import CheckFailed, locks


def reachable(connection: psycopg.Connection[Any]) -> str:
    """Ask the coordinator, in the role of an operation, which nodes it can connect to."""
    with connection.transaction(force_rollback=True):
        locks.bind(connection, "taskcli doctor")
        found = connection.execute(NODES.encode()).fetchall()
    if away := [name for name, answers in found if not answers]:
        raise CheckFailed(
            f"{len(away)} of {len(found)} nodes cannot be reached as {TENANT_ROLE}: "
            f"{', '.join(away)}",
            f"start them, and let their pg_hba.conf admit {TENANT_ROLE} from the cluster's nodes",
        )
    return f"all {len(found)} let {TENANT_ROLE} in"
