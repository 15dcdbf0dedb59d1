"""Alembic's entry: the database that DATABASE_URL names, with the login that owns the tables."""

import os

from alembic import context
from sqlalchemy import NullPool, create_engine
from sqlmodel import SQLModel

import notes  # noqa: F401 - its tables
from taskcore import migrations

url = os.environ["DATABASE_URL"].replace("postgresql:", "postgresql+psycopg:")
with create_engine(url, poolclass=NullPool).connect() as connection:
    context.configure(
        connection=connection,
        target_metadata=SQLModel.metadata,
        include_object=migrations.leave_out(),
        process_revision_directives=migrations.keep_foreign_keys,
    )
    with context.begin_transaction():
        context.run_migrations()
