"""Queries for jobs, the queue and holds."""

from __future__ import annotations

import json
from collections.abc import Sequence

from syncer.core.model import State
from syncer.store.db.call_sql import FULL_NAME
from syncer.store.db.columns import COLUMNS, OPEN_STATES, columns
from syncer.store.db.mirrors import MIRRORS
from syncer.store.db.read_only import (
    QueryPage,
    Reader,
    Record,
    first,
    page,
    placeholders,
    record,
    records,
    tuples,
)

# -- jobs --------------------------------------------------------------------------------------------


def jobs(conn: Reader) -> dict[tuple[str, str], Record]:
    """The state of each job and account, with its last finished run (`outcome`, `error`, `finished_at`).

    `age_s`, `stale` and `paused_until` come from the view `sync_health`. `running_since` is set while a later run has not
    ended, also if it was killed.
    """
    query = (
        f"SELECT {columns('sync_jobs', 'j', ('paused_until',))}, h.age_s, h.stale, h.paused_until "
        "FROM sync_jobs j LEFT JOIN sync_health h ON h.job = j.job AND h.account = j.account"
    )
    out = {(row["job"], row["account"]): row for row in records(conn, query)}
    for key, row in out.items():
        last = records(
            conn,
            "SELECT started_at, finished_at, outcome, error FROM sync_runs WHERE job = ? AND account = ? "
            "ORDER BY id DESC LIMIT 2",
            *key,
        )
        ended: Record = next((run for run in last if run["finished_at"] is not None), {})
        row |= {name: ended.get(name) for name in ("outcome", "error", "finished_at")}
        under_way = bool(last) and last[0]["finished_at"] is None
        row["running_since"] = last[0]["started_at"] if under_way else None
    return out


def set_aside_counts(conn: Reader) -> list[Record]:
    """Rows that could not be parsed: their number by job and account, and one of the reasons."""
    return records(
        conn,
        "SELECT job, account, count(*) AS rows, min(reason) AS reason, max(last_seen_at) AS last_seen_at "
        "FROM set_aside GROUP BY job, account",
    )


def row_counts(conn: Reader) -> dict[str, int]:
    """Mirrored table -> number of live rows."""
    return {name: first(conn, f"SELECT count(*) FROM {name} WHERE deleted_at IS NULL") for name in MIRRORS}


# -- the queue ---------------------------------------------------------------------------------------


def queue_counts(conn: Reader) -> dict[str, int]:
    """State -> number of changes, for all states."""
    found = dict(tuples(conn, "SELECT state, count(*) FROM change_queue GROUP BY state"))
    return {state.value: int(found.get(state.value, 0)) for state in State}


_CHANGE = (
    f"SELECT {columns('change_queue', 'q')}, "
    f"{FULL_NAME.format('c')} AS contact_name, "
    "c.phone_no AS contact_phone, c.deleted_at AS contact_deleted_at"
)
_CHANGES = "FROM change_queue q LEFT JOIN telecmi_contacts c ON c.id = q.contact_row"


def list_changes(
    conn: Reader,
    accounts: Sequence[str] | None = None,
    *,
    contact: int | None = None,
    settled: bool = False,
    limit: int | None = None,
) -> QueryPage:
    """Open changes, oldest first, with the contact's name. `settled` adds settled ones.

    `contact` selects one contact row. `limit` selects the newest ones.
    """
    where, values = ["1"], list[object]()
    if contact is not None:
        where.append("q.contact_row = ?")
        values.append(contact)
    if accounts is not None:
        where.append(f"q.account IN ({placeholders(accounts)})")
        values += accounts
    if not settled:
        where.append(f"q.state IN ({OPEN_STATES})")
    found = page(conn, _CHANGE, f"{_CHANGES} WHERE {' AND '.join(where)}", "q.id DESC", values, limit)
    found.reverse()
    return found


def load_change(conn: Reader, number: int) -> Record | None:
    """One change, with the contact's name."""
    return record(conn, f"{_CHANGE} {_CHANGES} WHERE q.id = ?", number)


#: The documented columns of `change_queue`.
QUEUE_COLUMNS = tuple(
    n for n in COLUMNS["change_queue"] if n not in ("clashes", "approved", "found_by", "decided_by")
)


def queue_columns(change: Record) -> Record:
    """The documented columns of a change."""
    return {name: change[name] for name in QUEUE_COLUMNS}


def clashes_of(change: Record) -> dict[str, dict[str, str]]:
    """The fields of a conflict: field -> base, local, remote."""
    found: dict[str, dict[str, str]] = json.loads(change["clashes"]) if change["clashes"] else {}
    return found


def upstream_in_conflict(conn: Reader, contact_row: int) -> dict[str, str]:
    """Field in an open conflict of the row -> what upstream last showed. Base does not have these values."""
    query = "SELECT clashes FROM change_queue WHERE contact_row = ? AND state = 'conflict'"
    found = records(conn, query, contact_row)
    return {name: side["remote"] for one in found for name, side in clashes_of(one).items()}


# -- holds -------------------------------------------------------------------------------------------


def list_holds(conn: Reader, *, decided: bool = False, number: int | None = None) -> list[Record]:
    """Open holds. `decided` adds decided ones, `number` selects a single one."""
    query = f"SELECT {columns('held')} FROM held"
    if number is not None:
        return records(conn, f"{query} WHERE id = ?", number)
    return records(conn, f"{query}{'' if decided else ' WHERE decided_at IS NULL'} ORDER BY id")


def hold_rows(conn: Reader, number: int, limit: int | None = None) -> list[Record]:
    """The rows of a hold: `table_name`, `row_id`, `field` ("" means the whole row), `name`."""
    query = "SELECT table_name, row_id, field FROM held_rows WHERE held_id = ? ORDER BY row_id, field LIMIT ?"
    rows = records(conn, query, number, -1 if limit is None else limit)
    for row in rows:
        row["name"] = name_of(conn, row["table_name"], row["row_id"])
    return rows


def name_of(conn: Reader, table: str, row_id: int) -> str | None:
    """The name of a row for people, or None."""
    if table not in MIRRORS:
        return None
    return first(conn, f"SELECT {MIRRORS[table].label} FROM {table} WHERE id = ?", row_id) or None
