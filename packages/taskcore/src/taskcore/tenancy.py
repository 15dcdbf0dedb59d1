"""The second lock as it is today: role, settings, policy, function, and the users table's adoption.

The binding, the check and the operator's verbs look here. This module imports nothing of ours, so
that every other module may import it. A revision holds its own copy of what it needed, because a
revision is history and these definitions change.
"""

from __future__ import annotations

TENANT_ROLE = "taskcore_tenant"
"""The role that every operation takes; row-level security applies to it."""

OWNER_SETTING = "taskcore.user_id"
"""The setting that the policy compares a row's owner with."""

VERSION_TABLE = "taskcore_version"
"""The table in which Alembic keeps the revision that the database is at."""

USERS_TABLE_SETTING = "taskcore.users_table"
"""The setting that tells the adoption script which users table is wanted."""

FOREIGN_KEY = "fk_tasks_user_id"
"""The constraint that ties the tasks to the users table."""

OWN_USERS_COMMENT = "Made by taskcore, which found no users table."
"""The comment on a users table that a migration of ours has made."""

ROLE_LOGIN_COMMENT = "May log in: the nodes of a Citus cluster connect to each other as this role."
"""The comment on the tenant role where a database of the cluster is distributed."""

SEARCH_PATH = "pg_catalog, pg_temp"
"""Where a name without a schema is looked up: in no schema that another login may create in.

pg_temp stands last, because it comes first where it is not named.
"""

SET_SEARCH_PATH = f"SELECT pg_catalog.set_config('search_path', '{SEARCH_PATH}', true)"
"""The first statement of a transaction on a connection that may not have started with it."""

# An SQLSTATE of our own for what a script of ours refuses: the message is ours, and may be shown.
REFUSED_SQLSTATE = "TC001"

# --- whose objects they are -----------------------------------------------------------------------


# A function, trigger, view or policy runs with the rights of the login that uses it. So objects in
# our names are used only if they belong to a login that could do as much without them. The server's
# login is bound to the tenant role when it asks; unless it is a superuser, it trusts the members of
# that role too, because each of them can bind any owner.
def trusted_roles(as_tenant: str) -> str:
    """Return the query for those logins; `as_tenant` is whether the session takes the role."""
    return f"""
SELECT r.oid FROM pg_catalog.pg_roles r
 WHERE r.rolsuper
    OR r.rolname IN (current_user, session_user)
    OR r.oid IN (SELECT d.datdba FROM pg_catalog.pg_database d
                  WHERE d.datname = pg_catalog.current_database())
    OR r.oid IN (SELECT n.nspowner FROM pg_catalog.pg_namespace n WHERE n.nspname = 'public')
    OR NOT (SELECT u.rolsuper FROM pg_catalog.pg_roles u WHERE u.rolname = session_user)
       AND (pg_catalog.pg_has_role(session_user, r.oid, 'USAGE')
            OR {as_tenant}
               AND r.oid IN (SELECT m.member FROM pg_catalog.pg_auth_members m
                               JOIN pg_catalog.pg_roles t ON t.oid = m.roleid
                              WHERE t.rolname = '{TENANT_ROLE}'))
"""


TRUSTED_ROLES = trusted_roles(f"current_user = '{TENANT_ROLE}'")

OUR_OBJECTS = f"""
WITH tables AS (
    SELECT c.oid, c.relname, c.relowner FROM pg_catalog.pg_class c
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = 'public' AND c.relname IN ('tasks', '{VERSION_TABLE}')
), objects AS (
    SELECT 'public.' || t.relname AS name, t.relowner AS owner FROM tables t
    UNION ALL
    SELECT 'public.' || p.proname, p.proowner
      FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
     WHERE n.nspname = 'public'
       AND (p.proname, pg_catalog.oidvectortypes(p.proargtypes)) IN (
           ('taskcore_why_missed', 'text, uuid'), ('taskcore_set_owner', 'text'))
    UNION ALL
    SELECT pg_catalog.concat('the function of trigger ', g.tgname, ' on public.', t.relname),
           f.proowner
      FROM pg_catalog.pg_trigger g JOIN tables t ON t.oid = g.tgrelid
      JOIN pg_catalog.pg_proc f ON f.oid = g.tgfoid
     WHERE NOT g.tgisinternal
)
SELECT CAST(o.name AS pg_catalog.text) AS name,
       CAST(pg_catalog.pg_get_userbyid(o.owner) AS pg_catalog.text) AS owner,
       o.owner IN ({TRUSTED_ROLES}) AS trusted
  FROM objects o ORDER BY 1
"""
"""What there is in our names: `name`, `owner`, and whether that login is trusted."""

