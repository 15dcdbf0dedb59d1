"""The worst that can be provoked, and what the log tells of it.

The search of all other tests here is in conftest.py; this is where it is seen to find something.
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

TOLD = {
    "title": f"value too long: {MARK}",
    "secret": f"weak: {SECRET}",
    "password": f'authentication of "{PASSWORD}" failed',
    "url": "cannot connect to postgresql://app:another@127.0.0.1/tasks",
    "token": token("user_1"),
    "sql": "SELECT\n   id FROM tasks",
    "word 0": "of the word 'sesame'",
}
UNTOLD = (
    "unhandled DatabaseFault, cannot execute UPDATE in a read-only transaction, DELETE /api/tasks"
)

# Each breaks what the code may rely on, and mends it again.
BREAKS = {
    "a value is refused": (
        f"ALTER TABLE tasks ADD CONSTRAINT inner_one CHECK (title NOT LIKE '{MARK}%') NOT VALID",
        "ALTER TABLE tasks DROP CONSTRAINT inner_one",
    ),
    "a value is no number": (
        "ALTER TABLE tasks ADD CONSTRAINT inner_one CHECK (title::integer > 0) NOT VALID",
        "ALTER TABLE tasks DROP CONSTRAINT inner_one",
    ),
    "a value is there": (
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
    "a trigger tells": (
        "CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS "
        "$$BEGIN RAISE EXCEPTION 'not %', NEW.title; END$$;"
        "CREATE TRIGGER tells BEFORE INSERT OR UPDATE ON tasks "
        "FOR EACH ROW EXECUTE FUNCTION tell()",
        "DROP TRIGGER tells ON tasks; DROP FUNCTION tell()",
    ),
    "a right is gone": (
        "REVOKE INSERT, UPDATE ON tasks FROM taskcore_tenant",
        "GRANT INSERT, UPDATE ON tasks TO taskcore_tenant",
    ),
    "a column is another": (
        "ALTER TABLE tasks RENAME COLUMN title TO away; ALTER TABLE tasks ADD COLUMN title bytea",
        "ALTER TABLE tasks DROP COLUMN title; ALTER TABLE tasks RENAME COLUMN away TO title",
    ),
    "a column is gone": (
        "ALTER TABLE tasks RENAME COLUMN title TO away",
        "ALTER TABLE tasks RENAME COLUMN away TO title",
    ),
    "a table is gone": ("ALTER TABLE tasks RENAME TO away", "ALTER TABLE away RENAME TO tasks"),
}
POISONED = ["\0", "\n00:00:00 forged", "\x1b[2J", "\ud800", "'; SELECT 1 --", "\u202e", "x" * 9_999]


def with_password(url: str, password: str) -> str:
    parts = urlsplit(url)
    netloc = f"{parts.username}:{password}@{parts.hostname}:{parts.port}"
    return urlunsplit(parts._replace(netloc=netloc))


@pytest.mark.parametrize("name", TOLD)
@pytest.mark.parametrize("where", ["a file", "an answer", "this process"])
def test_the_search_finds(name: str, where: str, tmp_path: Path) -> None:
    """The control of all searches here."""
    log = tmp_path / "deep" / "log"
    log.parent.mkdir()
    log.write_text(f"{UNTOLD} {TOLD[name]}, but before the search\n")
    with pytest.raises(AssertionError, match=name), no_forbidden_text(tmp_path, "sesame"):  # noqa: PT012
        if where == "a file":
            with log.open("a") as file:
                file.write(f"{UNTOLD} {TOLD[name]}\n")
        elif where == "an answer" and name != "word 0":
            check_answer(httpx.Response(500, text=TOLD[name].replace("\n", " ")))
        else:
            logging.getLogger("somebody").warning("%s %s", UNTOLD, TOLD[name])
    log.unlink()


def test_the_search_finds_nothing_where_there_is_nothing(tmp_path: Path) -> None:
    with no_forbidden_text(tmp_path, "sesame") as searched:
        (tmp_path / "log").write_text(UNTOLD)
        check_answer(httpx.Response(500, text=UNTOLD))
        check_answer(httpx.Response(200, text=MARK))
    assert (searched.files, searched.answers) == ({tmp_path / "log"}, 1)


def test_a_password_that_is_wrong(serve: Serve, url: str, tmp_path: Path) -> None:
    wrong = with_password(url, f"{MARK}-at-all")
    with (
        no_forbidden_text(tmp_path) as searched,
        pytest.raises(pytest.fail.Exception, match="not accept the password"),
        serve(wrong),
    ):
        pass
    assert len(searched.files) == 1


def test_a_database_that_is_not_there(serve: Serve, url: str, alice: str, tmp_path: Path) -> None:
    gone = url.replace(f":{urlsplit(url).port}/", ":1/")
    with (
        no_forbidden_text(tmp_path, str(urlsplit(url).password)) as searched,
        serve(gone, TASKAPI_DEADLINE="0.3") as api,
        api.client(alice) as client,
    ):
        for answer in (
            client.get("/api/tasks"),
            client.post("/api/tasks", json={"title": MARK}),
            client.get("/health/ready"),
        ):
            assert answer.status_code == 503
            check_answer(answer)
        wait_until(lambda: "error connecting" in api.log.read_text(), "the pool's complaint")
    assert (searched.files, searched.answers) == ({api.log}, 3)


def test_a_schema_that_breaks_in_the_middle_of_traffic(
    serve: Serve, own_url: str, tmp_path: Path
) -> None:
    run_sql(own_url, *(f"INSERT INTO users (id) VALUES ('user_{number}')" for number in range(4)))
    writers = [Writer(f"user_{number}") for number in range(4)]

    def acknowledged() -> int:
        return sum(writer.acknowledged.total() for writer in writers)

    def refused() -> int:
        return sum(writer.refused.total() for writer in writers)

    with serve(own_url) as api, writing(writers, lambda: api.base):
        for broken, mended in BREAKS.values():
            with no_forbidden_text(tmp_path) as searched:
                done = acknowledged()
                wait_until(lambda done=done: acknowledged() > done + 20, "traffic")  # type: ignore[misc]
                before = refused()
                run_sql(own_url, broken)
                wait_until(lambda before=before: refused() > before + 4, "errors")  # type: ignore[misc]
                run_sql(own_url, mended)
            assert searched.files == {api.log}
            assert searched.answers > 4
    codes = {said for writer in writers for said in writer.refused}
    assert codes == {"500 internal_error", "503 database_unavailable"}
    assert "traceback" in api.log.read_text()


def test_a_title_that_is_poison(serve: Serve, alice: str, tmp_path: Path) -> None:
    with no_forbidden_text(tmp_path) as searched, serve() as api, api.client(alice) as client:
        at = f"/api/tasks/{create(client, title=MARK)['id']}"
        for poison in POISONED:
            for method, path in (("POST", "/api/tasks"), ("PUT", at)):
                for key in (None, f"{MARK} key"):
                    # Not httpx's JSON: it refuses half a pair of surrogates itself.
                    content = json.dumps({"title": marked_title() + poison})
                    headers = {"Content-Type": "application/json"}
                    if key is not None:
                        headers["Idempotency-Key"] = key
                    answer = client.request(method, path, content=content, headers=headers)
                    assert answer.status_code < 500
                    check_answer(answer)
    assert searched.answers > 0
    assert "forged" not in api.log.read_text()
