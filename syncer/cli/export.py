"""`syncer contacts export`: the contacts as a file."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from syncer.cli.app import App, new_file, pass_app
from syncer.cli.options import FILE, account_option, example, listed_accounts, provider_option
from syncer.cli.output import count, say

if TYPE_CHECKING:
    from syncer.formats.writers import Exported
    from syncer.store.db.read_only import Reader


@click.command(
    epilog=example(
        "syncer contacts export people.xlsx",
        "syncer contacts export phonebook.vcf --provider any",
        "syncer contacts export --format json | jq '.[].company'",
    )
)
@click.argument("file", type=FILE, required=False)
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "xlsx", "vcard", "json"]),
    help="By default, what the file's name says, or csv without FILE.",
)
@provider_option
@account_option
@pass_app
def export(app: App, file: Path | None, form: str | None, provider: str | None, account: str | None) -> None:
    """Write the contacts to FILE, or to stdout. An existing file is never overwritten.

    `contacts import` finds every row of such a file the same. CSV has each value as it is. For a spreadsheet, use
    .xlsx: every cell is text.
    """
    from syncer.formats.source import format_of
    from syncer.formats.writers import WRITERS

    form = form or ("csv" if file is None else format_of(file))
    if form is None:
        assert file is not None
        raise click.UsageError(f"the name of {file} does not say what to write: add --format")
    if file is None and form == "xlsx" and sys.stdout.isatty():
        raise click.UsageError("a workbook is nothing for a terminal: name a FILE")
    settings = app.settings()
    _, telecmi, smartflo = listed_accounts(settings, provider, account)
    written = 0

    def counted(conn: Reader) -> Iterator[Exported]:
        nonlocal written
        for row in _rows(conn, telecmi, smartflo):
            written += 1
            yield row

    with app.query(settings) as conn, _sink(file) as sink:
        WRITERS[form](counted(conn), sink, len(telecmi) + len(smartflo) > 1)
    if file is not None:
        say(f"{count(written, 'contact')} written to {file}.")


def _rows(conn: Reader, telecmi: list[str], smartflo: list[str]) -> Iterator[Exported]:
    from syncer.formats.writers import Exported
    from syncer.store.read import export_queries

    if telecmi:
        for account, fields in export_queries.telecmi(conn, telecmi):
            yield Exported("telecmi", account, fields)
    if smartflo:
        for account, fields in export_queries.smartflo(conn, smartflo):
            yield Exported("smartflo", account, fields)


@contextmanager
def _sink(file: Path | None) -> Iterator[BinaryIO]:
    """A new file to write to, or stdout."""
    if file is not None:
        with new_file(file) as sink:
            yield sink
        return
    yield sys.stdout.buffer
    sys.stdout.buffer.flush()
