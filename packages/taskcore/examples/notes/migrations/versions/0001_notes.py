"""Make the notes, and let the tenant role read and write each owner's own."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "notes",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("task_id", sa.Uuid(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id", "task_id"],
            ["public.tasks.user_id", "public.tasks.id"],
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["user_id"], ["public.users.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON notes TO taskcore_tenant")
    op.execute("ALTER TABLE notes ENABLE ROW LEVEL SECURITY")
    op.execute(
        "CREATE POLICY own_notes ON notes TO taskcore_tenant "
        "USING (user_id = nullif(current_setting('taskcore.user_id', true), ''))"
    )


def downgrade() -> None:
    op.drop_table("notes")
