"""Prints: data to standard output, everything else to standard error.

Data are tables on a terminal, tab-separated lines in a pipe, and JSON with stable keys with --json.
Control characters in what users wrote are escaped, so they can't control the operator's terminal.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import typer

Record = Mapping[str, object]

_quiet = False
_verbose = False


def configure(*, quiet: bool, verbose: bool) -> None:
    """Set what --quiet and --verbose change, and print characters that a stream can't encode."""
    global _quiet, _verbose
    _quiet, _verbose = quiet, verbose
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


# --- notes ----------------------------------------------------------------------------------------


def note(text: str) -> None:
    """Print a message for people, unless --quiet was given."""
    if not _quiet:
        typer.echo(_escaped(text), err=True)


def error(text: str) -> None:
    typer.echo(styled("taskcli: ", fg="red") + _escaped(text), err=True)


def traceback(error: BaseException) -> None:
    """Print the traceback if --verbose was given."""
    if _verbose:
        from traceback import print_exception

        print_exception(error)


# --- data -----------------------------------------------------------------------------------------


def shows_progress() -> bool:
    """Whether a progress bar is wanted and can be seen."""
    return not _quiet and sys.stderr.isatty()


def line(text: str) -> None:
    """Print one line of data, unchanged."""
    typer.echo(text)


def rows(records: Sequence[Record], *, as_json: bool, columns: Iterable[str]) -> None:
    """Print records of one kind; `columns` are the keys that tables show, JSON has all of them."""
    if as_json:
        document(list(records))
        return
    names = list(columns)
    if sys.stdout.isatty():
        from rich.table import Table
        from rich.text import Text

        table = Table(*(name.replace("_", " ") for name in names))
        for record in records:
            table.add_row(*(Text(text_of(record.get(name))) for name in names))
        _print(table)
        return
    for cells in (names, *([text_of(record.get(name)) for name in names] for record in records)):
        line("\t".join(cells))


def record(values: Record, *, as_json: bool) -> None:
    """Print one record, one line per key."""
    if as_json:
        document(values)
        return
    if sys.stdout.isatty():
        from rich.table import Table
        from rich.text import Text

        table = Table(show_header=False, box=None)
        for name, value in values.items():
            table.add_row(Text(name.replace("_", " "), "bold"), Text(text_of(value)))
        _print(table)
        return
    for name, value in values.items():
        line(f"{name}\t{text_of(value)}")


def box(values: Mapping[str, str]) -> None:
    """Print values for copying: between two rules, unwrapped and with nothing to their right."""
    from shutil import get_terminal_size

    rule = "─" * min(get_terminal_size().columns, 80) if sys.stdout.isatty() else "-" * 72
    line(rule)
    for name, value in values.items():
        line(styled(f"{name:<9}", bold=True) + value)
    line(rule)
    sys.stdout.flush()


def document(value: object) -> None:
    """Print JSON in ASCII, which no terminal and no program misreads."""
    line(json.dumps(value, indent=2, default=json_value))


def text_of(value: object) -> str:
    """A value for people to read, on one line."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, (list, tuple)):
        return ", ".join(text_of(item) for item in value) or "-"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {text_of(item)}" for name, item in value.items()) or "-"
    return _escaped(str(value), {"\n": "\\n", "\t": "\\t"})


def readable_size(number: int) -> str:
    """A number of bytes with a unit, such as 1.5 MB."""
    amount, units = float(number), iter(("kB", "MB", "GB", "TB"))
    unit = "bytes"
    while amount >= 1024 and unit != "TB":
        amount, unit = amount / 1024, next(units)
    return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"


def json_value(value: object) -> object:
    """A value that JSON has no form for, as text."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return str(value)


def _escaped(text: str, replacements: Mapping[str, str] | None = None) -> str:
    """The text with control and other unprintable characters escaped."""
    for character, replacement in (replacements or {}).items():
        text = text.replace(character, replacement)
    return "".join(
        character
        if character.isprintable() or character in "\n\t"
        else character.encode("unicode_escape").decode()
        for character in text
    )


def styled(text: str, **style: Any) -> str:
    """The text with a colour or in bold, unless NO_COLOR is set; in a pipe, echo drops both."""
    import os

    return text if os.environ.get("NO_COLOR") else typer.style(text, **style)


def _print(table: object) -> None:
    from rich.console import Console

    Console(highlight=False, markup=False, emoji=False).print(table)
