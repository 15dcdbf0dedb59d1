"""Add the second lock: row-level security for the tenant role, and the reason function."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_LOCK = """
GRANT USAGE ON SCHEMA public TO taskcore_tenant;
REVOKE ALL ON public.tasks FROM PUBLIC, taskcore_tenant;
GRANT SELECT, INSERT, UPDATE, DELETE ON public.tasks TO taskcore_tenant;
ALTER TABLE public.tasks ENABLE ROW LEVEL SECURITY;
CREATE POLICY taskcore_owner ON public.tasks FOR ALL TO taskcore_tenant
    USING (user_id = nullif(pg_catalog.current_setting('taskcore.user_id', true), ''))
    WITH CHECK (user_id = nullif(pg_catalog.current_setting('taskcore.user_id', true), ''));
"""

# With this grant a server's login can tell whether the schema is behind its code.
_SHOW_REVISION = "GRANT SELECT ON public.taskcore_version TO taskcore_tenant"

# The function finds the users table by the foreign key; without one, every user counts as known.
# Its arguments go by number, because a column of the users table could have any name.
_WHY_MISSED = """
DO $taskcore$
DECLARE
    unknown text := (
        SELECT pg_catalog.format('NOT EXISTS (SELECT FROM %I.%I u WHERE u.id = $1)',
                                 n.nspname, c.relname)
          FROM pg_catalog.pg_constraint k
          JOIN pg_catalog.pg_class c ON c.oid = k.confrelid
          JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE k.conrelid = 'public.tasks'::pg_catalog.regclass
           AND k.conname = 'fk_tasks_user_id');
BEGIN
    EXECUTE pg_catalog.format(
        'CREATE OR REPLACE FUNCTION public.taskcore_why_missed(owner text, task uuid) '
        'RETURNS text LANGUAGE sql STABLE SECURITY DEFINER '
        'SET search_path = pg_catalog, pg_temp AS %L',
        pg_catalog.format($body$
            SELECT CASE
                WHEN %s THEN 'unknown_user'
                WHEN EXISTS (SELECT FROM public.tasks t
                             WHERE t.user_id = $1 AND t.id = $2) THEN 'own'
                WHEN EXISTS (SELECT FROM public.tasks t WHERE t.id = $2) THEN 'foreign'
                ELSE 'absent'
            END
        $body$, coalesce(unknown, 'false')));
    REVOKE ALL ON FUNCTION public.taskcore_why_missed(text, uuid) FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION public.taskcore_why_missed(text, uuid) TO taskcore_tenant;
END
$taskcore$
"""


def upgrade() -> None:
    op.execute(_LOCK)
    op.execute(_WHY_MISSED)
    op.execute(_SHOW_REVISION)


def downgrade() -> None:
    op.execute("REVOKE ALL ON public.taskcore_version FROM taskcore_tenant")
    op.execute("DROP FUNCTION public.taskcore_why_missed(text, uuid)")
    op.execute("DROP POLICY taskcore_owner ON public.tasks")
    op.execute("ALTER TABLE public.tasks DISABLE ROW LEVEL SECURITY")
    op.execute("REVOKE ALL ON public.tasks FROM taskcore_tenant")
    op.execute("REVOKE USAGE ON SCHEMA public FROM taskcore_tenant")
