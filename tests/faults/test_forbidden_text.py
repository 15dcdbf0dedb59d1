"""Provokes errors that carry data, and searches the log for forbidden text.

conftest.py runs the same search after every other test of this folder; the tests below also show
that the search finds what it should.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import httpx
import pytest

from faults.writers import Writer, writing
from support.api_server import SECRET, Serve, token
from support.forbidden_text import MARK, check_answer, marked_title, no_forbidden_text
from support.http_contract import create
from support.polling import wait_until
from support.sql import PASSWORD, run_sql

FORBIDDEN = {
    "title": f"value too long: {MARK}",
    "secret": f"weak: {SECRET}",
    "password": f'authentication of "{PASSWORD}" failed',
    "url": "cannot connect to postgresql://app:another@127.0.0.1/tasks",
    "token": token("user_1"),
    "sql": "SELECT\n   id FROM tasks",
    "word 0": "of the word 'sesame'",
}
ALLOWED = (
    "unhandled DatabaseFault, cannot execute UPDATE in a read-only transaction, DELETE /api/tasks"
)

# Pairs of SQL: the first breaks an assumption of the code, the second repairs it.
BREAKS = {
    "a value violates a check": (
        f"ALTER TABLE tasks ADD CONSTRAINT inner_one CHECK (title NOT LIKE '{MARK}%') NOT VALID",
        "ALTER TABLE tasks DROP CONSTRAINT inner_one",
    ),
    "a value is not a number": (
        "ALTER TABLE tasks ADD CONSTRAINT inner_one CHECK (title::integer > 0) NOT VALID",
        "ALTER TABLE tasks DROP CONSTRAINT inner_one",
    ),
    "a value exists already": (
        "ALTER TABLE tasks ADD COLUMN twin integer;"
        "ALTER TABLE tasks ALTER COLUMN twin SET DEFAULT 1;"
        f"CREATE UNIQUE INDEX ON tasks (twin, left(title, {len(MARK)}))",
        "ALTER TABLE tasks DROP COLUMN twin",
    ),
    "a value is missing": (
        "ALTER TABLE tasks ADD COLUMN more text;"
        "ALTER TABLE tasks ADD CHECK (more IS NOT NULL) NOT VALID",
        "ALTER TABLE tasks DROP COLUMN more",
    ),
    "a trigger puts the value into its message": (
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$BEGIN RAISE EXCEPTION 'not %', NEW.title; END$$;"
        "CREATE TRIGGER refuses BEFORE INSERT OR UPDATE ON tasks "
        "FOR EACH ROW EXECUTE FUNCTION refuse()",
        "DROP TRIGGER refuses ON tasks; DROP FUNCTION refuse()",
    ),
    "a right is revoked": (
        "REVOKE INSERT, UPDATE ON tasks FROM taskcore_tenant",
        "GRANT INSERT, UPDATE ON tasks TO taskcore_tenant",
    ),
    "a column has another type": (
        "ALTER TABLE tasks RENAME COLUMN title TO away; ALTER TABLE tasks ADD COLUMN title bytea",
        "ALTER TABLE tasks DROP COLUMN title; ALTER TABLE tasks RENAME COLUMN away TO title",
    ),
    "a column is missing": (
        "ALTER TABLE tasks RENAME COLUMN title TO away",
        "ALTER TABLE tasks RENAME COLUMN away TO title",
    ),
    "a table is missing": ("ALTER TABLE tasks RENAME TO away", "ALTER TABLE away RENAME TO tasks"),
}
SUFFIXES = ["\0", "\n00:00:00 forged", "\x1b[2J", "\ud800", "'; SELECT 1 --", "\u202e", "x" * 9_999]


def with_password(url: str, password: str) -> str:
    parts = urlsplit(url)
    netloc = f"{parts.username}:{password}@{parts.hostname}:{parts.port}"
    return urlunsplit(parts._replace(netloc=netloc))


@pytest.mark.parametrize("name", FORBIDDEN)
@pytest.mark.parametrize("where", ["a file", "an answer", "this process"])
def test_the_search_finds_each_kind_of_forbidden_text(
    name: str, where: str, tmp_path: Path
) -> None:
    """Control of all searches in this folder."""
    log = tmp_path / "deep" / "log"
    log.parent.mkdir()
    log.write_text(f"{ALLOWED} {FORBIDDEN[name]}, but before the search\n")
    with pytest.raises(AssertionError, match=name), no_forbidden_text(tmp_path, "sesame"):  # noqa: PT012
        if where == "a file":
            with log.open("a") as file:
                file.write(f"{ALLOWED} {FORBIDDEN[name]}\n")
        elif where == "an answer" and name != "word 0":
            check_answer(httpx.Response(500, text=FORBIDDEN[name].replace("\n", " ")))
        else:
            logging.getLogger("another").warning("%s %s", ALLOWED, FORBIDDEN[name])
    log.unlink()


def test_the_search_accepts_allowed_text(tmp_path: Path) -> None:
    with no_forbidden_text(tmp_path, "sesame") as searched:
        (tmp_path / "log").write_text(ALLOWED)
        check_answer(httpx.Response(500, text=ALLOWED))
        check_answer(httpx.Response(200, text=MARK))
    assert (searched.files, searched.answers) == ({tmp_path / "log"}, 1)


def test_a_wrong_password_is_not_logged(serve: Serve, url: str, tmp_path: Path) -> None:
    wrong = with_password(url, f"{MARK}-at-all")
    with (
        no_forbidden_text(tmp_path) as searched,
        pytest.raises(pytest.fail.Exception, match="not accept the password"),
        serve(wrong),
    ):
        pass
    assert len(searched.files) == 1


def test_an_unreachable_database_logs_no_password(
    serve: Serve, url: str, alice: str, tmp_path: Path
) -> None:
    unreachable = url.replace(f":{urlsplit(url).port}/", ":1/")
    with (
        no_forbidden_text(tmp_path, str(urlsplit(url).password)) as searched,
        serve(unreachable, TASKAPI_DEADLINE="0.3") as api,
        api.client(alice) as client,
    ):
        for answer in (
            client.get("/api/tasks"),
            client.post("/api/tasks", json={"title": MARK}),
            client.get("/health/ready"),
        ):
            assert answer.status_code == 503
            check_answer(answer)
        wait_until(lambda: "error connecting" in api.log.read_text(), "the pool's warning")
    assert (searched.files, searched.answers) == ({api.log}, 3)


def test_a_schema_that_breaks_under_traffic_logs_no_value(
    serve: Serve, own_url: str, tmp_path: Path
) -> None:
    run_sql(own_url, *(f"INSERT INTO users (id) VALUES ('user_{number}')" for number in range(4)))
    writers = [Writer(f"user_{number}") for number in range(4)]

    def acknowledged() -> int:
        return sum(writer.acknowledged.total() for writer in writers)

    def refused() -> int:
        return sum(writer.refused.total() for writer in writers)

    with serve(own_url) as api, writing(writers, lambda: api.base):
        for broken, repaired in BREAKS.values():
            with no_forbidden_text(tmp_path) as searched:
                done = acknowledged()
                wait_until(lambda done=done: acknowledged() > done + 20, "traffic")  # type: ignore[misc]
                before = refused()
                run_sql(own_url, broken)
                wait_until(lambda before=before: refused() > before + 4, "errors")  # type: ignore[misc]
                run_sql(own_url, repaired)
            assert searched.files == {api.log}
            assert searched.answers > 4
    codes = {code for writer in writers for code in writer.refused}
    assert codes == {"500 internal_error", "503 database_unavailable"}
    assert "traceback" in api.log.read_text()


def test_titles_with_special_characters_are_not_logged(
    serve: Serve, alice: str, tmp_path: Path
) -> None:
    with no_forbidden_text(tmp_path) as searched, serve() as api, api.client(alice) as client:
        at = f"/api/tasks/{create(client, title=MARK)['id']}"
        for suffix in SUFFIXES:
            for method, path in (("POST", "/api/tasks"), ("PUT", at)):
                for key in (None, f"{MARK} key"):
                    # httpx's own JSON encoder refuses a lone surrogate, so the body is made here.
                    content = json.dumps({"title": marked_title() + suffix})
                    headers = {"Content-Type": "application/json"}
                    if key is not None:
                        headers["Idempotency-Key"] = key
                    answer = client.request(method, path, content=content, headers=headers)
                    assert answer.status_code < 500
                    check_answer(answer)
    assert searched.answers > 0
    assert "forged" not in api.log.read_text()
