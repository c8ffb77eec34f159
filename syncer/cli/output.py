"""Prints for programs (JSON, CSV) and for people (lines, tables, times, progress).

Control characters never reach the terminal.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, TextIO

import click

from syncer.core.wording import count, moment, seconds_since, span, upper_first

if TYPE_CHECKING:
    from syncer.store.db.read_only import QueryPage

__all__ = [
    "count", "emit_json", "emit_list", "local", "plain", "progress_bars", "say", "say_folded", "say_sentence",
    "seconds_since", "show_record", "show_table", "shown", "span", "to_json", "when",
]  # fmt: skip

#: Characters that could steer a terminal, end a line, or write from right to left.
_STEERING = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

#: A column of a table is not folded to less than `_SHORT`. Without a terminal it is padded to at most `_WIDE`.
_SHORT, _WIDE = 14, 60


def emit_json(value: object) -> None:
    """One JSON document on stdout."""
    click.echo(to_json(value, indent=2))


def to_json(value: object, indent: int | None = None) -> str:
    """JSON in UTF-8 if stdout can encode that, with control characters escaped."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return json.dumps(value, indent=indent)
    return _STEERING.sub(lambda sign: sign[0] if sign[0] == "\n" else f"\\u{ord(sign[0]):04x}", text)


def plain(value: object) -> str:
    """A value on one line, without control characters. None is a dash."""
    if value is None or value == "":
        return "-"
    text = str(value)
    if text.isascii() and text.isprintable():
        return text  # the usual case, made fast: a long list has a million values
    return _STEERING.sub(lambda sign: " " if sign[0] in "\n\r\t" else "\ufffd", text)


def say(text: str = "", *, err: bool = False) -> None:
    """One line for people."""
    click.echo(_encodable(plain(text) if text else "", sys.stderr if err else sys.stdout), err=err)


def _encodable(text: str, stream: TextIO) -> str:
    """The text with a question mark for each character that the stream cannot show."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "replace").decode(encoding)


def say_sentence(text: str) -> None:
    """Print a clause as a sentence."""
    say(f"{upper_first(text)}.")


def say_folded(text: str) -> None:
    """One line for people, folded between words if stdout is a terminal. Not for text to be copied."""
    if not sys.stdout.isatty():
        say(text)
        return
    indent = " " * (len(text) - len(text.lstrip()))
    width = shutil.get_terminal_size().columns
    lines = textwrap.wrap(
        plain(text), width, break_long_words=False, break_on_hyphens=False, subsequent_indent=f"{indent}  "
    )
    for line in lines:
        say(line)


# -- lists and tables ---------------------------------------------------------------------------------


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
    click.echo(_encodable(out.getvalue(), sys.stdout), nl=False)


def _width(text: str) -> int:
    """How many columns a text takes on a terminal: combining marks none, wide letters two."""
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
    """Print a table, folded between words if possible, else anywhere. Returns False if the terminal is too narrow."""
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


def show_record(row: Mapping[str, object], names: Sequence[str], now: datetime) -> None:
    """These columns of a row for people, one per line, times relative and exact."""
    width = max(map(len, names))
    for name in names:
        value = when(str(row[name]), now) if name.endswith("_at") and row[name] else row[name]
        say(f"{name:<{width}}  {plain(value)}")


# -- words and times -----------------------------------------------------------------------------------


def when(stamp: str | None, now: datetime) -> str:
    """A stored time for people, relative and exact: `2 h ago (2026-11-21 15:00:00 IST)`."""
    if not stamp:
        return "never"
    seconds = seconds_since(stamp, now)
    if seconds is None:
        return stamp
    relative = f"{span(seconds)} ago" if seconds >= 0 else f"in {span(seconds)}"
    return f"{relative} ({local(stamp)})"


def local(stamp: str) -> str:
    """A stored time as this machine's clocks show it, with the zone: `2026-11-21 15:00:00 IST`."""
    found = moment(stamp)
    try:
        return stamp if found is None else f"{found.astimezone():%Y-%m-%d %H:%M:%S %Z}"
    except (ValueError, OverflowError):
        return stamp


def shown(rows: QueryPage, noun: str) -> str:
    """How many rows are shown: `270 contacts`, `3 of 270 contacts`."""
    if len(rows) == rows.total:
        return count(rows.total, noun)
    return f"{len(rows):,} of {count(rows.total, noun)}"


@contextlib.contextmanager
def progress_bars(*, hidden: bool = False) -> Iterator[Callable[[str, str, int, int | None], None]]:
    """Bars on stderr, one per job and account. Nothing if stderr is not a terminal."""
    if hidden or not sys.stderr.isatty():
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

    tasks: dict[tuple[str, str], TaskID] = {}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:

        def update(job: str, account: str, done: int, total: int | None) -> None:
            key = (job, account)
            if key not in tasks:
                tasks[key] = bars.add_task(f"{job} {account}", total=total)
            bars.update(tasks[key], completed=done, total=total)

        yield update
