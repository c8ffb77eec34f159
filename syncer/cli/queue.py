"""`syncer queue`: shows the changes on their way upstream, and records what a person decides about them.

`store/write/decisions.py` carries decisions out; the push sends.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Literal, assert_never

import click

from syncer.cli.app import App, pass_app
from syncer.cli.options import (
    account_option,
    example,
    json_option,
    limit_option,
    list_options,
    number_argument,
    numbers_argument,
    telecmi_accounts,
)
from syncer.cli.output import (
    emit_json,
    emit_list,
    plain,
    say,
    say_sentence,
    show_record,
    show_table,
    shown,
    when,
)
from syncer.core.model import FIELDS, State
from syncer.core.wording import upper_first
from syncer.errors import UsageError

if TYPE_CHECKING:
    from syncer.config import Settings
    from syncer.store.db.connection import Connection
    from syncer.store.db.read_only import Reader, Record

#: The columns of a change that `queue show` prints.
DETAILS = ("account", "attempts", "created_at", "sent_at", "next_attempt_at", "settled_at", "last_error")


@click.group()
def queue() -> None:
    """Show the changes on their way upstream, and decide about them."""


@queue.command("list", epilog=example("syncer queue list", "syncer queue list --all --limit 20"))
@click.option("--all", "everything", is_flag=True, help="Also settled ones.")
@account_option
@limit_option
@list_options
@pass_app
def list_(app: App, everything: bool, account: str | None, limit: int | None, form: str | None) -> None:
    """List open changes: what each one is, why it waits, and what to do."""
    from syncer.store.read import status_queries

    settings = app.settings()
    names = list(telecmi_accounts(settings, account)) if account else None
    with app.query(settings) as conn:
        changes = status_queries.list_changes(conn, names, settled=everything, limit=limit)
        note_touched(conn, changes, settings)
    if form:
        emit_list(changes, status_queries.QUEUE_COLUMNS, form)
        return
    if not changes:
        say("The queue is empty." if everything else "No change is open: upstream has everything.")
    for change in changes:
        show_change(change, app.now(), settings)
    if len(changes) < changes.total:
        say(f"The newest {shown(changes, 'change')}; without --limit you see all.")


@queue.command(epilog=example("syncer queue show 7"))
@number_argument
@json_option
@pass_app
def show(app: App, number: int, as_json: bool) -> None:
    """Show one change: its local and upstream values. Of a conflict, all three sides."""
    from syncer.store.read import contact_queries, status_queries

    settings = app.settings()
    with app.query(settings) as conn:
        change = status_queries.load_change(conn, number)
        if change is None:
            raise UsageError(f"there is no change {number}: `syncer queue list --all` shows them")
        contact = contact_queries.load_contact(conn, change["contact_row"])
        theirs = contact_queries.upstream_values(conn, change["contact_row"]) or {}
        theirs = {**theirs, **status_queries.upstream_in_conflict(conn, change["contact_row"])}
        note_touched(conn, [change], settings)
    sides = status_queries.clashes_of(change)
    if as_json:
        emit_json(status_queries.queue_columns(change) | {"contact": contact, "sides": sides})
        return
    now = app.now()
    show_change(change, now, settings)
    say()
    show_record(change, [name for name in DETAILS if change[name] is not None], now)
    say()
    if sides:
        rows = [(name, side["base"], side["local"], side["remote"]) for name, side in sides.items()]
        show_table(("field", "base (last agreed)", "local", "upstream (remote)"), rows)
    elif contact is not None:
        sent = json.loads(change["fields"]) if change["fields"] else {}
        values = [(name, theirs.get(name), contact[name], sent.get(name)) for name in FIELDS]
        show_table(("field", "upstream, last seen", "local", "sent"), values)


@queue.command(epilog=example("syncer queue approve 7"))
@numbers_argument
@pass_app
def approve(app: App, numbers: tuple[int, ...]) -> None:
    """Send held deletes upstream."""
    from syncer.store.write import decisions

    _decide(app, numbers, lambda conn, number, _: decisions.approve(conn, number, app.stamp()))


@queue.command(epilog=example("syncer queue retry 7"))
@numbers_argument
@pass_app
def retry(app: App, numbers: tuple[int, ...]) -> None:
    """Try rejected or waiting changes again, now."""
    from syncer.store.write import decisions

    _decide(app, numbers, lambda conn, number, _: decisions.retry(conn, number, app.stamp()))


@queue.command(epilog=example("syncer queue discard 7"))
@numbers_argument
@pass_app
def discard(app: App, numbers: tuple[int, ...]) -> None:
    """Give up changes: the contacts show the upstream values again."""
    from syncer.store.write import decisions

    _decide(app, numbers, lambda conn, number, region: decisions.discard(conn, number, app.stamp(), region))


@queue.command(epilog=example("syncer queue resolve 7 --keep local"))
@numbers_argument
@click.option(
    "--keep",
    required=True,
    type=click.Choice(["local", "remote"]),
    help="local: the local value goes upstream. remote: the upstream value replaces it.",
)
@pass_app
def resolve(app: App, numbers: tuple[int, ...], keep: Literal["local", "remote"]) -> None:
    """Settle conflicts with the values that `queue show` shows."""
    from syncer.store.write import decisions

    _decide(
        app, numbers, lambda conn, number, region: decisions.resolve(conn, number, keep, app.stamp(), region)
    )


def _decide(app: App, numbers: Sequence[int], decision: Callable[[Connection, int, str], str]) -> None:
    """Carry out a decision for each number, in its own transaction; the first refusal ends it."""
    from syncer.store.read import status_queries
    from syncer.store.write import actors

    settings = app.settings()
    with app.deciding(settings) as db:
        for number in numbers:
            with db.write() as conn, actors.deciding(conn, number, actors.CLI):
                change = status_queries.load_change(conn, number)
                result = decision(conn, number, settings.region_of(change["account"] if change else ""))
            say_sentence(result)


# -- for people ---------------------------------------------------------------------------------------


def note_touched(conn: Reader, changes: Iterable[Record], settings: Settings) -> None:
    """Add to each change the fields that it is about, `touched`: `show_change` names them."""
    from syncer.store.read import contact_queries

    for change in changes:
        region = settings.region_of(change["account"])
        change["touched"] = contact_queries.changed_fields(conn, change, region)


def show_change(change: Record, now: datetime, settings: Settings) -> None:
    """Show a change with its `touched` fields: what it is, why it is in this state, what to do."""
    touched = change["touched"]
    account = next((one for one in settings.telecmi if one.name == change["account"]), None)
    name = f" ({plain(change['contact_name'])})" if change["contact_name"] else ""
    fields = f" of {', '.join(touched)}" if touched and change["operation"] == "update" else ""
    say(
        f"Change {change['id']}, {change['state']}: {change['operation']}{fields} for contact row "
        f"{change['contact_row']}{name}, account {change['account']}, made {when(change['created_at'], now)}"
    )
    why, what = explain(change, now)
    if account is None and change["settled_at"] is None:
        why = f"It is never sent: telecmi.{change['account']} is not in the config."
        what = f"If the account was renamed: `syncer db rename-account telecmi.{change['account']} NEW`."
    elif account is not None and change["state"] == State.QUEUED:
        if change["operation"] == "update" and not touched:
            why, what = "Upstream already has these values: it is dropped at the next push.", ""
        elif not (account.push.enabled and account.contacts.enabled):
            why, what = f"It waits, because push is disabled for {account.label}.", ""
    say(f"   {why}")
    if what:
        say(f"   {what}")


def explain(change: Record, now: datetime) -> tuple[str, str]:
    """Why a change is in its state, and what a person can do about it (may be empty)."""
    number, error = change["id"], change["last_error"]
    state = State(change["state"])
    later = change["next_attempt_at"]
    match state:
        case State.QUEUED if later and error:
            return f"It is tried again {when(later, now)}: {error}", "`syncer sync` tries it now."
        case State.QUEUED:
            return f"It goes upstream with the next push.{f' {error}' if error else ''}", ""
        case State.SENDING:
            return "It is being sent, or was when the program stopped; the next push looks it up.", ""
        case State.UNKNOWN:
            return (
                f"It was sent, but no usable answer came{f' ({error})' if error else ''}: "
                "the next push checks whether upstream has it.",
                "",
            )
        case State.REJECTED:
            return (
                f"{'Upstream refused it' if change['sent_at'] else 'It was not sent'}: "
                f"{error or 'no reason was given'}",
                f"The contact stays; `syncer queue discard {number}` closes this change."
                if change["operation"] == "delete"
                else f"Correct the contact (`syncer contacts edit {change['contact_row']} ...`), or "
                f"`syncer queue retry {number}`, or `syncer queue discard {number}`.",
            )
        case State.CONFLICT:
            why = error or "both sides changed the same field"
            return (
                f"{upper_first(why)}.",
                f"`syncer queue resolve {number} --keep local|remote` settles it; `syncer queue show {number}` "
                "compares the values.",
            )
        case State.HELD:
            return (
                f"A delete waits for you{f': {error}' if error else '.'}",
                f"`syncer queue approve {number}` sends it, `syncer queue discard {number}` undoes it.",
            )
        case State.DONE:
            return f"Upstream shows it, settled {when(change['settled_at'], now)}.", ""
        case State.DISCARDED:
            return f"Given up {when(change['settled_at'], now)}{f': {error}' if error else '.'}", ""
        case _:
            assert_never(state)
