"""Forms that add, change and delete a contact, with the same rules as the commands."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from syncer.config import TelecmiAccount
from syncer.console.forms import problem
from syncer.console.visit import NotFoundError, PageRoute, Visit, redirect
from syncer.core.console import Role
from syncer.core.model import FIELDS, REQUIRED
from syncer.core.wording import upper_first
from syncer.errors import UsageError
from syncer.store.db.connection import Database
from syncer.store.db.read_only import Reader, Record
from syncer.store.read import contact_queries, people
from syncer.store.write import actors, edits
from syncer.store.write.contacts import fill_phones
from syncer.sync import editing
from syncer.sync.editing import NumberError, TakenError

#: The labels of the six fields, in the order of the form.
LABELS = {
    "first_name": "First name",
    "last_name": "Last name",
    "phone_no": "Phone number",
    "email_id": "Email",
    "company": "Company",
    "job_title": "Job title",
}


class ChangedError(UsageError):
    """Somebody else changed the same fields since the form was shown."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        self.fields = fields
        super().__init__("somebody changed the same field meanwhile")


async def new(visit: Visit) -> Response:
    """An empty form, with `phone_no` from the query filled in."""
    return await _form(visit, typed={"phone_no": visit.query("phone_no", 60)})


async def add(visit: Visit) -> Response:
    """Add a contact."""
    typed = {name: visit.form.get(name, "") for name in FIELDS}
    account = _account(visit)
    errors = _errors(typed)
    if account is None:
        errors["account"] = "Choose the account that gets the contact."
    if errors or account is None:
        return await _form(visit, 422, typed=typed, errors=errors)

    def write(db: Database) -> int:
        with db.edit() as conn, actors.acting(conn, visit.who.name):
            stored = typed | {"phone_no": editing.stored_number(conn, account, typed["phone_no"])}
            row_id = edits.add_contact(conn, account.name, stored)
        with db.write() as conn:
            fill_phones(conn, account.name, account.region)
        return row_id

    try:
        row_id = await visit.work.write(write)
    except UsageError as error:
        return await _refused(visit, error, typed)
    return redirect(f"/contacts/{row_id}", said="added")


async def edit(visit: Visit) -> Response:
    """The form of a contact. A deleted one redirects to its page."""
    row_id = visit.row_id()
    row = await visit.work.read(lambda conn: load_contact(conn, row_id))
    return redirect(f"/contacts/{row_id}") if row["deleted_at"] else await _form(visit, row_id=row_id)


async def save(visit: Visit) -> Response:
    """Save the fields that differ from what the form showed."""
    row_id = visit.row_id()
    typed = {name: visit.form[name] for name in FIELDS if name in visit.form}
    # A field that was not touched keeps its current value, which may have changed since the form was shown.
    was = {name: _shown(visit.form[f"was_{name}"]) for name in FIELDS if f"was_{name}" in visit.form}
    wanted = {name: value for name, value in typed.items() if was.get(name) != value}
    touched = {name: text for name, text in was.items() if name in wanted}
    errors = _errors(wanted)
    if errors:
        return await _form(visit, 422, row_id=row_id, typed=wanted, was=touched, errors=errors)

    def write(db: Database) -> bool:
        with db.edit() as conn, actors.acting(conn, visit.who.name):
            row = load_contact(conn, row_id)
            account = next((one for one in visit.settings.telecmi if one.name == row["account"]), None)
            if account is None:
                raise UsageError("the account of this contact is not in the config, so no edit goes upstream")
            editing.refuse_deleted(conn, row)
            _refuse_stale(touched, row, wanted)
            differing = {name: value for name, value in wanted.items() if value != _shown(row[name])}
            changed = editing.changes(conn, account, row, differing)
            if changed:
                edits.edit_contact(conn, row_id, changed)
        if changed:
            with db.write() as conn:
                fill_phones(conn, account.name, account.region)
        return bool(changed)

    try:
        changed = await visit.work.write(write)
    except UsageError as error:
        return await _refused(visit, error, wanted, row_id, touched)
    return redirect(f"/contacts/{row_id}", said="saved" if changed else "same")


async def delete(visit: Visit) -> Response:
    """Delete a contact."""
    row_id = visit.row_id()

    def write(db: Database) -> None:
        with db.edit() as conn, actors.acting(conn, visit.who.name):
            row = load_contact(conn, row_id)
            editing.refuse_undeletable(conn, row)
            edits.delete_contact(conn, row_id)

    try:
        await visit.work.write(write)
    except UsageError as error:
        return await _refused(visit, error, {}, row_id)
    return redirect("/contacts", said="deleted")


