"""Applies edits that people made in a published copy, and records the outcome of each in the same transaction.

`core/copy_edits` decides what is written. The triggers handle it like any edit.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from syncer.core.copy_edits import CopyEdit, Decision, Target, account_of, decide
from syncer.core.model import FIELDS
from syncer.core.normalise import to_e164
from syncer.store.db.read_only import AreForgotten, first, raw, records, tuples
from syncer.store.read import contact_queries
from syncer.store.write import actors, edits


@dataclass(frozen=True, slots=True)
class EditOutcome:
    """The outcome of an edit."""

    id: int
    state: str  #: `taken` or `refused`
    contact_row: int | None
    change_id: int | None
    note: str | None


def apply(
    conn: Connection,
    given: Iterable[CopyEdit],
    target: str,
    regions: Mapping[str, str],
    forgotten: AreForgotten,
    at: str,
    *,
    replaced: bool = False,
) -> list[EditOutcome]:
    """Apply edits within a transaction of `Database.edit`. One that was applied before gets the same answer again.

    `replaced`: the rows of contacts may have other ids than when the edits were written.
    """
    answers = []
    with actors.acting(conn, f"publish.{target}"):
        for edit in given:
            answer = _known(conn, edit)
            if answer is None:
                answer = _apply(conn, edit, regions, forgotten, replaced=replaced)
                _record(conn, edit, target, answer, at)
            answers.append(answer)
    return answers


def _known(conn: Connection, edit: CopyEdit) -> EditOutcome | None:
    query = "SELECT state, contact_row, change_id, note FROM published_edits WHERE request = ?"
    return next((EditOutcome(edit.id, *row) for row in tuples(conn, query, edit.request)), None)


def _record(conn: Connection, edit: CopyEdit, target: str, answer: EditOutcome, at: str) -> None:
    values = (edit.request, target, answer.state, answer.contact_row, answer.change_id, answer.note, at)
    with edits.as_program(conn):
        raw(conn).execute(
            "INSERT INTO published_edits (request, target, state, contact_row, change_id, note, taken_at) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            values,
        )


def _apply(
    conn: Connection,
    edit: CopyEdit,
    regions: Mapping[str, str],
    forgotten: AreForgotten,
    *,
    replaced: bool,
) -> EditOutcome:
    contact = None if edit.action == "add" else _target(conn, edit)
    account = account_of(edit, regions, contact)
    region = regions.get(account or "", "IN")
    e164 = to_e164(edit.given.get("phone_no"), region)
    row_id = contact.id if contact else None
    holder = None
    if account and e164:
        holders = contact_queries.holders(conn, account, e164, region, but=row_id)
        holder = holders[0]["id"] if holders else None
    known = bool(forgotten(conn, [e164]))
    decision = decide(edit, regions, contact, holder, known, replaced=replaced)
    if decision.refusal:
        return EditOutcome(edit.id, "refused", row_id, None, decision.refusal)
    try:
        with conn.begin_nested():  # an edit is several statements, and the last may be refused
            row_id, note = _write(conn, edit, decision, contact)
    except sqlite3.IntegrityError as error:  # by a trigger; the transaction goes on
        return EditOutcome(edit.id, "refused", row_id, None, str(error))
    return EditOutcome(edit.id, "taken", row_id, None if note else _change(conn, row_id), note)


def _write(
    conn: Connection, edit: CopyEdit, decision: Decision, contact: Target | None
) -> tuple[int, str | None]:
    """Write an edit. Returns the contact's row, and a note if there was nothing to write."""
    if contact is None:
        row_id = edits.add_contact(conn, decision.account, decision.fields)
    elif edit.action == "delete":
        edits.delete_contact(conn, contact.id)
        return contact.id, None
    elif not decision.fields:
        return contact.id, "it has these values already"
    else:
        row_id = contact.id
        edits.edit_contact(conn, row_id, decision.fields)
    if number := decision.fields.get("phone_no"):
        edits.set_numbers(conn, [(f"+{number}", row_id)])
    return row_id, None


def _target(conn: Connection, edit: CopyEdit) -> Target | None:
    """The contact that an edit names; None if there is none, or more than one."""
    where, values = "c.id = ?", list[object]([edit.contact_row])
    if edit.contact_row is None:
        where, values = "c.contact_id = ?", [edit.contact_id]
        if edit.account is not None:
            where, values = f"{where} AND c.account = ?", [*values, edit.account]
    found = records(
        conn,
        "SELECT c.*, b.source FROM telecmi_contacts c LEFT JOIN contact_base b ON b.row_id = c.id "
        f"WHERE {where} LIMIT 2",
        *values,
    )
    if len(found) != 1:
        return None
    (row,) = found
    return Target(
        row["id"],
        row["account"],
        row["contact_id"],
        row["deleted_at"] is not None,
        row["source"] == "user_list",
        {name: row[name] for name in FIELDS},
    )


def _change(conn: Connection, row_id: int) -> int | None:
    query = "SELECT max(id) FROM change_queue WHERE contact_row = ? AND state NOT IN ('done', 'discarded')"
    change: int | None = first(conn, query, row_id)
    return change


def delete_old(conn: Connection, before: str, most: int) -> int:
    """Delete at most `most` outcomes that are older than a time. Returns how many."""
    done = raw(conn).execute(
        "DELETE FROM published_edits WHERE request IN "
        "(SELECT request FROM published_edits WHERE taken_at < ? LIMIT ?)",
        (before, most),
    )
    return done.rowcount
