"""Maintenance of the database file while the daemon runs: old records, the write-ahead log, statistics, backups.

The mirror itself is never deleted.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from syncer import files
from syncer.config import Backup, Retention
from syncer.core.due import has_passed, lies_ahead
from syncer.core.normalise import utc_text
from syncer.errors import StoreBusyError, StoreError
from syncer.locks import Locks
from syncer.store.db import copies
from syncer.store.db.connection import Connection, Database
from syncer.store.read.metric_queries import COUNTED, FORGOTTEN
from syncer.store.write import copy_edits, outbox, runs
from syncer.sync import registry
from syncer.sync.env import Store
from syncer.sync.registry import JobSpec

T = TypeVar("T")

#: Rows that are deleted in one transaction: edits of others wait no longer than that takes.
BATCH = 500

#: How many runs of each job are always kept.
KEEP_RUNS = 100

#: A larger write-ahead log is written back and truncated while no job runs.
LARGE_WAL = 16 * 1024 * 1024

#: A larger one is reported: another program prevents it from being written back.
HUGE_WAL = 256 * 1024 * 1024

_NAME = re.compile(r"(.+)-([0-9]{8}T[0-9]{6}Z)\.db")
_STAMP = "%Y%m%dT%H%M%SZ"


# -- old records -------------------------------------------------------------------------------------


async def forget(
    store: Store, locks: Locks, retention: Retention, now: datetime, specs: Sequence[JobSpec]
) -> tuple[int, int]:
    """Delete runs, and log entries with what else is over, that are older than the config keeps them.

    Over are changes that were settled, notifications that were sent or given up, and holds that no listing needed any more; what a person decided of a
    hold stays. Gives back how many runs, and how many of the rest.

    Raises StoreError.
    """
    before = utc_text(now - retention.runs)
    known = {(spec.job, spec.account): registry.lock_name(spec) for spec in specs}
    deleted = 0
    for job, account in await store.read(_jobs_with_runs):
        # Under the job's lock: a run that ends in the meantime would overwrite the notes.
        name = known.get((job, account))
        handle = None if name is None else locks.try_acquire(name)
        if name is not None and handle is None:
            continue
        try:
            while gone := await store.write(_forget_runs, job, account, before):
                deleted += gone
        finally:
            if handle is not None:
                locks.release(handle)
    entries = 0
    before = utc_text(now - retention.log)
    for forget_some in (_forget_log, _forget_changes, _forget_holds, _forget_notifications, _forget_edits):
        while gone := await store.write(forget_some, before):
            entries += gone
    return deleted, entries


def _jobs_with_runs(conn: Connection) -> list[tuple[str, str]]:
    rows = conn.exec_driver_sql("SELECT DISTINCT job, account FROM sync_runs")
    return [(str(job), str(account)) for job, account in rows]


def _forget_runs(conn: Connection, job: str, account: str, before: str) -> int:
    """Delete one batch, and add its counts to the job's notes, so totals never decrease."""
    newest = conn.exec_driver_sql(
        "SELECT id FROM sync_runs WHERE job = ? AND account = ? ORDER BY id DESC LIMIT 1 OFFSET ?",
        (job, account, KEEP_RUNS - 1),
    ).scalar()
    if newest is None:
        return 0
    columns = ", ".join(COUNTED)
    rows = conn.exec_driver_sql(
        f"SELECT id, outcome, {columns} FROM sync_runs "  # noqa: S608 - our own column names
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


def _forget_log(conn: Connection, before: str) -> int:
    done = conn.exec_driver_sql(
        "DELETE FROM change_log WHERE seq IN (SELECT seq FROM change_log WHERE at < ? ORDER BY at LIMIT ?)",
        (before, BATCH),
    )
    return done.rowcount


def _forget_changes(conn: Connection, before: str) -> int:
    done = conn.exec_driver_sql(
        "DELETE FROM change_queue WHERE id IN (SELECT id FROM change_queue q "
        "WHERE state IN ('done', 'discarded') AND settled_at < ? "
        "AND NOT EXISTS (SELECT 1 FROM push_intents i WHERE i.change_id = q.id) LIMIT ?)",
        (before, BATCH),
    )
    return done.rowcount


def _forget_holds(conn: Connection, before: str) -> int:
    old = "SELECT id FROM held WHERE decision = 'superseded' AND decided_at < ? LIMIT ?"
    conn.exec_driver_sql(f"DELETE FROM held_rows WHERE held_id IN ({old})", (before, BATCH))  # noqa: S608 - ours
    return conn.exec_driver_sql(f"DELETE FROM held WHERE id IN ({old})", (before, BATCH)).rowcount  # noqa: S608 - ours


def _forget_notifications(conn: Connection, before: str) -> int:
    return outbox.forget_old(conn, before, BATCH)


def _forget_edits(conn: Connection, before: str) -> int:
    return copy_edits.forget_old(conn, before, BATCH)


# -- the file ----------------------------------------------------------------------------------------


def optimize(db: Database) -> None:
    """Let SQLite update the statistics of its query planner if needed."""
    db.pragma("PRAGMA analysis_limit = 400")
    db.pragma("PRAGMA optimize")


def wal_size(db: Database) -> int:
    """Bytes of the write-ahead log."""
    try:
        return db.path.with_name(f"{db.path.name}-wal").stat().st_size
    except OSError:
        return 0


def shrink_wal(db: Database) -> bool:
    """Write a large log back into the database and truncate it, if no other program prevents it.

    False if it is still large: some program keeps an old snapshot open.
    """
    if wal_size(db) <= LARGE_WAL:
        return True
    # First without waiting: while a truncating checkpoint waits for a reader, nobody can write.
    _, log, done = db.pragma("PRAGMA wal_checkpoint(PASSIVE)")[0]
    if log != done:
        return False
    with db.patience(100), contextlib.suppress(StoreBusyError):
        db.pragma("PRAGMA wal_checkpoint(TRUNCATE)")
    return wal_size(db) <= LARGE_WAL


# -- backups -----------------------------------------------------------------------------------------


def backups(folder: Path, database: Path, now: datetime) -> list[tuple[datetime, Path]]:
    """The daemon's backups of this database, oldest first.

    A backup dated in the future, by a wrong clock, counts as the oldest: its age is not known.
    """
    found = []
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            match = _NAME.fullmatch(path.name)
            if match is not None and match[1] == database.stem:
                found.append((datetime.strptime(match[2], _STAMP).replace(tzinfo=UTC), path))
    return sorted(found, key=lambda made: (not lies_ahead(made[0], now), made))


def backup_due(config: Backup, database: Path, now: datetime) -> bool:
    """Whether the newest backup is older than the config allows."""
    made = backups(config.path, database, now)
    return not made or has_passed(config.every, made[-1][0], now)


def make_backup(config: Backup, database: Path, now: datetime) -> Path:
    """Copy the database, check the copy, and delete the oldest backups. Returns the new file.

    Uses a separate connection, so it may take long. Raises StoreError, and SchemaError if the copy is damaged: then
    no older one is deleted.
    """
    try:
        files.refuse_root(config.path, "backup.path")
        os.close(files.open_folder(config.path, make=True))
    except OSError as error:
        raise StoreError(f"backups cannot be written ({error.strerror}); check backup.path") from None
    target = config.path / f"{database.stem}-{now.strftime(_STAMP)}.db"
    with Database(database, create=False, checkpoints=False) as original:
        copies.backup(original, target, checked=True)
    prune(backups(config.path, database, now), config.keep)
    return target


def prune(made: Sequence[tuple[datetime, Path]], keep: int) -> None:
    """Remove all but the newest `keep` backups."""
    for _, path in made[: max(0, len(made) - keep)]:
        with contextlib.suppress(OSError):
            path.unlink()


async def in_background(work: Callable[[], T]) -> T:
    """Run long work in a separate thread that does not delay the end of the program."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def finish(value: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(value)  # type: ignore[arg-type]  # None only where T allows it

    def run() -> None:
        value: T | None = None
        failure: BaseException | None = None
        try:
            value = work()
        except BaseException as error:  # noqa: BLE001 - raised again where it is awaited
            failure = error
        with contextlib.suppress(RuntimeError):  # the loop is closed, so nothing waits for it
            loop.call_soon_threadsafe(finish, value, failure)

    threading.Thread(target=run, name="backup", daemon=True).start()
    return await future
