"""`syncer contacts import` and `imports`: plans what a file would change, and changes it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from syncer.cli.app import App, pass_app
from syncer.cli.editing import adding_account, mirrored_accounts
from syncer.cli.options import FILE, account_option, example, json_option
from syncer.cli.output import count, emit_json, progress_bars, say, show_table, to_json, when
from syncer.core.model import FIELDS

if TYPE_CHECKING:
    from syncer.config import Settings
    from syncer.core.import_plan import PlannedRow
    from syncer.core.import_rows import Candidate
    from syncer.store.write.imports import Batch
    from syncer.sync.importing import Importer

T = TypeVar("T")

#: Rows between two steps of the progress bar.
STEP = 1000


@click.command(
    "import",
    epilog=example(
        "syncer contacts import people.csv",
        "syncer contacts import people.csv --apply",
        'syncer contacts import people.xlsx --map phone_no="Number (WhatsApp)"',
    ),
)
@click.argument("file", type=FILE)
@click.option(
    "--apply", "applying", is_flag=True, help="Write what the plan says. Without it nothing changes."
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "xlsx", "vcard"]),
    help="By default, what the file's name says.",
)
@click.option(
    "--map",
    "maps",
    metavar="FIELD=COLUMN",
    multiple=True,
    help=f"The column of a field: {', '.join(FIELDS)}.",
)
@account_option
@json_option
@pass_app
def import_(
    app: App,
    file: Path,
    applying: bool,
    form: str | None,
    maps: tuple[str, ...],
    account: str | None,
    as_json: bool,
) -> None:
    """Import contacts from FILE (CSV, XLSX or vCard): a plan first, then with --apply.

    Each row is add, update, same, duplicate or unreadable. A blank cell changes nothing.
    """
    from syncer.formats.contacts_file import Spool, read_candidates
    from syncer.formats.source import format_of, opened
    from syncer.store.write.imports import Batch
    from syncer.sync.importing import Importer

    form = form or format_of(file)
    if form not in ("csv", "xlsx", "vcard"):
        with opened(file):  # reports a missing file first
            pass
        if form:
            raise click.UsageError(f"{file} is JSON, which is exported but not imported; nothing was changed")
        raise click.UsageError(
            f"the name of {file} does not say what it is: add --format csv, xlsx or vcard; nothing was changed"
        )
    mapping = _mapping(maps, form)
    settings = app.settings()
    regions = {name: one.region for name, one in mirrored_accounts(settings, account).items()}
    with Spool() as spool:
        with progress_bars() as progress:
            candidates = read_candidates(file, form, mapping)
            for candidate in _counted(candidates, partial(progress, "reading", file.name), None):
                spool.add(_with_account(candidate, settings, account, regions))
        batch = Batch(file.name, form, "cli", app.stamp())
        with (
            app.writing(settings) if applying else app.deciding(settings) as db,
            # A bar would break up the rows that are printed to the same terminal.
            progress_bars(hidden=sys.stdout.isatty()) as progress,
            _reported_when_cut_short(batch),
        ):
            importer = Importer(db, spool, regions, app.stamp)
            # Closed before the database: a plan that is cut short still reads from it.
            with closing(importer.apply(batch) if applying else importer.plan()) as planned:
                rows = _counted(planned, partial(progress, "importing", file.name), spool.rows)
                (_print_json if as_json else _print_text)(rows, importer, batch if applying else None)


def _mapping(maps: Iterable[str], form: str) -> dict[str, str]:
    """`--map` as field -> column."""
    out: dict[str, str] = {}
    for text in maps:
        field, _, column = (part.strip() for part in text.partition("="))
        if field not in FIELDS or not column:
            raise click.UsageError(
                f"--map {text}: write FIELD=COLUMN, with one of {', '.join(FIELDS)} as FIELD"
            )
        if field in out:
            raise click.UsageError(f"--map names {field} twice")
        out[field] = column
    if out and form == "vcard":
        raise click.UsageError("--map is for the columns of CSV and XLSX; a vCard has none")
    return out


def _with_account(
    candidate: Candidate, settings: Settings, word: str | None, regions: Collection[str]
) -> Candidate:
    """The row with its account: the one that it names, else the only one that `--account` means."""
    if candidate.account in regions:
        return candidate
    only = next(iter(regions)) if len(regions) == 1 else adding_account(settings, word).name
    if candidate.account and any(candidate.account == one.name for one in settings.telecmi):
        problem = f"it belongs to account {candidate.account}: import it with --account {candidate.account}"
        return candidate._replace(account=only, problem=problem)
    return candidate._replace(account=only)


def _counted(
    rows: Iterable[T], progress: Callable[[int, int | None], None], total: int | None
) -> Iterator[T]:
    for done, row in enumerate(rows, start=1):
        if done % STEP == 0:
            progress(done, total)
        yield row


@contextmanager
def _reported_when_cut_short(batch: Batch) -> Iterator[None]:
    """If the import fails, say on stderr what it has written."""
    try:
        yield
    except BaseException:
        if batch.id is not None:
            say(
                f"The import broke off: {_changes(batch.added, batch.updated)} so far, as batch {batch.id}. Run it again "
                f"for the rest, or take it back with `syncer contacts undo {batch.id}`.",
                err=True,
            )
        raise


def _print_json(rows: Iterable[PlannedRow], importer: Importer, batch: Batch | None) -> None:
    """Print one object, row by row."""
    click.echo('{\n  "rows": [', nl=False)
    for n, row in enumerate(rows):
        record = {
            "row": row.row,
            "verdict": row.verdict.value,
            "fields": dict(row.fields),
            "of": row.of,
            "reason": row.reason or None,
            "contact": row.contact,
        }
        click.echo(f"{',' if n else ''}\n    {to_json(record)}", nl=False)
    click.echo(f'\n  ],\n  "counts": {to_json(importer.totals)},', nl=False)
    click.echo(f'\n  "batch": {to_json(None if batch is None else batch.id)}\n}}')


def _print_text(rows: Iterable[PlannedRow], importer: Importer, batch: Batch | None) -> None:
    """Print a line for each row that is not the same, then the totals."""
    for row in rows:
        if row.verdict != "same" or row.reason:
            say(f"row {row.row:<6} {row.verdict.value:<10}  {_details(row)}")
    totals = importer.totals
    if not sum(totals.values()):
        say("The file has no contacts.")
        return
    say()
    say(
        f"{count(sum(totals.values()), 'row')}: {', '.join(f'{n:,} {verdict}' for verdict, n in totals.items() if n)}."
    )
    if batch is None:
        if totals["add"] or totals["update"]:
            say("Nothing was changed. Run it again with --apply to write this.")
    elif batch.id is None:
        say("There is nothing to change.")
    else:
        say(
            f"Batch {batch.id}: {_changes(batch.added, batch.updated)}; the push sends that upstream. "
            f"`syncer contacts undo {batch.id}` takes it back."
        )


def _details(row: PlannedRow) -> str:
    values = ", ".join(f"{name} {value!r}" for name, value in row.fields.items())
    contact = f"contact {row.contact}" if row.contact is not None and row.verdict != "duplicate" else ""
    return "; ".join(part for part in (contact, values, row.reason) if part)


def _changes(added: int, updated: int) -> str:
    return f"{count(added, 'contact')} added, {updated:,} updated"


@click.command(epilog=example("syncer contacts imports", "syncer contacts imports --json"))
@json_option
@pass_app
def imports(app: App, as_json: bool) -> None:
    """List the imports, the newest first."""
    from syncer.store.read import import_queries

    with app.query(app.settings()) as conn:
        rows = import_queries.list_batches(conn)
    if as_json:
        emit_json(rows)
        return
    if not rows:
        say("Nothing was imported yet.")
        return
    now = app.now()
    show_table(
        ("batch", "file", "format", "by", "when", "added", "updated", ""),
        (
            (
                *(row[name] for name in ("id", "file_name", "format", "by")),
                when(row["created_at"], now),
                row["added"],
                row["updated"],
                _state(row["finished_at"], row["undone_at"], when(row["undone_at"], now)),
            )
            for row in rows
        ),
    )


def _state(finished_at: str | None, undone_at: str | None, undone: str) -> str:
    if undone_at:
        return f"undone {undone}"
    return " " if finished_at else "broke off"
