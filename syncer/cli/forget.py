"""`syncer forget`: removes a person from every table, and keeps them out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import click

from syncer.cli.app import App, pass_app
from syncer.cli.options import example, json_option, phone_argument, typed_number
from syncer.cli.output import count, emit_json, say
from syncer.core.wording import some
from syncer.errors import UsageError

if TYPE_CHECKING:
    from syncer.config.targets import PublishTarget
    from syncer.store.db.read_only import Reader
    from syncer.store.write.forget import ForgetPreview, Removed, Rows

#: Rows shown before the question.
MOST_SHOWN = 20


@click.command(epilog=example("syncer forget +919200000001 --yes"))
@phone_argument
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@pass_app
def forget(app: App, phone: str, yes: bool, as_json: bool) -> None:
    """Remove everybody with a phone number from every table, raw rows, recordings and the log included.

    From then on they are kept out, by a keyed hash of the number. Nothing is deleted upstream. Older backups still
    contain them: delete those too if the law requires it.
    """
    from syncer.config.targets import PublishTarget
    from syncer.store.write import forget as removal
    from syncer.sync.recordings import Recordings

    settings = app.settings()
    regions = settings.regions
    e164 = typed_number(settings, phone)
    with app.writing(settings) as db:
        if not yes:
            with db.read() as conn:
                _show(conn, removal.find(conn, e164, regions), e164)
            _ask(f"Remove all of this from {settings.database.path.name}, and keep them out?")
        remove = Recordings(settings.audio.path).remove
        done = removal.forget(db, e164, app.stamp(), regions=regions, remove_files=remove)
    if as_json:
        others = {"other_numbers": done.other_numbers, "mentioned": done.mentioned}
        emit_json({"removed": done.rows, **others, "sent": done.sent, "traces": done.traces})
    else:
        _show_done(done, settings.of(PublishTarget))


def _ask(question: str) -> None:
    """UsageError unless a person says yes."""
    try:
        agreed = click.confirm(question, err=True)
    except click.Abort:
        say(err=True)  # the line of the question has no end yet
        raise UsageError("nothing was removed: nobody answered; --yes removes without asking") from None
    if not agreed:
        raise UsageError("nothing was removed")


def _show_done(done: Removed, copies: Iterable[PublishTarget]) -> None:
    for table, number in sorted(done.rows.items()):
        say(f"{table}: {count(number, 'row')} removed")
    if not done.rows:
        say("The mirror has nobody with this number.")
    _show_other_numbers(done.other_numbers)
    for table, ids in sorted(done.mentioned.items()):
        say(f"{_rows(table, ids)} of other people still mention the number: edit them upstream")
    for target, number in sorted(done.sent.items()):
        say(
            f"notify.{target}: {count(number, 'notification')} about them went out: what was sent cannot be taken back"
        )
    if done.traces:
        say(
            "Free pages of the file may still contain traces, because another program was reading it or the disk "
            "is full: run this again later."
        )
    for copy in copies:
        say(f"{copy.label}: its next pass removes them there (`syncer publish {copy.name}` does at once)")
    say("They are kept out from now on. Nothing changed upstream. Older backups still contain them.")


def _show(conn: Reader, found: ForgetPreview, e164: str) -> None:
    """Show who would be removed, on stderr like the question that follows."""
    from syncer.store.read import status_queries

    listed = [(table, row_id) for table, ids in found.rows.items() for row_id in ids]
    end = ":" if listed else "."
    say(f"{count(len(listed), 'row')} with the number {e164}, of now or earlier{end}", err=True)
    for table, row_id in listed[:MOST_SHOWN]:
        name = status_queries.name_of(conn, table, row_id)
        say(f"  {table} row {row_id}" + (f": {name}" if name else ""), err=True)
    if len(listed) > MOST_SHOWN:
        say(f"  ... and {len(listed) - MOST_SHOWN:,} more", err=True)
    _show_other_numbers(found.other_numbers, err=True)


def _show_other_numbers(others: Mapping[str, Rows], *, err: bool = False) -> None:
    """Name other numbers of the same contacts. They may belong to somebody else now, so a person decides."""
    for number, rows in others.items():
        under = (
            "; ".join(_rows(table, ids) for table, ids in rows.items())
            or "nothing is stored under it any more"
        )
        say(
            f"They also have, or had, the number {number} ({under}): `syncer forget {number}` removes it too",
            err=err,
        )


def _rows(table: str, ids: Sequence[int]) -> str:
    return f"{table}: {count(len(ids), 'row')} ({some(ids, 5)})"
