"""`taskcli repair`: put back what a restore or a change by hand has taken from the schema."""

from __future__ import annotations

from typing import Annotated

import typer

from . import environment, output
from .failures import Failure, on_interrupt
from .verbs import Json

_ROLLED_BACK = "what was under way was rolled back; at most the tenant role is there now"


def repair(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the SQL, and change nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Put back what `taskcli migrate --check` names.

    The role, grants, the policy, row-level security, the function, indexes, constraints, defaults.
    No row is changed, and nothing that is not expected is dropped. What cannot be put back is
    named, and the exit code is 1 then.
    """
    from taskcore import migrations

    url = environment.operator_url()
    with on_interrupt(_ROLLED_BACK):
        done = migrations.repair(url, dry_run=dry_run, report=output.note)
    if as_json:
        output.document({**done._asdict(), "changed": bool(done.sql) and not dry_run})
    elif dry_run:
        for statement in done.sql:
            output.line(f"{statement};")
    for name in done.repaired:
        output.note(f"{'would put back' if dry_run else 'put back'}: {name}")
    if not done.repaired and not done.left:
        output.note("nothing differs; nothing was changed")
    if done.role_made:
        output.note(
            "which logins could take the role is not known: run `taskcli migrate --grant LOGIN` "
            "for the login that the server connects as"
        )
    if done.left:
        raise Failure("this has to be put back by hand: " + "; ".join(done.left))
