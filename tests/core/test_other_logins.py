"""A login that may CREATE in public runs no code of its own with the rights of another login."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import pytest

from support.drivers import RUNNERS
from support.hostile_login import LOOKUPS, OBJECTS, OVERLOADS, HostileLogin, Trap
from support.schema_dump import Dump, Psql
from support.sql import fetch_column, operations_work, run_sql
from taskcore import (
    Database,
    NotTaskOwner,
    SchemaMissing,
    TaskCreate,
    TaskNotFound,
    UnknownUser,
    UntrustedObject,
    admin,
    create_task,
    get_task,
    list_tasks,
    migrations,
)
from taskcore.errors import UsersTableRefused

NO_TASK = UUID(int=0)


def every_migration(url: str) -> None:
    migrations.upgrade(url)
    assert migrations.check(url) == []
    assert migrations.current(url) == migrations.head()
    migrations.adopt_users(url, "users")
    migrations.downgrade(url, "base")
    migrations.upgrade(url)


def every_administration(url: str) -> None:
    with admin.connected(url) as session:
        admin.add_user(session, "ada")
        admin.list_users(session)
        admin.statistics(session)
        admin.tenant_role(session)
        admin.creators(session)
        assert admin.tasks_of(session, "ada", limit=1) == []
        assert list(admin.export(session)) == []
        admin.count_others(session, "x")
        admin.delete_user(session, "ada")


@pytest.mark.parametrize("name", LOOKUPS)
def test_what_it_makes_for_a_lookup_is_not_found(hostile: HostileLogin, name: str) -> None:
    hostile.lay(LOOKUPS[name])
    every_migration(hostile.owner_url)
    every_administration(hostile.owner_url)
    run_sql(hostile.owner_url, "INSERT INTO public.users (id) VALUES ('ada')")
    assert operations_work(hostile.owner_url, "ada")
    assert (hostile.calls(), hostile.has_won()) == (0, False)
    assert hostile.is_met_by_a_plain_connection(LOOKUPS[name])


def an_operation(url: str) -> None:
    with Database(url, max_size=1) as database:
        database.run(get_task("ada", NO_TASK))


ACTIONS: dict[str, Callable[[str], object]] = {
    "upgrade": migrations.upgrade,
    "downgrade": migrations.downgrade,
    "current": migrations.current,
    "adopt_users": lambda url: migrations.adopt_users(url, "users"),
    "admin": every_administration,
    "operation": an_operation,
}


@pytest.mark.parametrize("name", OBJECTS)
def test_what_it_made_in_our_name_is_refused_by_name(
    hostile: HostileLogin, name: str, dump: Dump
) -> None:
    hostile.lay(OBJECTS[name])
    before = dump(hostile.owner_url)
    for act in ACTIONS.values():
        with pytest.raises(UntrustedObject) as refused:
            act(hostile.owner_url)
        assert str(refused.value).startswith(name.partition(",")[0])
        assert f"belongs to the login {hostile.name}" in str(refused.value)
    assert any(hostile.name in line for line in migrations.check(hostile.owner_url))
    assert dump(hostile.owner_url) == before
    assert (hostile.calls(), hostile.has_won()) == (0, False)
    assert hostile.is_met_by_a_plain_connection(OBJECTS[name])


@pytest.mark.parametrize("name", OBJECTS)
def test_a_script_refuses_it_too(hostile: HostileLogin, psql: Psql, name: str) -> None:
    hostile.lay(OBJECTS[name])
    done = psql(hostile.owner_url, migrations.sql())
    assert done.returncode == 3
    assert f"belongs to the login {hostile.name}" in done.stderr
    assert hostile.calls() == 0
    assert hostile.is_met_by_a_plain_connection(OBJECTS[name])


def test_a_script_finds_none_of_its_lookups(hostile: HostileLogin, psql: Psql) -> None:
    hostile.lay(*LOOKUPS.values())
    done = psql(hostile.owner_url, migrations.sql())
    assert done.returncode == 0, done.stderr
    assert hostile.calls() == 0
    assert hostile.is_met_by_a_plain_connection(LOOKUPS["format"])


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_function_beside_ours_is_not_called(hostile: HostileLogin, runner: str) -> None:
    """Its types would fit the owner's parameter better, and a schema's name does not help."""
    migrations.upgrade(hostile.owner_url)
    hostile.lay(OVERLOADS["varchar"])
    run_sql(hostile.owner_url, "INSERT INTO public.users (id) VALUES ('ada'), ('bob')")
    with RUNNERS[runner](hostile.owner_url) as run:
        task = run(create_task("bob", TaskCreate(title="his")))
        with pytest.raises(TaskNotFound):
            run(get_task("ada", NO_TASK))
        with pytest.raises(NotTaskOwner):
            run(get_task("ada", task.id))
        with pytest.raises(UnknownUser):
            run(list_tasks("nobody"))
        assert (hostile.calls(), hostile.has_won()) == (0, False)
        assert hostile.is_met_by_a_plain_connection(OVERLOADS["varchar"])

    # One that cannot be told from ours is an error, and is not called either.
    called = hostile.calls()
    hostile.lay(OVERLOADS["default"])
    with RUNNERS[runner](hostile.owner_url) as run:
        assert run(get_task("bob", task.id)).title == "his"
        with pytest.raises(UntrustedObject):
            run(get_task("ada", task.id))
    assert hostile.calls() == called
    assert sum("taskcore_why_missed" in line for line in migrations.check(hostile.owner_url)) >= 2


def test_tables_that_are_made_later_are_not_used_either(hostile: HostileLogin) -> None:
    """A driver that found nothing asks again, until it has found all that a migration makes."""
    with Database(hostile.owner_url, max_size=1) as database:
        with pytest.raises(SchemaMissing):
            database.run(get_task("ada", NO_TASK))
        hostile.lay(OBJECTS["public.tasks"])
        with pytest.raises(UntrustedObject, match=hostile.name):
            database.run(get_task("ada", NO_TASK))
        run_sql(hostile.url, "DROP VIEW public.tasks")
        migrations.upgrade(hostile.owner_url)
        run_sql(hostile.owner_url, "INSERT INTO public.users (id) VALUES ('ada')")
        with pytest.raises(TaskNotFound):
            database.run(get_task("ada", NO_TASK))
    assert hostile.calls() == 0


TRIGGER = Trap(
    """CREATE FUNCTION public.on_task() RETURNS trigger LANGUAGE plpgsql AS
           $$ BEGIN PERFORM public.sprung(); RETURN new; END $$;
       CREATE TRIGGER on_task BEFORE INSERT ON public.tasks
           FOR EACH ROW EXECUTE FUNCTION public.on_task()""",
    "INSERT INTO public.tasks (user_id, id, title) VALUES ('ada', gen_random_uuid(), 'x')",
)


@pytest.mark.parametrize("table", ["tasks", "taskcore_version"])
def test_a_trigger_with_its_function_is_refused(hostile: HostileLogin, table: str) -> None:
    """It may once have had the right to make triggers on a table of ours."""
    migrations.upgrade(hostile.owner_url)
    run_sql(hostile.owner_url, "INSERT INTO public.users (id) VALUES ('ada')")
    run_sql(hostile.owner_url, f"GRANT TRIGGER ON public.{table} TO {hostile.name}")
    trap = Trap(TRIGGER.objects.replace("public.tasks", f"public.{table}"), TRIGGER.meets)
    hostile.lay(trap)
    for act in ACTIONS.values():
        with pytest.raises(UntrustedObject, match=f"trigger on_task on public.{table} belongs"):
            act(hostile.owner_url)
    assert any(
        f"trigger on_task on {table}" in line for line in migrations.check(hostile.owner_url)
    )
    assert (hostile.calls(), hostile.has_won()) == (0, False)
    if table == "tasks":
        assert hostile.is_met_by_a_plain_connection(trap)


def test_a_trigger_of_the_owners_login_is_used_and_named(hostile: HostileLogin) -> None:
    """The control: it is the login that counts, and of the trigger's own function."""
    migrations.upgrade(hostile.owner_url)
    run_sql(
        hostile.owner_url,
        "CREATE FUNCTION public.on_task() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RETURN new; END $$",
        "CREATE TRIGGER on_task BEFORE INSERT ON public.tasks "
        "FOR EACH ROW EXECUTE FUNCTION public.on_task()",
        "CREATE TRIGGER on_task BEFORE INSERT ON public.taskcore_version "
        "FOR EACH ROW EXECUTE FUNCTION public.on_task()",
        "INSERT INTO public.users (id) VALUES ('ada')",
    )
    assert operations_work(hostile.owner_url, "ada")
    found = [line.partition(" is not expected")[0] for line in migrations.check(hostile.owner_url)]
    assert found == ["trigger on_task on taskcore_version", "trigger on_task on tasks"]


