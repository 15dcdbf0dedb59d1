"""The tenant's role: it belongs to the cluster and not to one database, and so to no revision.

Several databases of a cluster may come here at once. Each tolerates that another was faster
(23505 on CREATE ROLE) or is at it right now (XX000, tuple concurrently updated, on GRANT).
"""

from __future__ import annotations

TENANT_ROLE = "taskcore_tenant"

# Our own SQLSTATE for what a script of ours refuses: the message is ours too, and may be shown.
REFUSED = "TC001"

CREATE_ROLE = f"""
DO $taskcore$
DECLARE
    may_set text := CASE WHEN current_setting('server_version_num')::int >= 160000
                         THEN 'SET' ELSE 'MEMBER' END;
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
               AND (rolsuper OR rolbypassrls OR rolcanlogin))
       OR EXISTS (SELECT FROM pg_catalog.pg_auth_members
                  WHERE member = '{TENANT_ROLE}'::regrole) THEN
        RAISE EXCEPTION SQLSTATE '{REFUSED}' USING MESSAGE =
            'the role {TENANT_ROLE} exists with rights that would open the lock '
            '(SUPERUSER, BYPASSRLS, LOGIN or membership in another role): take them away first';
    END IF;
    FOR attempt IN 1..50 LOOP
        EXIT WHEN pg_catalog.pg_has_role(current_user, '{TENANT_ROLE}', may_set);
        BEGIN
            EXECUTE format('GRANT {TENANT_ROLE} TO %I', current_user) || options;
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