UNTRUSTED = "which owns neither the database nor the schema public"

# For a script that a DBA runs; a migration asks the same question itself.
REFUSE_OBJECTS_OF_OTHERS = f"""
DO $taskcore$
DECLARE
    found text := (SELECT pg_catalog.concat(o.name, ' belongs to the login ', o.owner)
                     FROM ({OUR_OBJECTS}) o WHERE NOT o.trusted LIMIT 1);
BEGIN
    IF found IS NOT NULL THEN
        RAISE EXCEPTION SQLSTATE '{REFUSED_SQLSTATE}' USING MESSAGE =
            pg_catalog.concat(found, ', {UNTRUSTED}: drop it, or change its owner');
    END IF;
END
$taskcore$
"""

# As Alembic makes it. A table that another login makes at the same moment is an error here, while
# Alembic would use it.
MAKE_VERSION_TABLE = (
    f"CREATE TABLE public.{VERSION_TABLE} (version_num varchar(32), "
    f"CONSTRAINT {VERSION_TABLE}_pkc PRIMARY KEY (version_num))"
)

# --- the users table ------------------------------------------------------------------------------

FIND_USERS_TABLE = f"""
SELECT c.oid AS oid, pg_catalog.format('%I.%I', n.nspname, c.relname) AS name,
       pg_catalog.obj_description(c.oid, 'pg_class') = '{OWN_USERS_COMMENT}' AS ours
  FROM pg_catalog.pg_constraint k
  JOIN pg_catalog.pg_class c ON c.oid = k.confrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE k.conname = '{FOREIGN_KEY}' AND k.conrelid = 'public.tasks'::pg_catalog.regclass
"""