# -- validation ------------------------------------------------------------------------------------------


def _errors(typed: Mapping[str, str]) -> dict[str, str]:
    """Field -> what is wrong with it."""
    found = {}
    for name, value in typed.items():
        if not value and name in REQUIRED:
            found[name] = f"Write the {LABELS[name].lower()}: the vendor takes no contact without it."
        elif text := problem(value):
            found[name] = text
    return found


def _refuse_stale(was: Mapping[str, str], row: Record, wanted: Mapping[str, str]) -> None:
    """Raises ChangedError for a field whose stored value is not what the form showed."""
    stale = {
        name: str(row[name] or "")
        for name, value in wanted.items()
        if name in was and _shown(row[name]) not in (was[name], value)
    }
    if stale:
        raise ChangedError(stale)


def _shown(value: str | None) -> str:
    """A stored value as the form shows it: a single-line field cannot contain line breaks."""
    return re.sub(r"[\r\n]+", " ", value or "").strip()


def load_contact(conn: Reader, row_id: int) -> Record:
    """A contact of TeleCMI's directory; raises NotFoundError."""
    row = contact_queries.load_contact(conn, row_id)
    if row is None:
        raise NotFoundError(f"There is no contact with the row id {row_id}.")
    return row


def _accounts(visit: Visit) -> list[TelecmiAccount]:
    return [one for one in visit.settings.telecmi if one.contacts.enabled]


def _account(visit: Visit) -> TelecmiAccount | None:
    """The account for a new contact: the chosen one, or the only one."""
    accounts = _accounts(visit)
    chosen = visit.form.get("account", "")
    if not chosen and len(accounts) == 1:
        return accounts[0]
    return next((one for one in accounts if one.name == chosen), None)


# -- the form --------------------------------------------------------------------------------------------


async def _refused(
    visit: Visit,
    error: UsageError,
    typed: Mapping[str, str],
    row_id: int | None = None,
    was: Mapping[str, str] | None = None,
) -> Response:
    """The form again, with what was typed and the reason of the refusal."""
    match error:
        case ChangedError(fields=fields):
            texts = {name: f"Somebody changed this meanwhile to “{now}”." for name, now in fields.items()}
            rest = {name: text for name, text in (was or {}).items() if name not in fields}
            return await _form(visit, 409, row_id=row_id, typed=typed, was=rest, errors=texts)
        case TakenError(holders=holders):
            name = people.of_contact(holders[0]).name or "one without a name"
            found = {"phone_no": f"Another contact has this number already: {name}."}
            return await _form(
                visit, 422, row_id=row_id, typed=typed, was=was, errors=found, taken=holders[0]["id"]
            )
        case NumberError():
            found = {"phone_no": f"This number {str(error).removeprefix('the phone number ')}."}
            return await _form(visit, 422, row_id=row_id, typed=typed, was=was, errors=found)
    text = str(error).partition(": `")[0]
    return await _form(visit, 409, row_id=row_id, typed=typed, was=was, error=f"{upper_first(text)}.")


async def _form(
    visit: Visit,
    status: int = 200,
    *,
    row_id: int | None = None,
    typed: Mapping[str, str] | None = None,
    was: Mapping[str, str] | None = None,
    errors: Mapping[str, str] | None = None,
    error: str = "",
    taken: int | None = None,
) -> Response:
    """The form. `typed` are the fields that the reader changed, and `was` what they changed, if not the current values."""

    def read(conn: Reader) -> dict[str, Any]:
        row = None if row_id is None else load_contact(conn, row_id)
        now = {name: _shown((row or {}).get(name)) for name in FIELDS}
        return {"contact": row, "was": now | dict(was or {}), "values": now | dict(typed or {})}

    return await visit.show(
        "contact_form.html",
        read,
        status,
        labels=LABELS,
        required=REQUIRED,
        errors=errors or {},
        error=error,
        taken=taken,
        accounts=[one.name for one in _accounts(visit)],
        chosen=visit.form.get("account", ""),
    )


PAGES = (
    PageRoute("GET", "/contacts/new", new, Role.EDIT),
    PageRoute("POST", "/contacts/new", add, Role.EDIT),
    PageRoute("GET", "/contacts/{id}/edit", edit, Role.EDIT),
    PageRoute("POST", "/contacts/{id}", save, Role.EDIT),
    PageRoute("POST", "/contacts/{id}/delete", delete, Role.EDIT),
)
