"""`syncer contacts`: list, show and edit the contacts of the mirror.

An edit is plain SQL that the triggers catch, as from any client. It goes upstream with the push.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from syncer.cli.app import App, pass_app
from syncer.cli.editing import (
    OPTIONS,
    SWITCH,
    adding_account,
    fill_in,
    full_name,
    holders_shown,
    pick,
    show_result,
)
from syncer.cli.export import export
from syncer.cli.imports import import_, imports
from syncer.cli.options import (
    WORDS,
    account_option,
    example,
    json_option,
    limit_option,
    list_options,
    listed_accounts,
    provider_option,
    telecmi_accounts,
    who_argument,
)
from syncer.cli.output import emit_json, emit_list, say, show_record, show_table, shown
from syncer.cli.undo import undo
from syncer.core.model import REQUIRED
from syncer.errors import UsageError

if TYPE_CHECKING:
    from syncer.config import Settings, TelecmiAccount


def field_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The six options that `add` and `edit` take."""
    helps = {"phone": "In any usual spelling.", "email": "An empty text clears it, also below."}
    for option in reversed(OPTIONS):
        switch = SWITCH[OPTIONS[option]]
        command = click.option(switch, option, metavar="TEXT", type=WORDS, help=helps.get(option))(command)
    return command


@click.group()
def contacts() -> None:
    """List, show and edit the contacts of the mirror."""


@contacts.command("list", epilog=example("syncer contacts list --search acme", "syncer contacts list --json"))
@account_option
@provider_option
@click.option("--search", metavar="TEXT", type=WORDS, help="Words or digits in any field.")
@click.option("--all", "everything", is_flag=True, help="Also deleted ones (tombstones).")
@limit_option
@list_options
@pass_app
def list_(
    app: App,
    account: str | None,
    provider: str | None,
    search: str | None,
    everything: bool,
    limit: int | None,
    form: str | None,
) -> None:
    """List contacts, by name."""
    from syncer.store.db import columns
    from syncer.store.read import contact_queries

    settings = app.settings()
    provider, telecmi, smartflo = listed_accounts(settings, provider, account)
    if provider == "any" and everything:
        raise click.UsageError("--all needs one provider: the view of all providers has no tombstones")
    with app.query(settings) as conn:
        if provider == "any":
            rows = contact_queries.list_any(conn, telecmi, smartflo, search=search, limit=limit)
        else:
            listing = contact_queries.list_telecmi if provider == "telecmi" else contact_queries.list_smartflo
            rows = listing(conn, telecmi or smartflo, search=search, tombstones=everything, limit=limit)
    if form:
        emit_list(rows, columns.COLUMNS.get(f"{provider}_contacts", contact_queries.ANY_COLUMNS), form)
        return
    if not rows:
        say("No contact in the mirror matches.")
        return
    names, headers = _LISTS[provider]
    show_table((*headers, ""), ([*_cells(row, names), _deleted(row)] for row in rows))
    say()
    say(f"{shown(rows, 'contact')}.")


@contacts.command(epilog=example("syncer contacts show +919200000000", "syncer contacts show 12 --json"))
@who_argument
@account_option
@json_option
@pass_app
def show(app: App, who: str, account: str | None, as_json: bool) -> None:
    """Show one contact, with its open changes. WHO is a phone number, a contact_id or a row id."""
    from syncer.cli.queue import note_touched, show_change
    from syncer.store.read import status_queries

    settings = app.settings()
    accounts = telecmi_accounts(settings, account)
    with app.query(settings) as conn:
        row = pick(conn, who, accounts)
        changes = status_queries.list_changes(conn, contact=row["id"])
        note_touched(conn, changes, settings)
    if as_json:
        emit_json(row | {"changes": [status_queries.queue_columns(change) for change in changes]})
        return
    now = app.now()
    show_record(row, [name for name in row if name != "raw" and (name != "deleted_at" or row[name])], now)
    for change in changes:
        say()
        show_change(change, now, settings)


@contacts.command(
    epilog=example('syncer contacts add --phone "92000 00001" --first-name Asha --last-name Example')
)
@field_options
@account_option
@pass_app
def add(app: App, /, account: str | None, **given: str | None) -> None:
    """Add a contact; phone, first and last name are needed."""
    from syncer.store.write import actors, edits
    from syncer.sync import editing

    settings = app.settings()
    target = adding_account(settings, account)
    fields = {column: given[option] or "" for option, column in OPTIONS.items()}
    missing = [SWITCH[name] for name in REQUIRED if not fields[name]]
    if missing:
        raise click.UsageError(
            f"upstream takes no contact without {' and '.join(missing)}: add that; nothing was changed"
        )
    with app.writing(settings) as db:
        with holders_shown(), db.edit() as conn, actors.acting(conn, actors.CLI):
            fields["phone_no"] = editing.stored_number(conn, target, fields["phone_no"])
            row_id = edits.add_contact(conn, target.name, fields)
        fill_in(db, target)
        say(f"Contact row {row_id} was added to account {target.name}.")
        show_result(app, db, settings, row_id)


