"""What the mirror says about itself: jobs, the queue, what is held, whether the file is sound.

Reads only; what a person decides is written by `decisions.py` and `holds.py`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, func, select, text

from syncer.core.model import State
from syncer.core.queue import OPEN
from syncer.store import triggers, views
from syncer.store.connect import Database
from syncer.store.people import Record
from syncer.store.tables import (
    change_queue,
    held,
    held_rows,
    metadata,
    set_aside,
    sync_jobs,
    sync_runs,
    telecmi_contacts,
)

#: How a row of each mirrored table is called for a person.
_NAMES = {
    "telecmi_contacts": "trim(COALESCE(first_name, '') || ' ' || COALESCE(last_name, ''))",
    "telecmi_user_contacts": "name",
    "telecmi_voicemails": "voicename",
    "smartflo_contacts": "name",
    "smartflo_contact_groups": "name",
}

#: How many findings of one kind are listed; the rest is counted.
_MOST = 10


def _records(conn: Connection, query: Any) -> list[Record]:
    return [dict(row) for row in conn.execute(query).mappings()]


# -- jobs --------------------------------------------------------------------------------------------


def jobs(conn: Connection) -> dict[tuple[str, str], Record]:
    """What is known of each job and account, with its last run that ended (`outcome`, `error`, `finished_at`).

    `running_since` is set while a later run has not ended, or was killed.
    """
    out = {(row["job"], row["account"]): row for row in _records(conn, select(sync_jobs))}
    for (job, account), row in out.items():
        query = (
            select(sync_runs)
            .where(sync_runs.c.job == job, sync_runs.c.account == account)
            .order_by(sync_runs.c.id.desc())
            .limit(2)
        )
        last = _records(conn, query)
        ended: Record = next((run for run in last if run["finished_at"] is not None), {})
        row |= {name: ended.get(name) for name in ("outcome", "error", "finished_at")}
        under_way = bool(last) and last[0]["finished_at"] is None
        row["running_since"] = last[0]["started_at"] if under_way else None
    return out


def run_times(conn: Connection, ids: Sequence[int]) -> dict[int, tuple[str, str]]:
    """By run: when it began and when it ended."""
    query = select(sync_runs.c.id, sync_runs.c.started_at, sync_runs.c.finished_at)
    rows = conn.execute(query.where(sync_runs.c.id.in_(ids), sync_runs.c.finished_at.is_not(None)))
    return {row.id: (row.started_at, row.finished_at) for row in rows}


def set_aside_counts(conn: Connection) -> list[Record]:
    """Rows that could not be understood: how many by job and account, with one reason."""
    query = select(
        set_aside.c.job,
        set_aside.c.account,
        func.count().label("rows"),
        func.min(set_aside.c.reason).label("reason"),
        func.max(set_aside.c.last_seen_at).label("last_seen_at"),
    ).group_by(set_aside.c.job, set_aside.c.account)
    return _records(conn, query)


def row_counts(conn: Connection) -> dict[str, int]:
    """By mirrored table: its living rows."""
    tables = [metadata.tables[name] for name in _NAMES]
    return {
        table.name: conn.execute(
            select(func.count()).select_from(table).where(table.c.deleted_at.is_(None))
        ).scalar_one()
        for table in tables
    }


# -- the queue ---------------------------------------------------------------------------------------


def queue_counts(conn: Connection) -> dict[str, int]:
    """How many changes stand in each state, all states named."""
    query = select(change_queue.c.state, func.count()).group_by(change_queue.c.state)
    found: dict[str, int] = dict(conn.execute(query).all())
    return {state.value: int(found.get(state.value, 0)) for state in State}


def _changes() -> Any:
    contact = telecmi_contacts.c
    name = func.trim(func.coalesce(contact.first_name, "") + " " + func.coalesce(contact.last_name, ""))
    return select(
        change_queue,
        name.label("contact_name"),
        contact.phone_no.label("contact_phone"),
        contact.deleted_at.label("contact_deleted_at"),
    ).outerjoin(telecmi_contacts, contact.id == change_queue.c.contact_row)


def list_changes(
    conn: Connection,
    accounts: Sequence[str] | None = None,
    *,
    contact: int | None = None,
    settled: bool = False,
    limit: int | None = None,
) -> list[Record]:
    """Changes, oldest first, with the contact's name: the open ones, or settled ones too.

    `contact` leaves those of one contact row. With `limit` the newest ones.
    """
    query = _changes()
    if contact is not None:
        query = query.where(change_queue.c.contact_row == contact)
    if accounts is not None:
        query = query.where(change_queue.c.account.in_(list(accounts)))
    if not settled:
        query = query.where(change_queue.c.state.in_([State(state).value for state in OPEN]))
    if limit is None:
        return _records(conn, query.order_by(change_queue.c.id))
    return _records(conn, query.order_by(change_queue.c.id.desc()).limit(limit))[::-1]


def load_change(conn: Connection, number: int) -> Record | None:
    """One change, with the contact's name; None when there is none."""
    return next(iter(_records(conn, _changes().where(change_queue.c.id == number))), None)


