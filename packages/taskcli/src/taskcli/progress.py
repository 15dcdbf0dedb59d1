"""A progress bar on standard error, with rate and remaining time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from . import output


@contextmanager
def progress(total: int | None) -> Iterator[Callable[[int], None]]:
    """Yield what counts tasks; shown if standard error is a terminal. `total` may be unknown."""
    if not output.shows_progress():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    with Progress(
        TextColumn("tasks"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]} a second"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    ) as bar:
        task = bar.add_task("tasks", total=total, rate="-")

        def advance(number: int) -> None:
            bar.update(task, advance=number, rate=round(bar.tasks[0].speed or 0))

        yield advance
