"""`taskcli stats`: how many users and tasks there are, and how large the table is."""

from __future__ import annotations

from dataclasses import asdict

from . import environment, output
from .verbs import Json


def stats(as_json: Json = False) -> None:
    """Count users and tasks, and show the tasks per user and the sizes of table and indexes.

    It reads the rows of all users, so it needs the login that owns the tables.
    """
    from taskcore import admin

    with admin.connected(environment.operator_url()) as session:
        found = asdict(admin.statistics(session))
    if not as_json:
        found["table_bytes"] = output.readable_size(found["table_bytes"])
        found["total_bytes"] = output.readable_size(found["total_bytes"])
        found["index_bytes"] = {
            name: output.readable_size(number) for name, number in found["index_bytes"].items()
        }
    output.record(found, as_json=as_json)
