"""Writes the rows that an import plans as a person's edits, and records which entries of the log they made.

`core/import_plan.py` decides what happens to each row.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import assert_never

from sqlalchemy import Connection

from syncer.core.import_plan import PlannedRow, Verdict
from syncer.core.undo import Undo
from syncer.store.db.read_only import raw
from syncer.store.read.feed import last_seq
from syncer.store.write import edits


@dataclass(slots=True)
class Batch:
    """One import, and how far it has got. Its row is inserted with its first edit."""

    file_name: str
    format: str
    by: str
    created_at: str
    id: int | None = None
    added: int = 0
    updated: int = 0


def apply(conn: Connection, batch: Batch, plan: Iterable[tuple[str, PlannedRow]]) -> list[PlannedRow]:
    """Write planned rows, each with its account, within one transaction of `Database.edit`.

    Returns the rows, with the ids of the contacts that were added.
    """
    start = last_seq(conn)
    done, numbers = [], []
    added = updated = 0
    for account, planned in plan:
        match planned.verdict:
            case Verdict.ADD:
                row_id = edits.add_contact(conn, account, planned.fields)
                numbers.append((f"+{planned.fields['phone_no']}", row_id))
                added += 1
                done.append(replace(planned, contact=row_id))
            case Verdict.UPDATE:
                assert planned.contact is not None
                edits.edit_contact(conn, planned.contact, planned.fields)
                updated += 1
                done.append(planned)
            case _:
                done.append(planned)
    if added or updated:
        _record(conn, batch, start, added, updated, numbers)
    return done


def _record(
    conn: Connection, batch: Batch, start: int, added: int, updated: int, numbers: list[tuple[str, int]]
) -> None:
    """Record which entries of the log these edits made: all after `start`, since nobody else writes meanwhile."""
    driver = raw(conn)
    end = last_seq(conn)
    edits.set_numbers(conn, numbers)
    with edits.as_program(conn):
        driver.execute("UPDATE change_log SET actor = ? WHERE seq > ?", (batch.by, start))
        if batch.id is None:
            inserted = driver.execute(
                'INSERT INTO import_batches (file_name, format, "by", created_at) VALUES (?, ?, ?, ?)',
                (batch.file_name, batch.format, batch.by, batch.created_at),
            )
            batch.id = inserted.lastrowid
        counts = "UPDATE import_batches SET added = added + ?, updated = updated + ? WHERE id = ?"
        driver.execute(counts, (added, updated, batch.id))
        extend = "UPDATE import_spans SET last_seq = ? WHERE batch = ? AND last_seq = ?"
        if driver.execute(extend, (end, batch.id, start)).rowcount == 0:
            driver.execute("INSERT INTO import_spans VALUES (?, ?, ?)", (batch.id, start + 1, end))
    batch.added += added
    batch.updated += updated


def finish(conn: Connection, batch: Batch, at: str) -> None:
    """Record that all of a batch is written, within `Database.write`."""
    raw(conn).execute("UPDATE import_batches SET finished_at = ? WHERE id = ?", (at, batch.id))


def take_back(conn: Connection, one: Undo) -> None:
    """Undo the edits of a contact, as a person would."""
    match one.action:
        case "restore":
            edits.edit_contact(conn, one.contact, one.fields)
        case "bring back":
            edits.restore_contact(conn, one.contact)
            if one.fields:
                edits.edit_contact(conn, one.contact, one.fields)
        case "delete":
            edits.delete_contact(conn, one.contact)
        case "keep" | "nothing":
            pass
        case unreachable:
            assert_never(unreachable)


def set_undone(conn: Connection, batch: int, at: str) -> None:
    """Record that a batch was undone, within `Database.write`."""
    raw(conn).execute("UPDATE import_batches SET undone_at = ? WHERE id = ?", (at, batch))
