"""`taskcli status`: the schema's revision, the users table and the tenant role."""

from __future__ import annotations

from . import environment, output
from .verbs import Json


def status(as_json: Json = False) -> None:
    """Print the database's revision and which revisions are pending.

    Also which users table the tasks refer to, which logins may take the tenant role, and, where the
    extension citus is installed, whether the tasks are spread over its nodes.
    """
    from taskcore import admin, migrations

    url = environment.operator_url()
    at, history = migrations.current(url), migrations.history()
    names = [name for name, _ in history]
    pending = history[names.index(at) + 1 :] if at in names else history if at is None else []
    with admin.connected(url, needs_tables=at is not None) as session:
        users = admin.users_table(session) if at is not None else None
        role = admin.tenant_role(session)
    distributed = migrations.is_distributed(url)
    table = "not adopted yet" if users is None else users.name or "none"
    output.record(
        {
            "revision": at,
            "head": migrations.head(),
            "pending": [f"{name} {purpose}" for name, purpose in pending],
            "users_table": table,
            "users_table_is_ours": users is not None and users.ours,
            "role_exists": role.exists,
            "login": role.login,
            "login_may_take_role": role.may_take_it,
            "role_members": list(role.members),
            "distributed": distributed,
        },
        as_json=as_json,
    )
    if distributed is False:
        output.note("the tasks are not spread over the nodes of citus: run `taskcli migrate`")
    if at is not None and at not in names:
        output.note(f"revision {at} is newer than this taskcli, which knows {migrations.head()}")
