"""The check names each difference of the tables: columns, constraints, indexes, triggers, rules."""

from __future__ import annotations

import pytest

from support.sql import run_sql
from taskcore import migrations

TRIGGER = (
    "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END'; "
    "CREATE TRIGGER late BEFORE INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION f()"
)
NOT_VALID = (
    "ALTER TABLE tasks DROP CONSTRAINT fk_tasks_user_id, ADD CONSTRAINT fk_tasks_user_id "
    "FOREIGN KEY (user_id) REFERENCES users ON DELETE CASCADE NOT VALID"
)
PK = "pk_tasks"
FK = "fk_tasks_user_id"
IX = "ix_tasks_id_user_id"

# A change of `tasks`, and the start of the sentence that names it.
TASKS = {
    "extra column": ("ADD due date", "column tasks.due is not expected: date"),
    "missing column": ("DROP description", "column tasks.description is missing"),
    "renamed column": ("RENAME title TO name", "column tasks.title is missing"),
    "type": ("ALTER title TYPE text", "column tasks.title is 'text not null', not 'character"),
    "length": ("ALTER title TYPE varchar(99)", "column tasks.title is 'character varying(99) not"),
    "time without zone": (
        "ALTER created_at TYPE timestamp",
        "column tasks.created_at is 'timestamp without time zone not null",
    ),
    "nullable": ("ALTER title DROP NOT NULL", "column tasks.title is 'character varying(500)', n"),
    "not nullable": (
        "ALTER description SET NOT NULL",
        "column tasks.description is 'text not null', not 'text'",
    ),
    "no default": (
        "ALTER completed DROP DEFAULT",
        "column tasks.completed is 'boolean not null', not 'boolean not null default false'",
    ),
    "other default": (
        "ALTER completed SET DEFAULT true",
        "column tasks.completed is 'boolean not null default true', not 'boolean not nu",
    ),
    "extra default": (
        "ALTER title SET DEFAULT ''",
        "column tasks.title is \"character varying(500) not null default ''::character varying\"",
    ),
    "collation": (
        'ALTER user_id TYPE text COLLATE "C"',
        "column tasks.user_id is 'text not null collated', not 'text not null'",
    ),
    "generated": (
        "DROP description, ADD description text GENERATED ALWAYS AS ('x') STORED",
        "column tasks.description is \"text default 'x'::text generated\", not 'text'",
    ),
    "no primary key": (f"DROP CONSTRAINT {PK}", f"constraint {PK} on tasks is missing"),
    "other primary key": (
        f"DROP CONSTRAINT {PK}, ADD CONSTRAINT {PK} PRIMARY KEY (id)",
        f"constraint {PK} on tasks is 'PRIMARY KEY (id)', not 'PRIMARY KEY (user_id, id)'",
    ),
    "no foreign key": (f"DROP CONSTRAINT {FK}", f"constraint {FK} on tasks is missing"),
    "no cascade": (
        f"DROP CONSTRAINT {FK}, ADD CONSTRAINT {FK} FOREIGN KEY (user_id) REFERENCES users",
        f"constraint {FK} on tasks is 'FOREIGN KEY (user_id) REFERENCES the users table (id)', not",
    ),
    "not validated": (
        NOT_VALID.removeprefix("ALTER TABLE tasks "),
        f"constraint {FK} on tasks is 'FOREIGN KEY (user_id) REFERENCES the users table (id) ON D",
    ),
    "not enforced": ("DISABLE TRIGGER ALL", f"constraint {FK} on tasks is 'FOREIGN KEY (user_id)"),
    "extra unique": ("ADD CONSTRAINT u UNIQUE (title)", "constraint u on tasks is not expected"),
    "extra check": ("ADD CONSTRAINT c CHECK (title <> '')", "constraint c on tasks is not expecte"),
    "unlogged": ("SET UNLOGGED", "table tasks is 'plain unlogged', not 'plain'"),
}

# Other statements, and the start of the sentence.
OTHERS = {
    "no index": (f"DROP INDEX {IX}", f"index {IX} on tasks is missing"),
    "extra index": ("CREATE INDEX x ON tasks (title)", "index x on tasks is not expected"),
    "other index": (
        f"DROP INDEX {IX}; CREATE INDEX {IX} ON tasks (title)",
        f"index {IX} on tasks is 'CREATE INDEX",
    ),
    "unique index": (
        f"DROP INDEX {IX}; CREATE UNIQUE INDEX {IX} ON tasks (id)",
        f"index {IX} on tasks is 'CREATE UNIQUE INDEX",
    ),
    "partial index": (
        f"DROP INDEX {IX}; CREATE INDEX {IX} ON tasks (id) WHERE completed",
        f"index {IX} on tasks is 'CREATE INDEX",
    ),
    "invalid index": (
        f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{IX}'::regclass",
        f"index {IX} on tasks is 'CREATE INDEX {IX} ON public.tasks "
        "USING btree (id, user_id) invalid', not 'CREATE INDEX",
    ),
    "trigger": (TRIGGER, "trigger late on tasks is not expected: CREATE TRIGGER late"),
    "rule": (
        "CREATE RULE r AS ON DELETE TO tasks DO INSTEAD NOTHING",
        "rule r on tasks is not expected: CREATE RULE r",
    ),
    "our users, missing column": ("ALTER TABLE users DROP name", "column users.name is missing"),
    "our users, extra column": ("ALTER TABLE users ADD x int", "column users.x is not expected"),
    "our users, not unique": (
        "ALTER TABLE users DROP CONSTRAINT uq_users_email",
        "constraint uq_users_email on users is missing",
    ),
}
DRIFTS = {
    **{kind: (f"ALTER TABLE tasks {what}", expected) for kind, (what, expected) in TASKS.items()},
    **OTHERS,
}
# PostgreSQL does not change the type of a column that a policy uses.
UNLOCKED = {"collation": "DROP POLICY taskcore_owner ON tasks"}


@pytest.mark.parametrize(("change", "expected"), DRIFTS.values(), ids=list(DRIFTS))
def test_a_difference_is_named(
    own_url: str, request: pytest.FixtureRequest, change: str, expected: str
) -> None:
    assert migrations.check(own_url) == []
    kind = request.node.callspec.id
    run_sql(own_url, *([UNLOCKED[kind]] if kind in UNLOCKED else []), change)
    found = migrations.check(own_url)
    assert any(sentence.startswith(expected) for sentence in found), found


def test_changes_of_an_adopted_users_table_are_no_differences(empty_url: str) -> None:
    run_sql(empty_url, "CREATE TABLE users (id text PRIMARY KEY)")
    migrations.upgrade(empty_url)
    run_sql(empty_url, "ALTER TABLE users ADD x int")
    assert migrations.check(empty_url) == []