def queue_columns(change: Record) -> Record:
    """Of a change, the columns that `change_queue` promises."""
    promised = [c.name for c in change_queue.columns if c.name not in ("clashes", "approved", "found_by")]
    return {name: change[name] for name in promised}


def clashes_of(change: Record) -> dict[str, dict[str, str]]:
    """Of a conflict: field -> base, local, remote."""
    found: dict[str, dict[str, str]] = json.loads(change["clashes"]) if change["clashes"] else {}
    return found


# -- holds -------------------------------------------------------------------------------------------


def upstream_in_conflict(conn: Connection, contact_row: int) -> dict[str, str]:
    """By field: what upstream showed last where a conflict of the row is open; agreed on it is not."""
    query = _changes().where(change_queue.c.contact_row == contact_row, change_queue.c.state == "conflict")
    return {name: side["remote"] for one in _records(conn, query) for name, side in clashes_of(one).items()}


def list_holds(conn: Connection, *, decided: bool = False, number: int | None = None) -> list[Record]:
    """What a safety limit stopped: the open ones, decided ones too, or one of them."""
    query = select(held).order_by(held.c.id)
    if number is not None:
        query = query.where(held.c.id == number)
    elif not decided:
        query = query.where(held.c.decided_at.is_(None))
    return _records(conn, query)


def hold_rows(conn: Connection, number: int, limit: int | None = None) -> list[Record]:
    """The rows that a hold is about: `table_name`, `row_id`, `field` ("": the row itself), `name`."""
    query = select(held_rows.c.table_name, held_rows.c.row_id, held_rows.c.field)
    query = query.where(held_rows.c.held_id == number).order_by(held_rows.c.row_id, held_rows.c.field)
    rows = _records(conn, query.limit(limit) if limit is not None else query)
    for row in rows:
        name = _NAMES.get(row["table_name"])
        row["name"] = None
        if name is not None:
            statement = text(f"SELECT {name} FROM {row['table_name']} WHERE id = :id")
            row["name"] = conn.execute(statement, {"id": row["row_id"]}).scalar() or None
    return rows


# -- is the file sound? ------------------------------------------------------------------------------


def sqlite_version() -> str:
    """The version of SQLite that this Python links."""
    return sqlite3.sqlite_version


def quick_problems(db: Database) -> list[str]:
    """What a look at the file's structure finds; empty when it is sound."""
    return [str(row[0]) for row in db.pragma(f"PRAGMA quick_check({_MOST})") if row[0] != "ok"]


