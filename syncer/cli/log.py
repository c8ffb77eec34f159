"""`syncer log`: every change that the mirror saw, for people and for programs."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from typing import TYPE_CHECKING

import click

from syncer.cli.app import App, pass_app
from syncer.cli.options import Integer, example, json_option, limit_option
from syncer.cli.output import count, local, say, to_json

if TYPE_CHECKING:
    from syncer.store.db.read_only import ReadOnlyDatabase
    from syncer.store.read.feed import Entry

#: Seconds between two polls of `--follow`, and entries read at once.
STEP = 0.5
BATCH = 1000

#: Entries shown without --after.
LATEST = 20


@click.command(epilog=example("syncer log", "syncer log --follow --json --after 1200"))
@click.option("--after", metavar="SEQ", type=Integer(min=0), help="Only entries after this number.")
@limit_option
@click.option("--follow", is_flag=True, help="Print new entries until ctrl-c.")
@json_option
@pass_app
def log(app: App, after: int | None, limit: int | None, follow: bool, as_json: bool) -> None:
    """Show what changed, from either side, in order: the newest entries, or those --after a number.

    --json prints one object per line, with the column names of change_log. Remember the last `seq`, and continue
    after it.
    """
    from syncer.store.read import feed

    settings = app.settings()
    if not settings.database.path.exists() and not follow:
        say("There is no database yet: `syncer sync` creates it.", err=True)
        return
    if follow:
        with app.writing(settings):
            pass  # creates it if there is none yet
    with app.reading(settings) as db:
        at = after
        with db.read() as conn:
            if at is None:
                at = max(0, feed.last_seq(conn) - (limit or LATEST))
                older = feed.number(conn, upto=at)
            else:
                older = 0
                _warn_of_missing(at, feed.first_seq(conn))
        if older and not as_json:
            say(
                f"{count(older, 'older entry', 'older entries')}: see --limit, or `syncer log --after 0` for all."
            )
        for entry in islice(_entries(db, at, follow=follow), limit and min(limit, sys.maxsize)):
            _show(entry, as_json)
            at = entry.seq
        with db.read() as conn:
            more = feed.number(conn, after=at)
        if more and not as_json:
            say(f"{count(more, 'more entry', 'more entries')}: `syncer log --after {at}`")


def _entries(db: ReadOnlyDatabase, after: int, *, follow: bool) -> Iterator[Entry]:
    """The entries after a number. With `follow`, it waits for more and does not end."""
    from syncer.store.read import feed

    seen = -1
    while True:
        with db.read() as conn:
            entries = feed.entries(conn, after, BATCH)
        yield from entries
        if entries:
            after = entries[-1].seq
        elif not follow:
            return
        else:
            while (version := db.data_version()) == seen:
                time.sleep(STEP)
            seen = version


def _warn_of_missing(after: int, first: int | None) -> None:
    """Warn a reader that continues from before the start of the log."""
    if first is not None and after + 1 < first:
        say(
            f"syncer: entries {after + 1} to {first - 1} are no longer there (`retention.log`, or a forgotten "
            "person): read the tables again, then continue from here",
            err=True,
        )


def _show(entry: Entry, as_json: bool) -> None:
    if as_json:
        click.echo(to_json(asdict(entry)))
        return
    what = {"insert": "added", "delete": "removed"}.get(entry.kind)
    if what is None:
        what = f"{entry.field}: {_quoted(entry.old)} -> {_quoted(entry.new)}"
    by = f", by {entry.actor}" if entry.actor else ""
    say(
        f"{entry.seq:>8}  {local(entry.at)}  {entry.origin:<8}  {entry.table_name} row {entry.row_id}  {what}{by}"
    )


def _quoted(value: str | None) -> str:
    return "(empty)" if value is None or value == "" else repr(value)
