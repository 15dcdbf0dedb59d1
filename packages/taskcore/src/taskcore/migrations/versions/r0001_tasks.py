"""Make the table of tasks, and tie it to the users table."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Find, make or refuse the users table, and tie the tasks to it by the foreign key.
_ADOPT_USERS = """
DO $taskcore$
DECLARE
    wish text := nullif(current_setting('taskcore.users_table', true), '');
    users regclass;
    users_name text;
    key_type text;
    key_number smallint;
    orphans bigint;
BEGIN
    IF wish IS NULL THEN
        users := coalesce(to_regclass('public.users'), to_regclass('public."user"'));
        IF users IS NULL THEN
            CREATE TABLE public.users (
                id text NOT NULL,
                email text,
                name text,
                created_at timestamptz NOT NULL DEFAULT now(),
                CONSTRAINT pk_users PRIMARY KEY (id),
                CONSTRAINT uq_users_email UNIQUE (email)
            );
            COMMENT ON TABLE public.users IS 'Made by taskcore, which found no users table.';
            RAISE NOTICE 'no users table was found: public.users was created';
            users := 'public.users'::regclass;
        END IF;
    ELSIF wish <> 'none' THEN
        BEGIN
            users := coalesce(to_regclass(wish), to_regclass(quote_ident(wish)));
        EXCEPTION
            WHEN invalid_name OR syntax_error OR feature_not_supported THEN
                users := NULL;
            WHEN insufficient_privilege THEN
                RAISE EXCEPTION SQLSTATE 'TC001' USING MESSAGE = format(
                    'the schema of the users table %s belongs to another role, who has to run: '
                    'GRANT USAGE ON SCHEMA %I TO %I;', wish, (parse_ident(wish))[1], current_user);
        END;
        IF users IS NULL THEN
            RAISE EXCEPTION SQLSTATE 'TC001' USING MESSAGE =
                format('the users table %s does not exist', wish);
        END IF;
    END IF;

    IF users IS NOT NULL THEN
        SELECT format('%I.%I', n.nspname, c.relname) INTO users_name
            FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE c.oid = users AND c.relkind IN ('r', 'p');
        IF users_name IS NULL THEN
            RAISE EXCEPTION SQLSTATE 'TC001' USING MESSAGE =
                format('the users table %s is not a table', users);
        END IF;
        SELECT pg_catalog.format_type(atttypid, NULL), attnum INTO key_type, key_number
            FROM pg_catalog.pg_attribute
            WHERE attrelid = users AND attname = 'id' AND NOT attisdropped;
        IF key_type IS NULL OR key_type NOT IN ('text', 'character varying') THEN
            RAISE EXCEPTION SQLSTATE 'TC001' USING MESSAGE = format(
                'the users table %s has %s; a column id of type text is needed, or '
                'TASKCORE_USERS_TABLE=none for users that are kept elsewhere',
                users_name, coalesce('an id of type ' || key_type, 'no column id'));
        END IF;
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_index
                       WHERE indrelid = users AND indisunique AND indisvalid AND indimmediate
                         AND indpred IS NULL AND indnkeyatts = 1 AND indkey[0] = key_number) THEN
            RAISE EXCEPTION SQLSTATE 'TC001' USING MESSAGE = format(
                'the users table %s has no primary key or unique constraint on id', users_name);
        END IF;
        IF NOT (has_table_privilege(users, 'REFERENCES')
                AND has_table_privilege(users, 'SELECT')) THEN
            RAISE EXCEPTION SQLSTATE 'TC001' USING MESSAGE = format(
                'the users table %s belongs to another role, who has to run: '
                'GRANT REFERENCES, SELECT ON %s TO %I;', users_name, users_name, current_user);
        END IF;
    END IF;

    IF EXISTS (SELECT FROM pg_catalog.pg_constraint
               WHERE conrelid = 'public.tasks'::regclass AND conname = 'fk_tasks_user_id') THEN
        ALTER TABLE public.tasks DROP CONSTRAINT fk_tasks_user_id;
    END IF;
    IF users IS NOT NULL THEN
        EXECUTE format('SELECT count(*) FROM public.tasks t '
                       'WHERE NOT EXISTS (SELECT FROM %s u WHERE u.id = t.user_id)', users_name)
            INTO orphans;
        IF orphans > 0 THEN
            RAISE EXCEPTION SQLSTATE 'TC001' USING MESSAGE = format(
                'the users table %s does not know the owners of %s tasks', users_name, orphans);
        END IF;
        EXECUTE format('ALTER TABLE public.tasks ADD CONSTRAINT fk_tasks_user_id '
                       'FOREIGN KEY (user_id) REFERENCES %s (id) ON DELETE CASCADE', users_name);
    END IF;
    RAISE NOTICE 'users table: %', coalesce(users_name, 'none');
END
$taskcore$
"""

_DROP_OWN_USERS = """
DO $taskcore$
BEGIN
    IF obj_description(to_regclass('public.users'), 'pg_class')
            = 'Made by taskcore, which found no users table.' THEN
        DROP TABLE public.users;
    END IF;
EXCEPTION WHEN dependent_objects_still_exist THEN
    RAISE NOTICE 'public.users stays: other tables refer to it';
END
$taskcore$
"""


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
    op.execute(_ADOPT_USERS)


def downgrade() -> None:
    op.drop_table("tasks", schema="public")
    op.execute(_DROP_OWN_USERS)