# The database itself decides, where the script runs, so that the decision is the same for a
# migration and for a script that a DBA runs. The setting names the wanted table, or is `none`, or
# is empty.
ADOPT_USERS = f"""
DO $taskcore$
DECLARE
    wish text := nullif(pg_catalog.current_setting('{USERS_TABLE_SETTING}', true), '');
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
                id text,
                email text,
                name text,
                created_at timestamptz NOT NULL DEFAULT now(),
                CONSTRAINT pk_users PRIMARY KEY (id),
                CONSTRAINT uq_users_email UNIQUE (email)
            );
            COMMENT ON TABLE public.users IS '{OWN_USERS_COMMENT}';
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
                RAISE EXCEPTION SQLSTATE '{REFUSED_SQLSTATE}' USING MESSAGE = pg_catalog.format(
                    'the schema of the users table %s belongs to another role, who has to run: '
                    'GRANT USAGE ON SCHEMA %I TO %I;',
                    wish, (pg_catalog.parse_ident(wish))[1], current_user);
        END;
        IF users IS NULL THEN
            RAISE EXCEPTION SQLSTATE '{REFUSED_SQLSTATE}' USING MESSAGE =
                pg_catalog.format('the users table %s does not exist', wish);
        END IF;
    END IF;

    IF users IS NOT NULL THEN
        SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) INTO users_name
            FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE c.oid = users AND c.relkind IN ('r', 'p');
        IF users_name IS NULL THEN
            RAISE EXCEPTION SQLSTATE '{REFUSED_SQLSTATE}' USING MESSAGE =
                pg_catalog.format('the users table %s is not a table', users);
        END IF;
        SELECT r.rolname INTO users_owner
            FROM pg_catalog.pg_class c JOIN pg_catalog.pg_roles r ON r.oid = c.relowner
            WHERE c.oid = users AND c.relowner NOT IN ({TRUSTED_ROLES});
        IF users_owner IS NOT NULL AND wish IS NULL THEN
            RAISE EXCEPTION SQLSTATE '{REFUSED_SQLSTATE}' USING MESSAGE = pg_catalog.format(
                'the users table %s belongs to the login %s, {UNTRUSTED}: '
                'TASKCORE_USERS_TABLE=%s adopts it all the same',
                users_name, users_owner, users_name);
        END IF;
        SELECT pg_catalog.format_type(atttypid, NULL), attnum INTO key_type, key_number
            FROM pg_catalog.pg_attribute
            WHERE attrelid = users AND attname = 'id' AND NOT attisdropped;
        IF key_type IS NULL OR key_type NOT IN ('text', 'character varying') THEN
            RAISE EXCEPTION SQLSTATE '{REFUSED_SQLSTATE}' USING MESSAGE = pg_catalog.format(
                'the users table %s has %s; a column id of type text is needed, or '
                'TASKCORE_USERS_TABLE=none for users that are kept elsewhere',
                users_name, coalesce('an id of type ' || key_type, 'no column id'));
        END IF;
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_index
                       WHERE indrelid = users AND indisunique AND indisvalid AND indimmediate
                         AND indpred IS NULL AND indnkeyatts = 1 AND indkey[0] = key_number) THEN
            RAISE EXCEPTION SQLSTATE '{REFUSED_SQLSTATE}' USING MESSAGE = pg_catalog.format(
                'the users table %s has no primary key or unique constraint on id', users_name);
        END IF;
        IF NOT (pg_catalog.has_table_privilege(users, 'REFERENCES')
                AND pg_catalog.has_table_privilege(users, 'SELECT')) THEN
            RAISE EXCEPTION SQLSTATE '{REFUSED_SQLSTATE}' USING MESSAGE = pg_catalog.format(
                'the users table %s belongs to another role, who has to run: '
                'GRANT REFERENCES, SELECT ON %s TO %I;', users_name, users_name, current_user);
        END IF;
    END IF;

    -- Tasks that Citus has spread may refer only to a table that is on every node.
    IF users IS NOT NULL
       AND EXISTS (SELECT FROM pg_catalog.pg_extension e WHERE e.extname = 'citus') THEN
        IF EXISTS (SELECT FROM pg_catalog.pg_dist_partition
                   WHERE logicalrelid = 'public.tasks'::pg_catalog.regclass)
           AND NOT EXISTS (SELECT FROM pg_catalog.pg_dist_partition
                           WHERE logicalrelid = users AND partmethod = 'n' AND repmodel = 't') THEN
            PERFORM pg_catalog.create_reference_table(users);
        END IF;
    END IF;
    IF EXISTS (SELECT FROM pg_catalog.pg_constraint
               WHERE conrelid = 'public.tasks'::pg_catalog.regclass
                 AND conname = '{FOREIGN_KEY}') THEN
        ALTER TABLE public.tasks DROP CONSTRAINT {FOREIGN_KEY};
    END IF;
    IF users IS NOT NULL THEN
        EXECUTE pg_catalog.format(
            'SELECT pg_catalog.count(*) FROM public.tasks t '
            'WHERE NOT EXISTS (SELECT FROM %s u WHERE u.id = t.user_id)', users_name)
            INTO orphans;
        IF orphans > 0 THEN
            RAISE EXCEPTION SQLSTATE '{REFUSED_SQLSTATE}' USING MESSAGE = pg_catalog.format(
                'the users table %s does not know the owners of %s tasks', users_name, orphans);
        END IF;
        EXECUTE pg_catalog.format(
            'ALTER TABLE public.tasks ADD CONSTRAINT {FOREIGN_KEY} '
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

# --- the role -------------------------------------------------------------------------------------

# It belongs to the cluster and not to one database, and so to no revision. Several databases may
# create it at once; each tolerates that another was faster (23505 on CREATE ROLE) or is working on
# it at this moment (XX000, tuple concurrently updated, on GRANT).
ROLE_MAY_LOG_IN = f"""(
    EXISTS (SELECT FROM pg_catalog.pg_extension e WHERE e.extname = 'citus')
    OR EXISTS (SELECT FROM pg_catalog.pg_roles t WHERE t.rolname = '{TENANT_ROLE}'
               AND pg_catalog.shobj_description(t.oid, 'pg_authid') = '{ROLE_LOGIN_COMMENT}'))"""
"""Whether LOGIN is as it has to be: with Citus here, or in another database of the cluster."""

CREATE_ROLE = f"""
DO $taskcore$
DECLARE
    version int := pg_catalog.current_setting('server_version_num');
    may_set text := CASE WHEN version >= 160000 THEN 'SET' ELSE 'MEMBER' END;
    options text := CASE may_set WHEN 'SET' THEN ' WITH INHERIT FALSE, SET TRUE' ELSE '' END;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = '{TENANT_ROLE}') THEN
        BEGIN
            CREATE ROLE {TENANT_ROLE} NOLOGIN NOINHERIT;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;
        END;
    END IF;
    IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = '{TENANT_ROLE}'
               AND (rolsuper OR rolbypassrls OR rolcanlogin AND NOT {ROLE_MAY_LOG_IN}))
       OR EXISTS (SELECT FROM pg_catalog.pg_auth_members
                  WHERE member = '{TENANT_ROLE}'::pg_catalog.regrole) THEN
        RAISE EXCEPTION SQLSTATE '{REFUSED_SQLSTATE}' USING MESSAGE =
            'the role {TENANT_ROLE} exists with rights that would open the lock '
            '(SUPERUSER, BYPASSRLS, LOGIN or membership in another role): take them away first';
    END IF;
    FOR attempt IN 1..50 LOOP
        EXIT WHEN pg_catalog.pg_has_role(current_user, '{TENANT_ROLE}', may_set);
        BEGIN
            EXECUTE pg_catalog.format('GRANT {TENANT_ROLE} TO %I', current_user) || options;
        EXCEPTION
            WHEN internal_error OR unique_violation THEN
                PERFORM pg_catalog.pg_sleep(0.02);
            WHEN insufficient_privilege THEN
                RAISE NOTICE '% may not take the role {TENANT_ROLE}; the login of the server '
                    'must: GRANT {TENANT_ROLE} TO ...', current_user;
                EXIT;
        END;
    END LOOP;
