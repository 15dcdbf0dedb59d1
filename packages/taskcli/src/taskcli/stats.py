"""`taskcli stats`: how much there is."""

from __future__ import annotations

from dataclasses import asdict

from . import environment, output
from .verbs import Json


def stats(as_json: Json = False) -> None:
    """Count users and tasks, per user and in bytes.

    Reads everybody's rows, outside the lock of the tenants: with the owner's login.
    """
    from taskcore import admin

    with admin.connected(environment.operator_url()) as session:
        found = asdict(admin.statistics(session))
    if not as_json:
        found["table_bytes"] = output.size(found["table_bytes"])
        found["total_bytes"] = output.size(found["total_bytes"])
        found["index_bytes"] = {
            name: output.size(number) for name, number in found["index_bytes"].items()
        }
    output.record(found, as_json=as_json)
