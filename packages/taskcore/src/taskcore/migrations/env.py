"""Alembic's entry: runs revisions on the connection that the runner gives, or prints a script.

All revisions of a run share one transaction, so that a run that is stopped changes nothing.
"""

from __future__ import annotations

from typing import Any

from alembic import context

from taskcore.citus import DISTRIBUTE_TABLES, LET_ROLE_LOG_IN
from taskcore.models import SCHEMA, User, metadata
from taskcore.tenancy import CREATE_ROLE, REFUSE_OBJECTS_OF_OTHERS, VERSION_TABLE

attributes = context.config.attributes
settings: dict[str, Any] = {
    "target_metadata": metadata,
    "version_table": VERSION_TABLE,
    "version_table_schema": SCHEMA,
}

if context.is_offline_mode():
    context.configure(
        dialect_name="postgresql",
        # The default style would double every percent sign of the script.
        dialect_opts={"paramstyle": "named"},
        literal_binds=True,
        **settings,
    )
    with context.begin_transaction():
        for line in attributes["settings"]:
            context.execute(line)
        context.execute(REFUSE_OBJECTS_OF_OTHERS)
        context.execute(CREATE_ROLE)
        context.run_migrations()
        if attributes["distribute"]:  # by the definitions of today, which need the newest revision
            context.execute(LET_ROLE_LOG_IN)
            context.execute(DISTRIBUTE_TABLES)
        # A function that another login made meanwhile was replaced, and still belongs to it.
        context.execute(REFUSE_OBJECTS_OF_OTHERS)
else:
    context.configure(
        connection=attributes["connection"],
        on_version_apply=attributes.get("on_version_apply"),
        # For a new revision only: compare the tables of our schema, and no others. The users table
        # is usually Better Auth's, so no revision changes it.
        include_schemas=True,
        include_name=lambda name, kind, _: kind != "schema" or name == SCHEMA,
        include_object=lambda _, name, kind, *__: kind != "table" or name != User.__tablename__,
        **settings,
    )
    with context.begin_transaction():
        context.run_migrations()