END
$taskcore$
"""

DROP_ROLE = f"""
DO $taskcore$
BEGIN
    DROP ROLE IF EXISTS {TENANT_ROLE};
EXCEPTION WHEN dependent_objects_still_exist OR insufficient_privilege OR internal_error THEN
    RAISE NOTICE 'the role {TENANT_ROLE} stays: another database uses it, or it is not ours';
END
$taskcore$
"""

# --- the policy and the function ------------------------------------------------------------------


def lock_sql(schema: str) -> str:
    """Return the grants and the policy on the tasks of a schema: `public`, or the check's own."""
    return f"""
GRANT USAGE ON SCHEMA {schema} TO {TENANT_ROLE};
REVOKE ALL ON {schema}.tasks FROM PUBLIC, {TENANT_ROLE};
GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.tasks TO {TENANT_ROLE};
ALTER TABLE {schema}.tasks ENABLE ROW LEVEL SECURITY;
CREATE POLICY taskcore_owner ON {schema}.tasks FOR ALL TO {TENANT_ROLE}
    USING (user_id = nullif(pg_catalog.current_setting('{OWNER_SETTING}', true), ''))
    WITH CHECK (user_id = nullif(pg_catalog.current_setting('{OWNER_SETTING}', true), ''));
"""


def show_revision_sql(schema: str) -> str:
    """Return the grant with which a server's login can tell whether the schema is behind."""
    return f"GRANT SELECT ON {schema}.{VERSION_TABLE} TO {TENANT_ROLE}"


def reason_function_sql(schema: str) -> str:
    """Return the script that makes the function which says why an operation found no row.

    It finds the users table by the foreign key; without one, every user counts as known. The
    function's arguments go by number, because a column of the users table could have any name.
    Each step is a statement that Citus can plan. There a step sees rows of a later moment than the
    one before it, so the last one leaves out the owner's rows.
    """
    return f"""
DO $taskcore$
DECLARE
    unknown text := (
        SELECT pg_catalog.format('NOT EXISTS (SELECT FROM %I.%I u WHERE u.id = $1)',
                                 n.nspname, c.relname)
          FROM pg_catalog.pg_constraint k
          JOIN pg_catalog.pg_class c ON c.oid = k.confrelid
          JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE k.conrelid = '{schema}.tasks'::pg_catalog.regclass
           AND k.conname = '{FOREIGN_KEY}');
BEGIN
    EXECUTE pg_catalog.format(
        'CREATE OR REPLACE FUNCTION {schema}.taskcore_why_missed(owner text, task uuid) '
        'RETURNS text LANGUAGE plpgsql STABLE SECURITY DEFINER '
        'SET search_path = pg_catalog, pg_temp AS %L',
        pg_catalog.format($body$
            BEGIN
                IF %s THEN RETURN 'unknown_user'; END IF;
                IF $2 IS NULL THEN RETURN 'absent'; END IF;
                PERFORM FROM {schema}.tasks t WHERE t.user_id = $1 AND t.id = $2;
                IF FOUND THEN RETURN 'own'; END IF;
                PERFORM FROM {schema}.tasks t WHERE t.id = $2 AND t.user_id <> $1;
                IF FOUND THEN RETURN 'foreign'; END IF;
                RETURN 'absent';
            END
        $body$, coalesce(unknown, 'false')));
    REVOKE ALL ON FUNCTION {schema}.taskcore_why_missed(text, uuid) FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION {schema}.taskcore_why_missed(text, uuid) TO {TENANT_ROLE};
END
$taskcore$
"""
