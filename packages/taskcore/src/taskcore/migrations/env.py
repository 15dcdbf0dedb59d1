"""How Alembic runs the history: on the connection that `taskcore.schema` gives, or as a script.

Everything happens in one transaction, so that a run that is stopped leaves nothing half done.
"""

from __future__ import annotations

from alembic import context

from taskcore.migrations.role import CREATE_ROLE
from taskcore.models import SCHEMA, metadata

attributes = context.config.attributes
settings = {
    "target_metadata": metadata,
    "version_table": attributes["version_table"],
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
        for line in attributes["preamble"]:
            context.execute(line)
        context.execute(CREATE_ROLE)
        context.run_migrations()
else:
    context.configure(
        connection=attributes["connection"],
        on_version_apply=attributes["on_version_apply"],
        **settings,
    )
    with context.begin_transaction():
        context.run_migrations()
