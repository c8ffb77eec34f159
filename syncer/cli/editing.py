"""Finds the contact that a command means, and shows what happens to an edit.

The commands themselves are `contacts.py`; the writing is `store/write/edits.py`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from syncer.cli.options import telecmi_accounts
from syncer.cli.output import say, show_table
from syncer.core.model import FIELDS
from syncer.errors import UsageError

if TYPE_CHECKING:
    from syncer.cli.app import App
    from syncer.config import Settings, TelecmiAccount
    from syncer.store.db.connection import Database
    from syncer.store.db.read_only import Reader

#: Option -> the column that it sets, in the vendor's order.
OPTIONS = dict(
    zip(("phone", "first_name", "last_name", "email", "company", "job_title"), FIELDS, strict=True)
)

SWITCH = {column: f"--{option.replace('_', '-')}" for option, column in OPTIONS.items()}


# -- which contact -------------------------------------------------------------------------------------


def pick(conn: Reader, who: str, accounts: Mapping[str, TelecmiAccount]) -> dict[str, Any]:
    """The one contact that `who` means. Otherwise shows what was found, and raises UsageError."""
    from syncer.store.read import contact_queries

    if not who:
        raise click.UsageError("WHO is empty; give a phone number, a contact_id or a row id")
    found = contact_queries.find_contacts(conn, who, {name: one.region for name, one in accounts.items()})
    if len(found) == 1:
        return found[0]
    if found:
        show_table(("row id", "account", "name", "deleted"), map(_brief, found), err=True)
        raise UsageError(
            f"{len(found)} contacts match: name one by its row id (id:{found[0]['id']}), "
            "or use --account; nothing was changed"
        )
    alike = contact_queries.list_any(conn, list(accounts), list(accounts), search=who, limit=5)
    if alike:
        rows = ((row["source_table"], row["source_id"], row["account"], row["name"]) for row in alike)
        show_table(("table", "row id", "account", "name"), rows, err=True)
        raise UsageError(
            "no contact of telecmi_contacts has this phone number, contact_id or row id; "
            "similar contacts are listed above"
        )
    raise UsageError(
        "no contact has this phone number, contact_id or row id: `syncer contacts list` shows all"
    )


def full_name(row: Mapping[str, Any]) -> str:
    """The first and last name of a TeleCMI contact."""
    return f"{row['first_name'] or ''} {row['last_name'] or ''}".strip()


def _brief(row: Mapping[str, Any]) -> tuple[object, ...]:
    return (row["id"], row["account"], full_name(row), "deleted" if row["deleted_at"] else None)


def mirrored_accounts(settings: Settings, word: str | None) -> dict[str, TelecmiAccount]:
    """The accounts that `--account` means and that contacts can be added to, by name. UsageError if there is none."""
    found = {name: one for name, one in telecmi_accounts(settings, word).items() if one.contacts.enabled}
    if not found:
        raise UsageError(
            "contacts are switched off for this account in the config; nothing can be added to it"
        )
    return found


def adding_account(settings: Settings, word: str | None) -> TelecmiAccount:
    """The account that a new contact goes to: the named one, else the only one."""
    mirrored = mirrored_accounts(settings, word)
    if len(mirrored) > 1:
        raise click.UsageError(f"--account is needed: there are {', '.join(mirrored)}")
    return next(iter(mirrored.values()))


# -- what is written -----------------------------------------------------------------------------------


@contextlib.contextmanager
def holders_shown() -> Iterator[None]:
    """Show the contacts that have a number already, if an edit is refused because of them."""
    from syncer.sync.editing import TakenError

    try:
        yield
    except TakenError as error:
        show_table(("row id", "account", "name", "deleted"), map(_brief, error.holders), err=True)
        raise


def fill_in(db: Database, account: TelecmiAccount) -> None:
    """Set `phone_e164` now instead of waiting for the daemon."""
    from syncer.store.write.contacts import fill_phones

    with db.write() as conn:
        fill_phones(conn, account.name, account.region)


# -- what happens to it -------------------------------------------------------------------------------


def show_result(app: App, db: Database, settings: Settings, row_id: int) -> None:
    """Show the change that an edit became, and what it waits for."""
    from syncer.cli.queue import note_touched, show_change
    from syncer.store.read import status_queries

    with db.read() as conn:
        changes = status_queries.list_changes(conn, contact=row_id)
        note_touched(conn, changes, settings)
    if not changes:
        say("It was never sent, so nothing is sent upstream.")
    for change in changes:
        show_change(change, app.now(), settings)
