"""What every verb shares: its settings, how much it says, and what becomes of its failures."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from . import environment, failures, output

Json = Annotated[bool, typer.Option("--json", help="Print JSON, with keys that stay.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Say what would be lost, and change nothing.")
]

_QUIET = Annotated[bool, typer.Option("--quiet", "-q", help="Say only what was asked for.")]
_VERBOSE = Annotated[bool, typer.Option("--verbose", "-v", help="Show tracebacks too.")]
_DATABASE_URL = Annotated[
    str | None,
    typer.Option(
        "--database-url",
        metavar="URL",
        help="The database; instead of DATABASE_URL and DATABASE_URL_UNPOOLED.",
    ),
]
_SHARED = {"database_url": (_DATABASE_URL, None), "quiet": (_QUIET, False)}
_SHARED["verbose"] = (_VERBOSE, False)

_EXAMPLE = " [dim]"


class Verbs(TyperGroup):
    """A group of verbs, which says less of each where a shell asks how a line goes on."""

    def main(self, *arguments: Any, **more: Any) -> Any:
        if "_TASKCLI_COMPLETE" in os.environ:
            # What stands beside a word must stay in one line: fish takes the next for another word.
            os.environ["COLUMNS"] = "1000"
        return super().main(*arguments, **more)

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
    """Make a function a verb of the command; `database` says that it takes --database-url."""
    shared = {key: value for key, value in _SHARED.items() if database or key != "database_url"}
    signature = inspect.signature(function, eval_str=True)

    @functools.wraps(function)
    def command(**options: Any) -> None:
        given = {key: options.pop(key, None) for key in _SHARED}
        output.configure(be_quiet=bool(given["quiet"]), be_verbose=bool(given["verbose"]))
        with failures.reported():
            environment.load({environment.DATABASE: given["database_url"]})
            function(**options)

    more = [
        inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, annotation=kind, default=default)
        for key, (kind, default) in shared.items()
    ]
    own = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in signature.parameters.values()]
    command.__signature__ = signature.replace(parameters=[*own, *more])  # type: ignore[attr-defined]
    text = inspect.getdoc(function) or ""
    summary = text.partition("\n\n")[0].replace("\n", " ")
    app.command(
        name or function.__name__,
        rich_help_panel=panel,
        help=f"{text}\n\n[dim]Example:[/dim] {example}",
        short_help=with_example(summary, example),
    )(command)


def with_example(summary: str, example: str) -> str:
    """What the list of verbs says of one."""
    return f"{summary}{_EXAMPLE}{example}[/dim]"


def confirmed(question: str, yes: bool) -> None:
    """Go on only if somebody says so."""
    import sys

    if yes:
        return
    if not sys.stdin.isatty():
        raise failures.WrongUse(f"{question} Nobody is there to be asked: add --yes")
    typer.echo(f"{question} [y/N] ", nl=False, err=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise failures.Failure("nothing was changed")
