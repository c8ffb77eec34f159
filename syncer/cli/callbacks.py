"""`syncer callbacks`: lists who waits for a call back, and closes and reopens numbers."""

from __future__ import annotations

import click

from syncer.cli.app import App, pass_app
from syncer.cli.options import WORDS, example, limit_option, list_options, phone_argument, typed_number
from syncer.cli.output import count, emit_list, say, show_table, shown, when


@click.group()
def callbacks() -> None:
    """List who waits for a call back, and close or reopen numbers."""


@callbacks.command("list", epilog=example("syncer callbacks list", "syncer callbacks list --all --json"))
@click.option("--all", "everything", is_flag=True, help="Also closed ones.")
@limit_option
@list_options
@pass_app
def list_(app: App, everything: bool, limit: int | None, form: str | None) -> None:
    """List who waits, longest first.

    A number waits until a call with it is answered, in either direction and through either vendor, or until
    `syncer callbacks done` closes it.
    """
    from syncer.cli.evidence import proof_sentence
    from syncer.store.read import call_queries
    from syncer.sync.proof import callback_proof

    settings, now = app.settings(), app.now()
    with app.query(settings) as conn:
        rows = call_queries.list_callbacks(conn, everything=everything, limit=limit)
        proof = callback_proof(conn, settings, now)
    if form:
        emit_list(rows, call_queries.CALLBACKS, form)
        return
    if rows:
        show_table(
            ("number", "name", "company", "missed", "voicemails", "first", "last", "state"),
            (
                (
                    row["phone_e164"],
                    row["caller_name"],
                    row["caller_company"],
                    row["missed"],
                    row["voicemails"],
                    when(row["first_at"], now),
                    when(row["last_at"], now),
                    _state(row["state"], row["closed_by"], when(row["closed_at"], now), row["note"]),
                )
                for row in rows
            ),
        )
        say()
        say(f"{shown(rows, 'number')}.")
    if proof is None:
        say(
            "No account pulls calls, so only `syncer callbacks done` closes a number: "
            "add calls = { enabled = true } to an account."
        )
    else:
        say(proof_sentence(proof, len(rows), now))


def _state(state: str, closed_by: str | None, closed: str, note: str | None) -> str:
    if state == "open":
        return "open"
    how = "by a call" if closed_by == "call" else "by hand"
    return f"done {how} {closed}" + (f": {note}" if note else "")


@callbacks.command(epilog=example('syncer callbacks done +919200000001 --note "called from my mobile"'))
@phone_argument
@click.option("--note", metavar="TEXT", type=WORDS, help="What was agreed.")
@pass_app
def done(app: App, phone: str, note: str | None) -> None:
    """Close a number: somebody has called back, or need not."""
    from syncer.store.write import callbacks as marks

    settings = app.settings()
    number = typed_number(settings, phone)
    with app.deciding(settings) as db, db.write() as conn:
        new = marks.done(conn, number, note=note, by="cli", at=app.stamp())
    say(f"{number} is closed." if new else f"{number} was closed by hand already.")


@callbacks.command(epilog=example("syncer callbacks reopen +919200000001"))
@phone_argument
@pass_app
def reopen(app: App, phone: str) -> None:
    """Undo `done`: the number waits again, with the counts from before."""
    from syncer.store.read import call_queries
    from syncer.store.write import callbacks as marks

    settings = app.settings()
    number = typed_number(settings, phone)
    with app.deciding(settings) as db:
        with db.write() as conn:
            marks.reopen(conn, number, by="cli", at=app.stamp())
        with db.read() as conn:
            waiting = call_queries.find_callback(conn, number)
    if waiting["state"] == "open":
        missed, voicemails = (
            count(waiting["missed"], "missed call"),
            count(waiting["voicemails"], "voicemail"),
        )
        say(f"{number} waits again, since {when(waiting['first_at'], app.now())}: {missed}, {voicemails}.")
    else:
        say(f"{number}: the closing is taken back, and an older one still counts.")
