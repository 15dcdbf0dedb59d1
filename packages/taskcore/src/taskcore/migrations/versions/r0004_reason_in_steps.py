"""Ask why an operation found no row in separate steps, each of which a cluster of servers can run.

Citus can plan a statement in PL/pgSQL whose parameters are the function's, and none in SQL.
"""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# The function finds the users table by the foreign key; without one, every user counts as known.
# Its arguments go by number, because a column of the users table could have any name.
_USERS = """
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
"""

# On several servers each step sees rows of a later moment than the one before it. So the last one
# leaves out the owner's rows: one that is made meanwhile would count as another user's.
_IN_STEPS = f"""{_USERS}
    EXECUTE pg_catalog.format(
        'CREATE OR REPLACE FUNCTION public.taskcore_why_missed(owner text, task uuid) '
        'RETURNS text LANGUAGE plpgsql STABLE SECURITY DEFINER '
        'SET search_path = pg_catalog, pg_temp AS %L',
        pg_catalog.format($body$
            BEGIN
                IF %s THEN RETURN 'unknown_user'; END IF;
                IF $2 IS NULL THEN RETURN 'absent'; END IF;
                PERFORM FROM public.tasks t WHERE t.user_id = $1 AND t.id = $2;
                IF FOUND THEN RETURN 'own'; END IF;
                PERFORM FROM public.tasks t WHERE t.id = $2 AND t.user_id <> $1;
                IF FOUND THEN RETURN 'foreign'; END IF;
                RETURN 'absent';
            END
        $body$, coalesce(unknown, 'false')));
END
$taskcore$
"""

_IN_ONE_STATEMENT = f"""{_USERS}
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
END
$taskcore$
"""


def upgrade() -> None:
    op.execute(_IN_STEPS)


def downgrade() -> None:
    # Made where the tasks are distributed, for the code of this revision and later ones.
    op.execute("DROP FUNCTION IF EXISTS public.taskcore_set_owner(text)")
    op.execute(_IN_ONE_STATEMENT)
