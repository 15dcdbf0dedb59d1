"""The table of tasks, on the users table that is there."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from taskcore.migrations.users_table import ADOPT_USERS, DROP_OWN_USERS

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "tasks",
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("title", sa.String(500), nullable=False),
        sa.Column("description", sa.Text),
        sa.Column("completed", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column(
            "created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()
        ),
        sa.Column(
            "updated_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()
        ),
        sa.PrimaryKeyConstraint("user_id", "id", name="pk_tasks"),
        schema="public",
    )
    op.create_index("ix_tasks_id", "tasks", ["id"], schema="public")
    op.execute(ADOPT_USERS)


def downgrade() -> None:
    op.drop_table("tasks", schema="public")
    op.execute(DROP_OWN_USERS)
