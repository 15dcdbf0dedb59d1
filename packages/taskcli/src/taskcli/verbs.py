"""Adds verbs to the command, with the options and the error handling that all of them share."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from . import environment, failures, output

Json = Annotated[bool, typer.Option("--json", help="Print JSON with stable keys.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask for confirmation.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print what would be lost, and change nothing.")
]

_QUIET = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print only data and errors, no notes.")
]
_VERBOSE = Annotated[
    bool, typer.Option("--verbose", "-v", help="Print the traceback of an error too.")
]
_DATABASE_URL = Annotated[
    str | None,
    typer.Option(
        "--database-url",
        metavar="URL",
        help="PostgreSQL URL, instead of DATABASE_URL and DATABASE_URL_UNPOOLED.",
    ),
]
_SHARED = {"database_url": (_DATABASE_URL, None), "quiet": (_QUIET, False)}
_SHARED["verbose"] = (_VERBOSE, False)

_EXAMPLE = " [dim]"


class VerbGroup(TyperGroup):
    """A group of verbs whose shell completion leaves the examples out."""

    def main(self, *arguments: Any, **options: Any) -> Any:
        if "_TASKCLI_COMPLETE" in os.environ:
            # So wide that no description wraps: fish takes each line for another completion.
            os.environ["COLUMNS"] = "1000"
        return super().main(*arguments, **options)

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        items = super().shell_complete(ctx, incomplete)
        for item in items:
            item.help = (item.help or "").partition(_EXAMPLE)[0]
        return items


def add(
    app: typer.Typer,
    function: Callable[..., None],
    *,
    example: str,
    panel: str | None = None,
    name: str | None = None,
    database: bool = True,
) -> None:
    """Make a function a verb of the command, with --database-url if `database` is true."""
    shared = {key: value for key, value in _SHARED.items() if database or key != "database_url"}
    signature = inspect.signature(function, eval_str=True)

    @functools.wraps(function)
    def command(**options: Any) -> None:
        given = {key: options.pop(key, None) for key in _SHARED}
        output.configure(quiet=bool(given["quiet"]), verbose=bool(given["verbose"]))
        with failures.exit_on_error():
            environment.load({environment.DATABASE: given["database_url"]})
            function(**options)

    shared_parameters = [
        inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, annotation=kind, default=default)
        for key, (kind, default) in shared.items()
    ]
    own = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in signature.parameters.values()]
    command.__signature__ = signature.replace(parameters=[*own, *shared_parameters])  # type: ignore[attr-defined]
    text = inspect.getdoc(function) or ""
    summary = text.partition("\n\n")[0].replace("\n", " ")
    app.command(
        name or function.__name__,
        rich_help_panel=panel,
        help=f"{text}\n\n[dim]Example:[/dim] {example}",
        short_help=with_example(summary, example),
    )(command)


def with_example(summary: str, example: str) -> str:
    """The text for a verb in the list of verbs."""
    return f"{summary}{_EXAMPLE}{example}[/dim]"


def confirm(question: str, yes: bool) -> None:
    """Ask the question, and return only if the answer is yes."""
    import sys

    if yes:
        return
    if not sys.stdin.isatty():
        raise failures.WrongUse(
            f"{question} Standard input is not a terminal to answer on: add --yes"
        )
    typer.echo(f"{question} [y/N] ", nl=False, err=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise failures.Failure("nothing was changed")
