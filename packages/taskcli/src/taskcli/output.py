"""How the command speaks: data to standard output, everything else to standard error.

On a terminal data are tables; in a pipe they are lines of fields between tabs; with --json they
are JSON, whose keys stay. What users have written can't move anybody's cursor.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import typer

Record = Mapping[str, object]

quiet = False
verbose = False


def configure(*, be_quiet: bool, be_verbose: bool) -> None:
    global quiet, verbose
    quiet, verbose = be_quiet, be_verbose
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


# --- notes ----------------------------------------------------------------------------------------


def note(text: str) -> None:
    """Something for a person to know."""
    if not quiet:
        typer.echo(_harmless(text), err=True)


def error(text: str) -> None:
    typer.echo(painted("taskcli: ", fg="red") + _harmless(text), err=True)


def traceback(error: BaseException) -> None:
    """Where it went wrong, for whoever asked for that."""
    if verbose:
        from traceback import print_exception

        print_exception(error)


# --- data -----------------------------------------------------------------------------------------


def line(text: str) -> None:
    """One line of data, as it is."""
    typer.echo(text)


def rows(records: Sequence[Record], *, as_json: bool, columns: Iterable[str]) -> None:
    """Several things of one kind, with a column for each of the keys."""
    if as_json:
        document(list(records))
        return
    names = list(columns)
    if sys.stdout.isatty():
        from rich.table import Table
        from rich.text import Text

        table = Table(*(name.replace("_", " ") for name in names))
        for record in records:
            table.add_row(*(Text(shown(record.get(name))) for name in names))
        _print(table)
        return
    for cells in (names, *([shown(record.get(name)) for name in names] for record in records)):
        line("\t".join(cells))


def record(values: Record, *, as_json: bool) -> None:
    """One thing, a line for each of its keys."""
    if as_json:
        document(values)
        return
    if sys.stdout.isatty():
        from rich.table import Table
        from rich.text import Text

        table = Table(show_header=False, box=None)
        for name, value in values.items():
            table.add_row(Text(name.replace("_", " "), "bold"), Text(shown(value)))
        _print(table)
        return
    for name, value in values.items():
        line(f"{name}\t{shown(value)}")


def box(values: Mapping[str, str]) -> None:
    """Values to be copied: between two lines, each as long as it is and with nothing beside it."""
    from shutil import get_terminal_size

    rule = "─" * min(get_terminal_size().columns, 80) if sys.stdout.isatty() else "-" * 72
    line(rule)
    for name, value in values.items():
        line(painted(f"{name:<9}", bold=True) + value)
    line(rule)
    sys.stdout.flush()


def document(value: object) -> None:
    """JSON, in ASCII: whatever terminal or program reads it."""
    line(json.dumps(value, indent=2, default=_plain))


def shown(value: object) -> str:
    """A value as people read it, on one line."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, (list, tuple)):
        return ", ".join(shown(item) for item in value) or "-"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {shown(item)}" for name, item in value.items()) or "-"
    return _harmless(str(value), {"\n": "\\n", "\t": "\\t"})


def size(number: int) -> str:
    """Bytes as people read them."""
    amount, units = float(number), iter(("kB", "MB", "GB", "TB"))
    unit = "bytes"
    while amount >= 1024 and unit != "TB":
        amount, unit = amount / 1024, next(units)
    return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return str(value)


def _harmless(text: str, also: Mapping[str, str] | None = None) -> str:
    """The text without what a terminal would obey."""
    for character, written in (also or {}).items():
        text = text.replace(character, written)
    return "".join(
        character
        if character.isprintable() or character in "\n\t"
        else character.encode("unicode_escape").decode()
        for character in text
    )


def painted(text: str, **style: Any) -> str:
    """The text in a colour or in bold, unless colours aren't wanted; a pipe drops them anyway."""
    import os

    return text if os.environ.get("NO_COLOR") else typer.style(text, **style)


def _print(table: object) -> None:
    from rich.console import Console

    Console(highlight=False, markup=False, emoji=False).print(table)
