"""The `taskcli` command; `python -m taskcli` is the same."""

from importlib.metadata import version
from typing import Annotated

import typer

from .serve import serve

app = typer.Typer(no_args_is_help=True, add_completion=False)


def _print_version(asked: bool) -> None:
    if asked:
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
    """Run and look after a taskcore database and its API."""


app.command()(serve)


if __name__ == "__main__":
    app(prog_name="taskcli")
