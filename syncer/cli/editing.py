"""Which contact a command means, whether it may be edited, and what happens to the edit.

The commands themselves are `contacts.py`; the writing is `store/write/edits.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
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

#: Upstream accepts no contact without these.
REQUIRED = ("phone_no", "first_name", "last_name")

SWITCH = {column: f"--{option.replace('_', '-')}" for option, column in OPTIONS.items()}


# -- which contact -------------------------------------------------------------------------------------


def pick(conn: Reader, who: str, accounts: Mapping[str, TelecmiAccount]) -> dict[str, Any]:
    """The one contact that `who` means; UsageError, after showing what was found, when it is not one."""
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


def adding_account(settings: Settings, word: str | None) -> TelecmiAccount:
    """The account that a new contact goes to: the named one, else the only one."""
    mirrored = {name: one for name, one in telecmi_accounts(settings, word).items() if one.contacts.enabled}
    if not mirrored:
        raise UsageError(
            "contacts are switched off for this account in the config; nothing can be added to it"
        )
    if len(mirrored) > 1:
        raise click.UsageError(f"--account is needed: there are {', '.join(mirrored)}")
    return next(iter(mirrored.values()))


# -- what may be written -------------------------------------------------------------------------------


def readable(number: str, region: str) -> str:
    """The number in E.164; UsageError, with the reason, when it cannot be sent."""
    from syncer.core.normalise import phone_problem, to_e164

    problem = phone_problem(number, region)
    e164 = to_e164(number, region)
    if problem or e164 is None:
        raise UsageError(f"the phone number {problem}")
    return e164


def refuse_duplicate(conn: Reader, account: TelecmiAccount, number: str, *, but: int | None = None) -> None:
    """Refuse a number (E.164) that another live row of the account has."""
    from syncer.store.read import contact_queries

    found = contact_queries.holders(conn, account.name, number, account.region, but=but)
    if found:
        show_table(("row id", "account", "name", "deleted"), map(_brief, found), err=True)
        raise UsageError(
            f"contact row {found[0]['id']} of account {account.name} holds this number already: edit that one "
            f"(`syncer contacts edit {found[0]['id']} ...`); nothing was changed"
        )


def refuse_deleted(conn: Reader, row: Mapping[str, Any]) -> None:
    """Refuse to edit a tombstone, and say how to restore the contact."""
    from syncer.store.read import status_queries

    if row["deleted_at"] is None:
        return
    number = row["id"]
    for change in status_queries.list_changes(conn, contact=number):
        if change["operation"] == "delete":
            raise UsageError(
                f"contact row {number} is deleted locally, by change {change['id']} ({change['state']}): "
                f"`syncer queue discard {change['id']}` undoes that"
            )
    raise UsageError(
        f"contact row {number} is deleted: to restore it, set its deleted_at in telecmi_contacts to NULL "
        "with any SQLite client"
    )


def fill_in(db: Database, account: TelecmiAccount) -> None:
    """Set `phone_e164` now instead of waiting for the daemon."""
    from syncer.store.write.contacts import fill_phones

    with db.write() as conn:
        fill_phones(conn, account.name, account.region)


# -- what happens to it -------------------------------------------------------------------------------


def show_result(app: App, db: Database, settings: Settings, row_id: int) -> None:
    """Say what happens to an edit that was written: which change it is, and what it waits for."""
    from syncer.cli.queue import show_change, touched_fields
    from syncer.store.read import status_queries

    with db.read() as conn:
        changes = status_queries.list_changes(conn, contact=row_id)
        touched = [touched_fields(conn, change, settings) for change in changes]
    if not changes:
        say("It was never sent, so nothing is sent upstream.")
    for change, fields in zip(changes, touched, strict=True):
        show_change(change, fields, app.now(), settings)
