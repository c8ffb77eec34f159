"""Deletes old records of what is over: runs, log entries, settled changes, superseded holds.

Each function deletes one batch and returns how many rows it deleted. The mirrors themselves are never deleted.
"""

from __future__ import annotations

import json
from typing import Any, Final

from sqlalchemy import Connection

from syncer.store.read.metric_queries import COUNTED, FORGOTTEN
from syncer.store.write import copy_edits, outbox, runs

#: Rows that are deleted in one transaction: people who edit wait no longer than that takes.
BATCH: Final = 500

#: How many runs of each job are always kept.
KEEP_RUNS: Final = 100


def jobs_with_runs(conn: Connection) -> list[tuple[str, str]]:
    """Job and account of all recorded runs."""
    rows = conn.exec_driver_sql("SELECT DISTINCT job, account FROM sync_runs")
    return [(str(job), str(account)) for job, account in rows]


def delete_runs(conn: Connection, job: str, account: str, before: str) -> int:
    """Delete runs that ended before a time, and add their counts to the job's notes, so totals never decrease."""
    newest = conn.exec_driver_sql(
        "SELECT id FROM sync_runs WHERE job = ? AND account = ? ORDER BY id DESC LIMIT 1 OFFSET ?",
        (job, account, KEEP_RUNS - 1),
    ).scalar()
    if newest is None:
        return 0
    columns = ", ".join(COUNTED)
    rows = conn.exec_driver_sql(
        f"SELECT id, outcome, {columns} FROM sync_runs "
        "WHERE job = ? AND account = ? AND id < ? AND finished_at < ? ORDER BY id LIMIT ?",
        (job, account, newest, before, BATCH),
    ).all()
    if not rows:
        return 0
    state = runs.load_job(conn, job, account)
    kept: dict[str, Any] = state.notes.setdefault(FORGOTTEN, {})
    outcomes: dict[str, int] = kept.setdefault("outcomes", {})
    for row in rows:
        for name in COUNTED:
            kept[name] = kept.get(name, 0) + getattr(row, name)
        outcome = row.outcome or "failed"
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
    runs.save_job(conn, job, account, state)
    ids = json.dumps([row.id for row in rows])
    conn.exec_driver_sql("DELETE FROM sync_runs WHERE id IN (SELECT value FROM json_each(?))", (ids,))
    return len(rows)


def delete_log(conn: Connection, before: str, limit: int) -> int:
    """Delete entries of the change log that were made before a time."""
    done = conn.exec_driver_sql(
        "DELETE FROM change_log WHERE seq IN (SELECT seq FROM change_log WHERE at < ? ORDER BY at LIMIT ?)",
        (before, limit),
    )
    return done.rowcount


def delete_changes(conn: Connection, before: str, limit: int) -> int:
    """Delete changes that were settled before a time, unless their intents are still needed as evidence."""
    done = conn.exec_driver_sql(
        "DELETE FROM change_queue WHERE id IN (SELECT id FROM change_queue q "
        "WHERE state IN ('done', 'discarded') AND settled_at < ? "
        "AND NOT EXISTS (SELECT 1 FROM push_intents i WHERE i.change_id = q.id) LIMIT ?)",
        (before, limit),
    )
    return done.rowcount


def delete_holds(conn: Connection, before: str, limit: int) -> int:
    """Delete holds that a listing ended before a time. Those that a person decided stay."""
    old = "SELECT id FROM held WHERE decision = 'superseded' AND decided_at < ? LIMIT ?"
    conn.exec_driver_sql(f"DELETE FROM held_rows WHERE held_id IN ({old})", (before, limit))
    return conn.exec_driver_sql(f"DELETE FROM held WHERE id IN ({old})", (before, limit)).rowcount


#: Everything apart from runs: `(connection, before, limit)`.
DELETE_OTHERS: Final = (
    delete_log,
    delete_changes,
    delete_holds,
    outbox.delete_old,
    copy_edits.delete_old,
)
