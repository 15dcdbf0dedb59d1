"""Every verb, beside the objects of a login that may CREATE in public and wants to be superuser."""

from __future__ import annotations

import signal

import httpx
import pytest

from support.command import Cli
from support.hostile_login import LOOKUPS, OBJECTS, OVERLOADS, HostileLogin
from support.polling import wait_until
from support.ports import port_served
from support.sql import fetch_column, run_sql
from taskcore import migrations

VERBS = [
    *("migrate", "migrate --check", "migrate --down --to base --yes", "migrate --grant pg_monitor"),
    *("doctor", "status", "stats", "seed --users 2 --tasks 9 --yes", "serve"),
    *("users list", "users show ada", "users add bob", "users delete ada --yes"),
    *("users adopt public.users", "tasks list --user ada", "tasks export", "tasks import"),
    "token --user ada",
]


def run_verb(cli: Cli, verb: str, url: str, secret: str) -> int:
    settings = {"DATABASE_URL": url, "BETTER_AUTH_SECRET": secret, "TASKAPI_DRAIN_SECONDS": "0"}
    if verb != "serve":
        return cli(*verb.split(), **settings).code
    process = cli.start("serve", "--port", 0, **settings)
    try:
        port = port_served(process)
    except AssertionError:
        return process.wait(30)
    address = f"http://127.0.0.1:{port}"

    def is_ready() -> bool:
        try:
            return httpx.get(f"{address}/health/ready", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    wait_until(is_ready, "a ready server")
    process.send_signal(signal.SIGTERM)
    return process.wait(30)


@pytest.mark.parametrize("verb", VERBS)
def test_what_a_lookup_would_find_is_not_called(
    cli: Cli, hostile: HostileLogin, secret: str, verb: str
) -> None:
    url = hostile.owner_url
    hostile.lay(*LOOKUPS.values())
    migrations.upgrade(url)
    hostile.lay(OVERLOADS["varchar"])
    run_sql(url, "INSERT INTO public.users (id) VALUES ('ada')")
    # The check and doctor name the function, and doctor who may create it.
    assert run_verb(cli, verb, url, secret) == (verb in ("migrate --check", "doctor"))
    assert (hostile.calls(), hostile.has_won()) == (0, False)
    for trap in (*LOOKUPS.values(), OVERLOADS["varchar"]):
        if "why_missed" not in trap.meets or "--down" not in verb:
            assert hostile.is_met_by_a_plain_connection(trap)


@pytest.mark.parametrize("verb", VERBS)
def test_what_is_in_our_name_already_is_refused(
    cli: Cli, hostile: HostileLogin, secret: str, verb: str
) -> None:
    url = hostile.owner_url
    # The role of another database in the cluster, so that a server's login gets that far.
    if not fetch_column(url, "SELECT 1 FROM pg_roles WHERE rolname = 'taskcore_tenant'"):
        run_sql(url, "CREATE ROLE taskcore_tenant NOLOGIN NOINHERIT")
    run_sql(url, "GRANT USAGE ON SCHEMA public TO taskcore_tenant")
    names = ["public.taskcore_version, a view", "public.tasks", "public.taskcore_why_missed"]
    hostile.lay(*LOOKUPS.values(), *(OBJECTS[name] for name in names))
    assert run_verb(cli, verb, url, secret) == 1
    assert (hostile.calls(), hostile.has_won()) == (0, False)
    for name in names:
        assert hostile.is_met_by_a_plain_connection(OBJECTS[name])


def test_doctor_says_who_may_create_and_what_to_run(
    cli: Cli, hostile: HostileLogin, secret: str
) -> None:
    migrations.upgrade(hostile.owner_url)
    settings = {"DATABASE_URL": hostile.owner_url, "BETTER_AUTH_SECRET": secret}
    for grantee in (hostile.name, "PUBLIC"):
        run_sql(hostile.owner_url, f"GRANT CREATE ON SCHEMA public TO {grantee}")
        found = cli("doctor", "--json", **settings).json["checks"]
        (finding,) = [finding for finding in found if not finding["ok"]]
        assert finding["check"] == "schema public"
        assert grantee in finding["message"]
        run_sql(hostile.owner_url, f"REVOKE CREATE ON SCHEMA public FROM {hostile.name}")
    run_sql(hostile.owner_url, finding["mend"])
    assert cli("doctor", **settings).code == 0


def test_a_users_table_of_another_login_is_adopted_by_the_variable(
    cli: Cli, hostile: HostileLogin
) -> None:
    run_sql(hostile.url, "CREATE TABLE public.users (id text PRIMARY KEY)")
    run_sql(hostile.url, "GRANT ALL ON public.users TO PUBLIC")
    refused = cli("migrate", DATABASE_URL=hostile.owner_url)
    assert refused.code == 1
    assert "TASKCORE_USERS_TABLE=public.users adopts it all the same" in refused.err
    named = {"DATABASE_URL": hostile.owner_url, "TASKCORE_USERS_TABLE": "public.users"}
    adopted = cli("migrate", **named)
    assert adopted.code == 0
    assert f"public.users belongs to the login {hostile.name}" in adopted.err
