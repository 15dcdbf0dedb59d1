"""The `taskcli` command; `python -m taskcli` is the same.

No slow import stands here or at the top of a verb's file, so that --help and completion answer at
once.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Annotated

import typer

from . import (
    config,
    dev,
    doctor,
    migrate,
    openapi,
    repair,
    seed,
    serve,
    stats,
    status,
    tasks,
    token,
    users,
)
from .verbs import VerbGroup, add, with_example

_HELP = """Run and maintain a taskcore database and its API.

Start with [bold]taskcli dev[/bold]. With your own database: migrate, doctor, serve."""
_EPILOG = """Settings come from flags, then the environment, then the file .env in this directory;
taskcli config shows them. Data go to standard output, everything else to standard error. Exit code:
0 done, 1 the check or the work failed, 2 wrong use, 130 Ctrl-C."""
_FIRST, _SCHEMA, _DATA, _SERVER = "First steps", "The schema", "The data", "The server"

_CONTEXT = {"help_option_names": ["-h", "--help"]}

app = typer.Typer(
    cls=VerbGroup,
    help=_HELP,
    epilog=_EPILOG.replace("\n", " "),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings=_CONTEXT,
)


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"taskcli {version('taskcore-cli')}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    pass


add(app, dev.dev, panel=_FIRST, example="taskcli dev --port 8001", database=False)
add(app, doctor.doctor, panel=_FIRST, example="taskcli doctor")
add(app, migrate.migrate, panel=_SCHEMA, example="taskcli migrate --grant app")
add(app, repair.repair, panel=_SCHEMA, example="taskcli repair --dry-run")
add(app, status.status, panel=_SCHEMA, example="taskcli status --json")
add(app, seed.seed, panel=_DATA, example="taskcli seed --users 1000 --tasks 1000000")
add(app, stats.stats, panel=_DATA, example="taskcli stats")
add(app, serve.serve, panel=_SERVER, example="taskcli serve --workers 4")
add(app, token.token, panel=_SERVER, example="taskcli token --user demo --ttl 1h")
add(app, openapi.openapi, panel=_SERVER, example="taskcli openapi > api.json", database=False)
add(app, config.config, panel=_SERVER, example="taskcli config")

_users = typer.Typer(
    cls=VerbGroup, help="List, show, export, add and delete users.", no_args_is_help=True
)
add(_users, users.list_, name="list", example="taskcli users list --limit 20")
add(_users, users.show, example="taskcli users show demo")
add(_users, users.export, example="taskcli users export ada > ada.json")
add(_users, users.add, example="taskcli users add ada --email ada@example.com")
add(_users, users.delete, example="taskcli users delete ada --dry-run")
add(_users, users.adopt, example="""taskcli users adopt 'public."user"'""")
_tasks = typer.Typer(
    cls=VerbGroup, help="List, export and import the tasks of any user.", no_args_is_help=True
)
add(_tasks, tasks.list_, name="list", example="taskcli tasks list --user demo")
add(_tasks, tasks.export, example="taskcli tasks export --user demo > demo.jsonl")
add(_tasks, tasks.import_, name="import", example="taskcli tasks import demo.jsonl")
for name, group, example in (
    ("users", _users, "taskcli users list"),
    ("tasks", _tasks, "taskcli tasks list --user demo"),
):
    app.add_typer(
        group,
        name=name,
        rich_help_panel=_DATA,
        short_help=with_example(str(group.info.help), example),
        context_settings=_CONTEXT,
    )


if {"--install-completion", "--show-completion"} & set(sys.argv):
    # Typer's zsh function does nothing on the first Tab, when zsh loads it; the added line makes it
    # complete then too. The script is private to Typer: if it has moved, the first Tab is lost.
    with suppress(ImportError, AttributeError, KeyError):
        from typer import _completion_shared

        _completion_shared._completion_scripts["zsh"] += (
            '\n[[ $zsh_eval_context[-1] == loadautofunc ]] && %(complete_func)s "$@"\n'
        )


if __name__ == "__main__":
    app(prog_name="taskcli")
