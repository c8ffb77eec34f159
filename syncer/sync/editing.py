"""Checks what a person does with a contact, by a command or on the page: which number is stored, what is refused.

`store/write/edits.py` writes the edits, and the push sends them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from syncer.config import TelecmiAccount
from syncer.core.normalise import phone_digits, phone_problem, same, spelled_alike, to_e164
from syncer.errors import UsageError
from syncer.store.db.read_only import Reader, Record
from syncer.store.read import contact_queries, status_queries


class NumberError(UsageError):
    """The phone number is not valid for a contact."""


class TakenError(NumberError):
    """Another live contact of the account has this number."""

    def __init__(self, account: str, holders: Sequence[Record]) -> None:
        self.holders = holders
        row = holders[0]["id"]
        super().__init__(
            f"contact row {row} of account {account} holds this number already: edit that one "
            f"(`syncer contacts edit {row} ...`); nothing was changed"
        )


def stored_number(conn: Reader, account: TelecmiAccount, typed: str, row: Record | None = None) -> str:
    """How a typed number is stored, for a new contact or for that of `row`. Raises NumberError."""
    problem = phone_problem(typed, account.region)
    number = to_e164(typed, account.region)
    if problem or number is None:
        raise NumberError(f"the phone number {problem}")
    if row is not None and spelled_alike("phone_no", row["phone_no"], number, account.region):
        return str(row["phone_no"])
    but = None if row is None else row["id"]
    if found := contact_queries.holders(conn, account.name, number, account.region, but=but):
        raise TakenError(account.name, found)
    return phone_digits(number)


def changes(conn: Reader, account: TelecmiAccount, row: Record, wanted: Mapping[str, str]) -> dict[str, str]:
    """The wanted values that differ from the contact's, as they will be stored. Raises NumberError."""
    values = dict(wanted)
    if "phone_no" in values:
        values["phone_no"] = stored_number(conn, account, values["phone_no"], row)
    return {name: value for name, value in values.items() if not same(row[name], value)}


def refuse_deleted(conn: Reader, row: Mapping[str, Any]) -> None:
    """Raise UsageError for a tombstone, with how to restore the contact."""
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


def refuse_undeletable(conn: Reader, row: Mapping[str, Any]) -> None:
    """Raise UsageError for a contact that is deleted already, or that TeleCMI has no call to delete."""
    refuse_deleted(conn, row)
    base = contact_queries.upstream_values(conn, row["id"])
    if base is not None and base["source"] == "user_list":
        raise UsageError(
            f"contact row {row['id']} is in the user's own list only, and TeleCMI has no call to delete "
            "it there: remove it in TeleCMI; nothing was changed"
        )