@contacts.command(
    epilog=example(
        'syncer contacts edit +919200000000 --company "Acme"',
        'syncer contacts edit --search "acme" --company "Acme Example" --apply',
    )
)
@click.argument("who", nargs=-1, type=WORDS)
@click.option(
    "--search", metavar="TEXT", type=WORDS, help="All contacts with these words or digits in a field."
)
@click.option(
    "--apply",
    "applying",
    is_flag=True,
    help="Write the edits of several contacts, or of those found. Otherwise they are only shown.",
)
@field_options
@account_option
@pass_app
def edit(
    app: App,
    /,
    who: tuple[str, ...],
    search: str | None,
    applying: bool,
    account: str | None,
    **given: str | None,
) -> None:
    """Change fields of a contact, or of several or those found by --search: these need --apply.

    WHO is a phone number, a contact_id or a row id.
    """
    from syncer.cli.bulk_edit import edit_several, several

    wanted = {OPTIONS[option]: value for option, value in given.items() if value is not None}
    if not wanted:
        raise click.UsageError(f"nothing to change was given; use one of {', '.join(SWITCH.values())}")
    settings = app.settings()
    accounts = telecmi_accounts(settings, account)
    empty = [SWITCH[name] for name in REQUIRED if wanted.get(name) == ""]
    if empty:
        raise UsageError(f"upstream takes no contact without {' and '.join(empty)}; nothing was changed")
    if len(who) != 1 or search is not None:
        with app.query(settings) as conn:
            rows = several(conn, who, search, accounts)
        edit_several(app, settings, rows, wanted, applying=applying)
    else:
        _edit_one(app, settings, accounts, who[0], wanted)


def _edit_one(
    app: App, settings: Settings, accounts: dict[str, TelecmiAccount], who: str, wanted: dict[str, str]
) -> None:
    from syncer.store.write import actors, edits
    from syncer.sync import editing

    with app.writing(settings) as db:
        with holders_shown(), db.edit() as conn, actors.acting(conn, actors.CLI):
            row = pick(conn, who, accounts)
            target = accounts[row["account"]]
            editing.refuse_deleted(conn, row)
            changed = editing.changes(conn, target, row, wanted)
            if changed:
                edits.edit_contact(conn, row["id"], changed)
        if not changed:
            say(f"Contact row {row['id']} already has these values: nothing was changed.")
            return
        fill_in(db, target)
        say(f"Contact row {row['id']} was changed: {', '.join(changed)}.")
        show_result(app, db, settings, row["id"])


@contacts.command(epilog=example("syncer contacts delete +919200000000"))
@who_argument
@account_option
@pass_app
def delete(app: App, who: str, account: str | None) -> None:
    """Delete a contact. WHO is a phone number, a contact_id or a row id."""
    from syncer.store.write import actors, edits
    from syncer.sync import editing

    settings = app.settings()
    accounts = telecmi_accounts(settings, account)
    with app.writing(settings) as db:
        with db.edit() as conn, actors.acting(conn, actors.CLI):
            row = pick(conn, who, accounts)
            editing.refuse_undeletable(conn, row)
            edits.delete_contact(conn, row["id"])
        say(f"Contact row {row['id']} is deleted locally.")
        show_result(app, db, settings, row["id"])


contacts.add_command(import_)
contacts.add_command(imports)
contacts.add_command(undo)
contacts.add_command(export)


# -- lists ---------------------------------------------------------------------------------------------

#: Provider -> the columns that people see, and their headers; `person` is the first and last name.
_LISTS = {
    "telecmi": (
        ("id", "account", "person", "phone_e164", "email_id", "company", "job_title"),
        ("row id", "account", "name", "phone", "email", "company", "job title"),
    ),
    "smartflo": (
        ("id", "account", "name", "phone_e164", "email_id", "company_name", "contact_group_name"),
        ("row id", "account", "name", "phone", "email", "company", "group"),
    ),
    "any": (
        ("provider", "account", "name", "phone_e164", "email", "company", "source_table", "source_id"),
        ("provider", "account", "name", "phone", "email", "company", "table", "row id"),
    ),
}


def _cells(row: Mapping[str, Any], names: Sequence[str]) -> Iterator[object]:
    for name in names:
        match name:
            case "person":
                yield full_name(row)
            case "phone_e164":
                yield row[name] or row.get("phone_no")
            case _:
                yield row[name]


def _deleted(row: Mapping[str, Any]) -> str:
    return "deleted" if row.get("deleted_at") else " "
