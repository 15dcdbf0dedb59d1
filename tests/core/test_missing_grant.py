"""A missing GRANT and a row that the policy refuses are different errors, in every driver.

PostgreSQL reports both as 42501.
"""

from __future__ import annotations

from uuid import uuid4

import pytest

from support.drivers import Runner
from support.sql import run_sql
from taskcore import Op, PermissionMissing, RowRefused, TaskCreate, create_task, list_tasks
from taskcore.execution.op import Row, Steps, rows
from taskcore.tasks import operations

BODY = TaskCreate(title="Buy milk")


def create_for(owner: str, other: str) -> Op[list[Row]]:
    """An operation of `owner` that inserts a task of `other`: only the policy can refuse it."""

    def steps(_: str) -> Steps[list[Row]]:
        new = {f"new_{name}": value for name, value in BODY}
        return (yield from rows(operations._CREATE, owner=other, task_id=uuid4(), **new))

    return Op(owner, steps, (), lambda result: result)


def test_each_has_its_own_error(own_url: str, runner: Runner) -> None:
    run_sql(own_url, "INSERT INTO public.users (id) VALUES ('ada'), ('bob')")
    with runner(own_url) as run:
        with pytest.raises(RowRefused):
            run(create_for("ada", "bob"))
        assert len(run(create_for("ada", "ada"))) == 1
        run_sql(own_url, "REVOKE INSERT ON public.tasks FROM taskcore_tenant")
        with pytest.raises(PermissionMissing):
            run(create_task("ada", BODY))
        assert len(run(list_tasks("ada"))) == 1
