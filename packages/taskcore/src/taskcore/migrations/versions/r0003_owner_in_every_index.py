"""Add the owner to the index on ids, so that every index plan compares the owner in the index."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_tasks_id_user_id", "tasks", ["id", "user_id"], schema="public")
    op.drop_index("ix_tasks_id", "tasks", schema="public", if_exists=True)


def downgrade() -> None:
    op.create_index("ix_tasks_id", "tasks", ["id"], schema="public")
    op.drop_index("ix_tasks_id_user_id", "tasks", schema="public", if_exists=True)