USERS = "CREATE TABLE public.{} (id text PRIMARY KEY); GRANT ALL ON public.{} TO PUBLIC"


@pytest.mark.parametrize("table", ["users", '"user"'])
def test_its_users_table_is_adopted_only_by_name(hostile: HostileLogin, table: str) -> None:
    run_sql(hostile.url, USERS.format(table, table))
    with pytest.raises(UsersTableRefused, match=f"belongs to the login {hostile.name}"):
        migrations.upgrade(hostile.owner_url)
    assert migrations.current(hostile.owner_url) is None

    said: list[str] = []
    migrations.upgrade(hostile.owner_url, users_table=f"public.{table}", report=said.append)
    warning = f"the users table public.{table} belongs to the login {hostile.name}, which can"
    assert any(line.startswith(warning) for line in said)
    # What the login can do then, and what a table that was adopted unseen would have let it do.
    run_sql(hostile.owner_url, f"INSERT INTO public.{table} VALUES ('ada')")
    assert operations_work(hostile.owner_url, "ada")
    run_sql(hostile.url, f"DELETE FROM public.{table}")
    assert fetch_column(hostile.owner_url, "SELECT count(*) FROM public.tasks") == [0]


def test_a_users_table_of_the_databases_owner_is_adopted_as_before(hostile: HostileLogin) -> None:
    """The control: Better Auth's table usually belongs to the login that migrates."""
    run_sql(hostile.owner_url, USERS.format('"user"', '"user"'))
    migrations.upgrade(hostile.owner_url)
    assert migrations.check(hostile.owner_url) == []


