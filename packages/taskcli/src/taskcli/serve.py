"""`taskcli serve`: the API, until it is told to stop."""

from __future__ import annotations

import typer


def serve() -> None:
    """Serve the API with the settings of the environment."""
    from taskapi.server import serve as run
    from taskapi.settings import ConfigurationError, Settings

    try:
        settings = Settings.from_environment()
    except ConfigurationError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    run(settings)
