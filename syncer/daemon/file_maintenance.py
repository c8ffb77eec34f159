"""Maintains the database file while the daemon runs: old records, the write-ahead log, statistics, backups.

Mirrored rows are never deleted.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import os
import re
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from syncer import files
from syncer.config import Backup, Retention
from syncer.core.due import has_passed, lies_ahead
from syncer.core.normalise import utc_text
from syncer.errors import StoreBusyError, StoreError
from syncer.locks import Locks
from syncer.store.db import copies
from syncer.store.db.connection import Database
from syncer.store.write import old_records
from syncer.sync.env import Store
from syncer.sync.registry import lock_name

T = TypeVar("T")

#: A larger write-ahead log is written back and truncated while no job runs.
LARGE_WAL = 16 * 1024 * 1024

#: A larger one is reported: another program prevents it from being written back.
HUGE_WAL = 256 * 1024 * 1024

_NAME = re.compile(r"(.+)-([0-9]{8}T[0-9]{6}Z)\.db")
_STAMP = "%Y%m%dT%H%M%SZ"


# -- old records -------------------------------------------------------------------------------------


async def delete_old_records(
    store: Store, locks: Locks, retention: Retention, now: datetime
) -> tuple[int, int]:
    """Delete runs, log entries and other finished records that are older than the config keeps them.

    Returns how many runs and how many other records were deleted. Raises StoreError.
    """
    deleted = 0
    for job, account in await store.read(old_records.jobs_with_runs):
        # Under the job's lock: a run that ends in the meantime would overwrite the notes.
        handle = locks.try_acquire(lock_name(job, account))
        if handle is None:
            continue
        try:
            while gone := await store.write(
                old_records.delete_runs, job, account, utc_text(now - retention.runs)
            ):
                deleted += gone
        finally:
            locks.release(handle)
    others = 0
    for delete in old_records.DELETE_OTHERS:
        while gone := await store.write(delete, utc_text(now - retention.log), old_records.BATCH):
            others += gone
    return deleted, others


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
    """Write the log back into the database and truncate it, if no other program prevents it.

    False if it is still large: some program keeps an old snapshot open.
    """
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
    """Run long work in a thread of its own, which does not delay the end of the program."""
    future: concurrent.futures.Future[T] = concurrent.futures.Future()
    future.set_running_or_notify_cancel()  # from now on it cannot be cancelled, only abandoned

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised again where it is awaited
            future.set_exception(error)

    threading.Thread(target=run, name="backup", daemon=True).start()
    return await asyncio.wrap_future(future)