def test_users_tables_of_others_are_not_looked_into(hostile: HostileLogin) -> None:
    """Planning a query calls the functions in a table's indexes, if their arguments are known."""
    trap = Trap(
        """CREATE FUNCTION public.always(int) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS
               $$ BEGIN PERFORM public.sprung(); RETURN true; END $$;
           CREATE TABLE public."user" (id text PRIMARY KEY);
           GRANT SELECT ON public."user" TO PUBLIC;
           CREATE INDEX ON public."user" (id) WHERE public.always(1)""",
        'SELECT FROM public."user"',
    )
    migrations.upgrade(hostile.owner_url)
    hostile.lay(trap)
    laid = hostile.calls()
    with admin.connected(hostile.owner_url) as session:
        assert admin.users_table(session).others == ()
    assert (hostile.calls(), hostile.has_won()) == (laid, False)
    assert hostile.is_met_by_a_plain_connection(trap)


def test_creators_are_named_for_a_revoke(hostile: HostileLogin) -> None:
    migrations.upgrade(hostile.owner_url)
    with admin.connected(hostile.owner_url) as session:
        assert admin.creators(session) == [hostile.name]
        session.execute(f"REVOKE CREATE ON SCHEMA public FROM {hostile.name}".encode())
        assert admin.creators(session) == []
        session.execute(b"GRANT CREATE ON SCHEMA public TO PUBLIC")
        assert admin.creators(session) == ["PUBLIC"]
