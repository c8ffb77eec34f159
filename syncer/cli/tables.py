"""Rows for people and for programs: aligned text, tables on a terminal, records, CSV.

What is in them is left to each command.
"""

from __future__ import annotations

import csv
import io
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

import click

from syncer.cli.common import emit_json, plain, say

#: Columns of a table are not folded to less than this.
_SHORT = 14

#: A longer value does not make its column wider for all other rows.
_WIDE = 60


def emit_list(rows: Sequence[Mapping[str, object]], columns: Sequence[str], form: str) -> None:
    """Rows for programs, as a JSON array or as CSV with these columns. CSV keeps every value as it is."""
    if form == "json":
        emit_json([{name: row[name] for name in columns} for row in rows])
        return
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([row[name] for name in columns] for row in rows)
    if sys.stdout.isatty():
        for line in out.getvalue().splitlines():
            say(line)
        return
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    click.echo(out.getvalue().encode(encoding, "replace").decode(encoding), nl=False)


def _width(text: str) -> int:
    """Columns on a terminal: marks take none, wide letters two."""
    if text.isascii() and text.isprintable():
        return len(text)
    return sum(
        0 if unicodedata.combining(sign) or unicodedata.category(sign) in ("Mn", "Me", "Cf")
        else 2 if unicodedata.east_asian_width(sign) in "WF"
        else 1
        for sign in text
    )  # fmt: skip


def show_table(headers: Sequence[str], rows: Iterable[Sequence[object]], *, err: bool = False) -> None:
    """Rows for people: a rich table on a terminal, aligned text elsewhere."""
    cells = [[plain(value) for value in row] for row in rows]
    lines = [list(headers), *cells]
    widths = [max(_width(line[n]) for line in lines) for n in range(len(headers))]
    if (sys.stderr if err else sys.stdout).isatty() and _rich_table(headers, cells, widths, err):
        return
    widths = [min(width, _WIDE) for width in widths]
    for line in lines:
        padded = (value + " " * (width - _width(value)) for value, width in zip(line, widths, strict=True))
        say("  ".join(padded).rstrip(), err=err)


def _rich_table(
    headers: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[int], err: bool
) -> bool:
    """A table for a terminal, folded between words if that is enough, else anywhere; False where it is too narrow."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(stderr=err, highlight=False)
    columns = range(len(headers))
    room = console.width - len(columns) + 1
    least = [
        max(_width(word) for line in (headers, *rows) for word in line[n].split() or [""]) for n in columns
    ]
    if room < sum(least):
        least = [min(width, _SHORT) for width in widths]
    if room < sum(least):
        return False
    widths = [min(width, console.width) for width in widths]
    gap = 2 if sum(widths) + len(columns) - 1 <= room else 1
    while sum(widths) > room:
        widest = max(columns, key=lambda n: widths[n] - least[n])
        widths[widest] -= 1
    table = Table(box=None, padding=(0, gap, 0, 0), pad_edge=False)
    for header, width in zip(headers, widths, strict=True):
        table.add_column(header, overflow="fold", width=width)
    for row in rows:
        table.add_row(*(Text(value) for value in row))
    console.print(table)
    return True


def show_fields(pairs: Iterable[tuple[str, object]]) -> None:
    """A record for people: a name and a value a line."""
    listed = [(name, plain(value)) for name, value in pairs]
    width = max((len(name) for name, _ in listed), default=0)
    for name, value in listed:
        say(f"{name:<{width}}  {value}")