def guard_problems(conn: Connection) -> list[str]:
    """Tables, triggers and views that are missing or differ, and a write guard left open, in words."""
    there = set(conn.execute(text("SELECT name FROM sqlite_master WHERE type = 'table'")).scalars())
    gone = sorted(set(metadata.tables) - there)
    if gone:
        return [f"the table {name} is missing: restore a backup" for name in gone]
    out = []
    lost = triggers.missing(conn)
    if lost:
        out.append(
            f"{'1 trigger is' if len(lost) == 1 else f'{len(lost)} triggers are'} missing or altered ({', '.join(lost[:3])}{', ...' if len(lost) > 3 else ''}), "
            "so that edits may go unnoticed: `syncer db upgrade` puts them back"
        )
    query = text("SELECT name, sql FROM sqlite_master WHERE type = 'view'")
    known: dict[str, str] = dict(conn.execute(query).all())
    stale = [name for name, sql in views.expected().items() if known.get(name) != sql]
    if stale:
        out.append(f"views are missing or altered ({', '.join(stale)}): `syncer db upgrade` puts them back")
    if conn.execute(text("SELECT active FROM sync_guard WHERE id = 1")).scalar():
        out.append("the write guard stands open, so that edits go unnoticed: `syncer db upgrade` closes it")
    return out


#: Rows of these queries are findings: what is wrong, the row's number.
_SANE = {
    "the base copy of a contact row that does not exist": (
        "SELECT row_id FROM contact_base b WHERE NOT EXISTS (SELECT 1 FROM telecmi_contacts c WHERE c.id = b.row_id)"
    ),
    "a base copy that belongs to another account than its contact": (
        "SELECT row_id FROM contact_base b JOIN telecmi_contacts c ON c.id = b.row_id WHERE c.account <> b.account"
    ),
    "a base copy of an unknown source": (
        "SELECT row_id FROM contact_base WHERE source NOT IN ('directory', 'user_list', 'gone')"
    ),
    "a living contact that the directory knows, without a base copy": (
        "SELECT id FROM telecmi_contacts c WHERE contact_id IS NOT NULL AND deleted_at IS NULL "
        "AND NOT EXISTS (SELECT 1 FROM contact_base b WHERE b.row_id = c.id AND b.source <> 'gone')"
    ),
    "a base copy with another contact_id than its contact": (
        "SELECT row_id FROM contact_base b JOIN telecmi_contacts c ON c.id = b.row_id "
        "WHERE b.source = 'directory' AND b.contact_id IS NOT c.contact_id"
    ),
    "a change of a contact row that does not exist": (
        "SELECT id FROM change_queue q WHERE NOT EXISTS (SELECT 1 FROM telecmi_contacts c WHERE c.id = q.contact_row)"
    ),
    "a change in an unknown state": (
        "SELECT id FROM change_queue WHERE state NOT IN "
        "('queued', 'sending', 'unknown', 'done', 'rejected', 'conflict', 'held', 'discarded')"
    ),
}


def integrity_problems(db: Database) -> list[str]:
    """All that a full look at the database finds, in words; empty when it is sound."""
    out = [
        f"the file is damaged: {row[0]}"
        for row in db.pragma(f"PRAGMA integrity_check({_MOST})")
        if row[0] != "ok"
    ]
    if out:
        return [*out, "restore a backup, or `sqlite3 FILE .recover` into a new file"]
    orphans = db.pragma("PRAGMA foreign_key_check")
    for table, row_id, parent, _ in orphans[:_MOST]:
        out.append(f"row {row_id} of {table} points to a row of {parent} that does not exist")
    if len(orphans) > _MOST:
        out.append(f"and {len(orphans) - _MOST} more rows that point to nothing")
    with db.read() as conn:
        guards = guard_problems(conn)
        out += guards
        if any(finding.startswith("the table") for finding in guards):
            return out
        for finding, query in _SANE.items():
            ids = conn.execute(text(query)).scalars().all()
            if ids:
                listed = ", ".join(str(one) for one in ids[:_MOST])
                out.append(f"{finding}: {len(ids)} ({listed}{', ...' if len(ids) > _MOST else ''})")
    return out
