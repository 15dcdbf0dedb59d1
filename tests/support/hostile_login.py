"""A login that may CREATE in the schema public and nothing else, and what it can leave there.

Each trap is a set of objects that call `public.sprung` when another login meets them. That function
makes the login a superuser and counts its calls in a sequence, which no rollback takes back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import uuid4

import psycopg
import pytest

from support.sql import PASSWORD, as_login, fetch_column, run_sql
from taskcore import embedded

_SPRUNG = """
CREATE SEQUENCE public.calls;
GRANT ALL ON SEQUENCE public.calls TO PUBLIC;
CREATE FUNCTION public.sprung() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_catalog.nextval('public.calls');
    PERFORM pg_catalog.set_config('role', 'none', true);
    ALTER ROLE {login} SUPERUSER;
    RETURN false;
EXCEPTION WHEN insufficient_privilege THEN
    RETURN false;
END $$;
"""
_OWN_VERSION = """
CREATE TABLE public.taskcore_version (version_num varchar(32) NOT NULL PRIMARY KEY);
GRANT ALL ON public.taskcore_version TO PUBLIC;
CREATE FUNCTION public.on_write() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM public.sprung(); RETURN new; END $$;
CREATE TRIGGER on_write BEFORE INSERT ON public.taskcore_version
    FOR EACH ROW EXECUTE FUNCTION public.on_write();
"""
_BODY = "RETURNS text LANGUAGE sql AS $$ SELECT public.sprung()::text $$"


@dataclass(frozen=True)
class Trap:
    """Objects, and a statement that meets them under the search_path of a plain connection."""

    objects: str
    meets: str


# Found by looking up a name, whatever is there.
LOOKUPS = {
    "operator": Trap(
        """CREATE FUNCTION public.same(name, varchar) RETURNS boolean LANGUAGE sql AS
               $$ SELECT public.sprung() $$;
           CREATE OPERATOR public.= (LEFTARG = name, RIGHTARG = varchar, FUNCTION = public.same)""",
        "SELECT 'a'::name = 'a'::varchar",
    ),
    "set_config": Trap(
        f"CREATE FUNCTION public.set_config(varchar, varchar, boolean) {_BODY}",
        "SELECT set_config('lock_timeout'::varchar, '1s'::varchar, true)",
    ),
    "format": Trap(
        f"CREATE FUNCTION public.format(text, name, name) {_BODY}",
        "SELECT format('%I.%I'::text, 'a'::name, 'b'::name)",
    ),
}
# In a name of ours, made before the first migration.
OBJECTS = {
    "public.taskcore_version": Trap(
        _OWN_VERSION, "INSERT INTO public.taskcore_version VALUES ('0004')"
    ),
    "public.taskcore_version, a view": Trap(
        """CREATE VIEW public.taskcore_version AS
               SELECT public.sprung()::varchar AS version_num;
           GRANT ALL ON public.taskcore_version TO PUBLIC""",
        "SELECT version_num FROM public.taskcore_version",
    ),
    "public.tasks": Trap(
        """CREATE VIEW public.tasks AS
               SELECT 'ada'::text AS user_id, pg_catalog.gen_random_uuid() AS id,
                      'x'::varchar AS title, public.sprung()::text AS description,
                      true AS completed, pg_catalog.now() AS created_at,
                      pg_catalog.now() AS updated_at;
           GRANT ALL ON public.tasks TO PUBLIC""",
        "SELECT * FROM public.tasks",
    ),
    "public.taskcore_why_missed": Trap(
        f"CREATE FUNCTION public.taskcore_why_missed(owner text, task uuid) {_BODY}",
        "SELECT public.taskcore_why_missed('a', NULL)",
    ),
}
# Beside a function of ours, at any time.
OVERLOADS = {
    "varchar": Trap(
        f"CREATE FUNCTION public.taskcore_why_missed(varchar, uuid) {_BODY}",
        "SELECT public.taskcore_why_missed('a'::varchar, NULL::uuid)",
    ),
    "default": Trap(
        f"CREATE FUNCTION public.taskcore_why_missed(text, uuid, int DEFAULT 0) {_BODY}",
        "SELECT public.taskcore_why_missed('a'::text, NULL::uuid, 1)",
    ),
}


@dataclass
class HostileLogin:
    """The login in one database, whose owner is a superuser."""

    name: str
    owner_url: str

    @property
    def url(self) -> str:
        return as_login(self.owner_url, self.name)

    def lay(self, *traps: Trap) -> None:
        run_sql(self.url, *(trap.objects for trap in traps))

    def calls(self) -> int:
        """How often a trap was met by now."""
        query = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM public.calls"
        return int(fetch_column(self.owner_url, query)[0])

    def has_won(self) -> bool:
        query = f"SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = '{self.name}'"
        return bool(fetch_column(self.owner_url, query)[0])

    def is_met_by_a_plain_connection(self, trap: Trap) -> bool:
        """The control: the owner's login, with its usual search_path, runs the statement."""
        before = self.calls()
        with psycopg.connect(self.owner_url, autocommit=True) as connection:
            connection.execute(trap.meets.encode())
        return self.calls() > before and self.has_won()


@pytest.fixture
def hostile(postgres: embedded.Server, empty_url: str) -> Iterator[HostileLogin]:
    """The login in a database that no migration has seen yet."""
    login = HostileLogin(f"hostile_{uuid4().hex}", empty_url)
    run_sql(
        empty_url,
        f"CREATE ROLE {login.name} LOGIN PASSWORD '{PASSWORD}'",
        f"GRANT CREATE ON SCHEMA public TO {login.name}",
    )
    run_sql(login.url, _SPRUNG.format(login=login.name))
    yield login
    run_sql(empty_url, f"DROP OWNED BY {login.name} CASCADE", f"DROP ROLE {login.name}")
