"""What a database needs where Citus spreads the tasks over several servers, as it is today.

The users table and the version table get a copy on every node, and the tasks are spread by their
owner. The nodes connect to each other as the current role, so the tenant role may log in. What a
session sets does not reach the other nodes, unless a SET LOCAL statement in a transaction block
sets it; so there a function binds the owner.
"""

from __future__ import annotations

from .tenancy import (
    FOREIGN_KEY,
    OWNER_SETTING,
    REFUSED_SQLSTATE,
    ROLE_LOGIN_COMMENT,
    TENANT_ROLE,
    VERSION_TABLE,
    trusted_roles,
)

SEQUENTIAL = "citus.multi_shard_modify_mode"
"""The setting that is `sequential` where one transaction changes several tables.

Citus refuses to change one that others refer to while it works on those in parallel. On another
database it is a setting without a meaning.
"""

HAS_CITUS = "EXISTS (SELECT FROM pg_catalog.pg_extension e WHERE e.extname = 'citus')"

# Asked on a new connection, before any role is taken; the members of the tenant role are trusted,
# as they are once it is.
IS_DISTRIBUTED = f"""({HAS_CITUS} AND EXISTS (
    SELECT FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
     WHERE n.nspname = 'public' AND p.proname = 'taskcore_set_owner'
       AND pg_catalog.oidvectortypes(p.proargtypes) = 'text'
       AND p.proowner IN ({trusted_roles("true")})))"""
"""Whether the owner has to be bound by the function: it is there, as the extension is."""


def set_owner_function_sql(schema: str) -> str:
    """Return the statement that makes the function; an owner is never NULL.

    It may be called by every login: the binding calls it with the rights of its own. Its SET is for
    the statement in it, and ends with the function; what that statement sets does not.
    """
    return f"""
CREATE OR REPLACE FUNCTION {schema}.taskcore_set_owner(owner text) RETURNS text LANGUAGE plpgsql
SET citus.propagate_set_commands = 'local' AS $function$
BEGIN
    EXECUTE pg_catalog.format('SET LOCAL {OWNER_SETTING} = %L', owner);
    RETURN pg_catalog.current_setting('{OWNER_SETTING}');
END
$function$;
GRANT EXECUTE ON FUNCTION {schema}.taskcore_set_owner(text) TO PUBLIC;
"""


DISTRIBUTION = f"""
WITH wanted AS (
    SELECT 1 AS place, k.confrelid AS oid, 'a copy on every node' AS wanted
      FROM pg_catalog.pg_constraint k
     WHERE k.conrelid = pg_catalog.to_regclass('public.tasks') AND k.conname = '{FOREIGN_KEY}'
    UNION ALL
    SELECT 2, pg_catalog.to_regclass('public.{VERSION_TABLE}'), 'a copy on every node'
    UNION ALL
    SELECT 3, pg_catalog.to_regclass('public.tasks'), 'spread by user_id'
)
SELECT w.oid::pg_catalog.regclass AS oid, pg_catalog.format('%I.%I', n.nspname, c.relname) AS name,
       w.wanted,
       CASE WHEN d.logicalrelid IS NULL
              OR d.partmethod = 'n' AND d.repmodel = 's' AND d.colocationid = 0
            THEN 'on one node'
            WHEN d.partmethod = 'n' AND d.repmodel = 't' THEN 'a copy on every node'
            WHEN d.partmethod = 'h' THEN 'spread by ' || coalesce(a.attname, d.partkey)
            ELSE 'distributed otherwise' END AS found
  FROM wanted w
  JOIN pg_catalog.pg_class c ON c.oid = w.oid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_catalog.pg_dist_partition d ON d.logicalrelid = w.oid
  LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = w.oid
       AND a.attnum = pg_catalog.substring(d.partkey, '[:]varattno ([0-9]+)')::pg_catalog.int2
 ORDER BY w.place
"""
"""How each table lies on the nodes, and how it should; only where the extension is.

The view `citus_tables` may lie in `public`, where another login could have made one. A table that
others on the same node refer to may be in Citus's catalogue and still be on that node only.
"""

# A transaction of its own, as for the role itself. The comment is seen in every database of the
# cluster, and says there why the role may log in.
LET_ROLE_LOG_IN = f"""
DO $taskcore$
BEGIN
    IF NOT {HAS_CITUS} THEN
        RETURN;
    END IF;
    IF NOT (SELECT r.rolcanlogin FROM pg_catalog.pg_roles r WHERE r.rolname = '{TENANT_ROLE}') THEN
        BEGIN
            ALTER ROLE {TENANT_ROLE} LOGIN;
            COMMENT ON ROLE {TENANT_ROLE} IS '{ROLE_LOGIN_COMMENT}';
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE EXCEPTION SQLSTATE '{REFUSED_SQLSTATE}' USING MESSAGE =
                'the login may not change the role {TENANT_ROLE}, as which the nodes connect to '
                'each other; a DBA has to run: ALTER ROLE {TENANT_ROLE} LOGIN; '
                'COMMENT ON ROLE {TENANT_ROLE} IS ''{ROLE_LOGIN_COMMENT}'';';
        END;
        RAISE NOTICE 'the role {TENANT_ROLE} may log in, without a password';
    END IF;
    EXECUTE $make${set_owner_function_sql("public")}$make$;
END
$taskcore$
"""

# Referred tables first: what is spread may refer only to what is on every node. The rows that were
# there are copied to the nodes, and stay in the local table, unseen, until that is truncated; the
# referring table first.
DISTRIBUTE_TABLES = f"""
DO $taskcore$
DECLARE
    spread record;
    done regclass[];
BEGIN
    IF NOT {HAS_CITUS} THEN
        RETURN;
    END IF;
    FOR spread IN {DISTRIBUTION} LOOP
        IF spread.found NOT IN (spread.wanted, 'on one node') THEN
            RAISE EXCEPTION SQLSTATE '{REFUSED_SQLSTATE}' USING MESSAGE = pg_catalog.format(
                'the table %s is distributed, but not as it has to be (%s instead of %s): '
                'SELECT undistribute_table(%L) takes that back',
                spread.name, spread.found, spread.wanted, spread.name);
        END IF;
    END LOOP;
    FOR spread IN {DISTRIBUTION} LOOP
        IF spread.found = spread.wanted THEN
            CONTINUE;
        ELSIF spread.wanted = 'a copy on every node' THEN
            PERFORM pg_catalog.create_reference_table(spread.oid);
        ELSE
            PERFORM pg_catalog.create_distributed_table(spread.oid, 'user_id');
        END IF;
        done := spread.oid || done;
        RAISE NOTICE 'the table %: %', spread.name, spread.wanted;
    END LOOP;
    FOR place IN 1..coalesce(pg_catalog.array_length(done, 1), 0) LOOP
        PERFORM pg_catalog.truncate_local_data_after_distributing_table(done[place]);
    END LOOP;
END
$taskcore$
"""

NODES = """
SELECT n.nodename || ':' || n.nodeport,
       CASE WHEN pg_catalog.set_config('citus.node_connection_timeout', '300', true) IS NOT NULL
            THEN pg_catalog.citus_check_connection_to_node(n.nodename, n.nodeport) END
  FROM pg_catalog.pg_dist_node n
 WHERE n.isactive AND n.noderole = 'primary' AND n.shouldhaveshards
 ORDER BY 1
"""
"""The nodes that hold tasks, and whether each lets this role in; only where the extension is."""
