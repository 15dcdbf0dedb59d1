"""The history of the schema, as Alembic revisions. `taskcore.schema` runs it."""
