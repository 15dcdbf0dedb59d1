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
    wish text := nullif(pg_catalog.current_setting('taskcore.users_table', true), '');
    users regclass;
    users_name text;
    users_owner text;
    key_type text;
    key_number smallint;
    orphans bigint;
BEGIN
    IF wish IS NULL THEN
        users := coalesce(pg_catalog.to_regclass('public.users'),
                          pg_catalog.to_regclass('public."user"'));
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
            users := 'public.users'::pg_catalog.regclass;
        END IF;
    ELSIF wish <> 'none' THEN
        BEGIN
            users := coalesce(
                pg_catalog.to_regclass(wish), pg_catalog.to_regclass('public.' || wish),
                pg_catalog.to_regclass('public.' || pg_catalog.quote_ident(wish)));
        EXCEPTION
            WHEN invalid_name OR syntax_error OR feature_not_supported THEN
                users := NULL;
            WHEN insufficient_privilege THEN
                RAISE EXCEPTION SQLSTATE 'TC001' USING MESSAGE = pg_catalog.format(
                    'the schema of the users table %s belongs to another role, who has to run: '
                    'GRANT USAGE ON SCHEMA %I TO %I;',
                    wish, (pg_catalog.parse_ident(wish))[1], current_user);
        END;
        IF users IS NULL THEN
            RAISE EXCEPTION SQLSTATE 'TC001' USING MESSAGE =
                pg_catalog.format('the users table %s does not exist', wish);
        END IF;
    END IF;

    IF users IS NOT NULL THEN
        SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) INTO users_name
            FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE c.oid = users AND c.relkind IN ('r', 'p');
        IF users_name IS NULL THEN
            RAISE EXCEPTION SQLSTATE 'TC001' USING MESSAGE =
                pg_catalog.format('the users table %s is not a table', users);
        END IF;
        SELECT r.rolname INTO users_owner
            FROM pg_catalog.pg_class c JOIN pg_catalog.pg_roles r ON r.oid = c.relowner
            WHERE c.oid = users AND c.relowner NOT IN (
SELECT r.oid FROM pg_catalog.pg_roles r
 WHERE r.rolsuper
    OR r.rolname IN (current_user, session_user)
    OR r.oid IN (SELECT d.datdba FROM pg_catalog.pg_database d
                  WHERE d.datname = pg_catalog.current_database())
    OR r.oid IN (SELECT n.nspowner FROM pg_catalog.pg_namespace n WHERE n.nspname = 'public')
    OR NOT (SELECT u.rolsuper FROM pg_catalog.pg_roles u WHERE u.rolname = session_user)
       AND (pg_catalog.pg_has_role(session_user, r.oid, 'USAGE')
            OR current_user = 'taskcore_tenant'
               AND r.oid IN (SELECT m.member FROM pg_catalog.pg_auth_members m
                               JOIN pg_catalog.pg_roles t ON t.oid = m.roleid
                              WHERE t.rolname = 'taskcore_tenant'))
);
        IF users_owner IS NOT NULL AND wish IS NULL THEN
            RAISE EXCEPTION SQLSTATE 'TC001' USING MESSAGE = pg_catalog.format(
                'the users table %s belongs to the login %s, '
                'which owns neither the database nor the schema public: '
                'TASKCORE_USERS_TABLE=%s adopts it all the same',
                users_name, users_owner, users_name);
        END IF;
        SELECT pg_catalog.format_type(atttypid, NULL), attnum INTO key_type, key_number
            FROM pg_catalog.pg_attribute
            WHERE attrelid = users AND attname = 'id' AND NOT attisdropped;
        IF key_type IS NULL OR key_type NOT IN ('text', 'character varying') THEN
            RAISE EXCEPTION SQLSTATE 'TC001' USING MESSAGE = pg_catalog.format(
                'the users table %s has %s; a column id of type text is needed, or '
                'TASKCORE_USERS_TABLE=none for users that are kept elsewhere',
                users_name, coalesce('an id of type ' || key_type, 'no column id'));
        END IF;
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_index
                       WHERE indrelid = users AND indisunique AND indisvalid AND indimmediate
                         AND indpred IS NULL AND indnkeyatts = 1 AND indkey[0] = key_number) THEN
            RAISE EXCEPTION SQLSTATE 'TC001' USING MESSAGE = pg_catalog.format(
                'the users table %s has no primary key or unique constraint on id', users_name);
        END IF;
        IF NOT (pg_catalog.has_table_privilege(users, 'REFERENCES')
                AND pg_catalog.has_table_privilege(users, 'SELECT')) THEN
            RAISE EXCEPTION SQLSTATE 'TC001' USING MESSAGE = pg_catalog.format(
                'the users table %s belongs to another role, who has to run: '
                'GRANT REFERENCES, SELECT ON %s TO %I;', users_name, users_name, current_user);
        END IF;
    END IF;

    IF EXISTS (SELECT FROM pg_catalog.pg_constraint
               WHERE conrelid = 'public.tasks'::pg_catalog.regclass
                 AND conname = 'fk_tasks_user_id') THEN
        ALTER TABLE public.tasks DROP CONSTRAINT fk_tasks_user_id;
    END IF;
    IF users IS NOT NULL THEN
        EXECUTE pg_catalog.format(
            'SELECT pg_catalog.count(*) FROM public.tasks t '
            'WHERE NOT EXISTS (SELECT FROM %s u WHERE u.id = t.user_id)', users_name)
            INTO orphans;
        IF orphans > 0 THEN
            RAISE EXCEPTION SQLSTATE 'TC001' USING MESSAGE = pg_catalog.format(
                'the users table %s does not know the owners of %s tasks', users_name, orphans);
        END IF;
        EXECUTE pg_catalog.format(
            'ALTER TABLE public.tasks ADD CONSTRAINT fk_tasks_user_id '
            'FOREIGN KEY (user_id) REFERENCES %s (id) ON DELETE CASCADE', users_name);
    END IF;
    RAISE NOTICE 'users table: %', coalesce(users_name, 'none');
    IF users_owner IS NOT NULL THEN
        RAISE NOTICE 'the users table % belongs to the login %, which can delete tasks by deleting '
            'users', users_name, users_owner;
    END IF;
END
$taskcore$
"""

_DROP_OWN_USERS = """
DO $taskcore$
BEGIN
    IF pg_catalog.obj_description(pg_catalog.to_regclass('public.users'), 'pg_class')
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
