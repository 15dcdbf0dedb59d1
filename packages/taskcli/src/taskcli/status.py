"""`taskcli status`: where the schema is, and what is around it."""

from __future__ import annotations

from . import environment, output
from .verbs import Json


def status(as_json: Json = False) -> None:
    """Say which revision the database is at, and what is pending.

    And which users table the tasks refer to, and who may take the role of the tenants.
    """
    from taskcore import admin, schema

    url = environment.operator_url()
    at, history = schema.current(url), schema.history()
    names = [name for name, _ in history]
    pending = history[names.index(at) + 1 :] if at in names else history if at is None else []
    with admin.connected(url) as session:
        users = admin.users_table(session) if at is not None else None
        role = admin.tenants(session)
    table = "not adopted yet" if users is None else users.name or "none"
    output.record(
        {
            "revision": at,
            "head": schema.head(),
            "pending": [f"{name} {purpose}" for name, purpose in pending],
            "users_table": table,
            "users_table_is_ours": users is not None and users.ours,
            "role_exists": role.exists,
            "login": role.login,
            "login_may_take_role": role.may_take_it,
            "role_members": list(role.members),
        },
        as_json=as_json,
    )
    if at is not None and at not in names:
        output.note(f"revision {at} is newer than this taskcli, which knows {schema.head()}")
