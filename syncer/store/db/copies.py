"""Backs up the database while it is in use, and restores a backup.

A kill at any point leaves only complete files: a copy gets its name when it is complete, and the next copy removes
unfinished ones.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from syncer import files
from syncer.errors import SchemaError, StoreBusyError, StoreError
from syncer.store.db import revision
from syncer.store.db.connection import Database
from syncer.store.db.identity import INDEX, LOG, beside, free_name, stamp
from syncer.store.db.read_only import ReadOnlyDatabase, tuples

#: The names of unfinished copies, of this version and older ones.
_PART = re.compile(r".+\.syncer\.part-\d+(-wal|-shm|-journal)?|.+\d{8}T\d{6}Z(\.db)?\.part.*")

#: The bytes of a database file that SQLite locks: every process that has it open locks one of them
#: (https://www.sqlite.org/src/file/src/os.h, PENDING_BYTE and SHARED_SIZE).
_LOCKS_AT, _LOCKS = 0x40000000, 512


def backup(db: Database, target: Path, *, checked: bool = False) -> None:
    """Copy the database while it is in use (VACUUM INTO), never over an existing file; mode 0600.

    `checked` also checks the copy's integrity. Raises StoreError if `target` exists or cannot be written, and
    SchemaError for a damaged copy, which is deleted.
    """
    try:
        if os.path.lexists(target):
            raise FileExistsError
        with _part_of(target) as part:
            db.pragma(f"VACUUM INTO '{str(part).replace(chr(39), chr(39) * 2)}'")
            if checked and (damage := _damage(part)):
                raise SchemaError(
                    f"a backup of {db.path.name} is damaged ({damage}), and so may the database be: "
                    "run `syncer db check`; no older backup was removed"
                )
            files.to_disk(part)  # VACUUM INTO does not
            files.rename_new(part, target)
            files.to_disk(target.parent)
    except FileExistsError:
        raise StoreError(f"{target} exists already: name a file that does not") from None
    except FileNotFoundError:
        raise StoreError(f"{target} cannot be written: there is no folder {target.parent}") from None
    except OSError as error:
        raise StoreError(f"{target} cannot be written: {error.strerror}") from None


def clear_parts(folder: Path) -> None:
    """Remove unfinished copies that killed processes left in a folder."""
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if _PART.fullmatch(path.name):
                with contextlib.suppress(OSError), _locked(path, os.O_RDWR):
                    path.unlink()


@contextlib.contextmanager
def _part_of(target: Path) -> Iterator[Path]:
    """A new, locked file next to `target` to write a copy to, which is removed at the end. Raises OSError."""
    clear_parts(target.parent)
    part = target.with_name(f"{target.name}.syncer.part-{os.getpid()}")
    part.unlink(missing_ok=True)  # left by an earlier process with the same id, or created by somebody else
    os.close(files.create(part))
    try:
        with _locked(part, os.O_RDWR):
            yield part
    finally:
        for suffix in ("", LOG, INDEX):
            with contextlib.suppress(OSError):
                beside(part, suffix).unlink(missing_ok=True)


@contextlib.contextmanager
def _locked(path: Path, flags: int) -> Iterator[None]:
    """Lock the file. BlockingIOError (an OSError) if another process has the lock."""
    handle = files.open_plain(path, flags)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def _damage(copy: Path) -> str | None:
    """What is wrong with a copy, or None. Raises StoreError."""
    with ReadOnlyDatabase(copy) as looking, looking.read() as conn:
        found = [str(row[0]) for row in tuples(conn, "PRAGMA integrity_check(1)")]
    return None if found == ["ok"] else found[0]


# -- restoring


def restore(source: Path, database: Path, group: str | None) -> Path | None:
    """Replace `database` with a copy of `source`. Returns the new name of the old file, or None if there was none.

    Nothing of the old WAL reaches the restored file. The caller holds the locks of all jobs. Raises StoreError,
    without changing anything, if `source` is not an intact syncer database or the old one is in use.
    """
    try:
        if database.exists() and source.samefile(database):
            raise StoreError(f"{source} is the database itself: name a backup of it")
        with _part_of(database) as part:
            _copy(source, part)
            _require_restorable(source, part)
            files.to_disk(part)
            _settle(database, group)
            with _unused(database):
                return _put_in_place(part, database)
    except OSError as error:
        what = error.filename or database
        raise StoreError(
            f"{source} could not be restored ({what}: {error.strerror}); nothing was changed"
        ) from None


def _copy(source: Path, part: Path) -> None:
    """Copy a database together with its WAL, if it has one."""
    for suffix in ("", LOG):
        if not suffix or beside(source, suffix).exists():
            with beside(source, suffix).open("rb") as original, beside(part, suffix).open("wb") as copy:
                os.fchmod(copy.fileno(), 0o600)
                shutil.copyfileobj(original, copy, 1 << 20)


def _require_restorable(source: Path, part: Path) -> None:
    """Raise StoreError unless the copy is an intact syncer database, and SchemaError if a newer version wrote it."""
    try:
        damage = _damage(part)
        with ReadOnlyDatabase(part) as copy, copy.read() as conn:
            found = None if damage else revision.current(conn)
    except SchemaError:
        damage = "it is not a database that SQLite and syncer can read"
    if damage:
        raise StoreError(
            f"{source} is not a sound backup ({damage}): restore another one; nothing was changed"
        )
    if found is None:
        raise StoreError(f"{source} is not a database of syncer: name a backup; nothing was changed")
    if found not in revision.REVISIONS:
        raise SchemaError(
            f"{source} was written by a newer version of syncer (its schema is {found}, this version knows up to "
            f"{revision.HEAD}): upgrade syncer first; nothing was changed"
        )


def _settle(database: Path, group: str | None) -> None:
    """Copy the old database's WAL into it, so there is no WAL to move. A damaged database is left alone."""
    if database.exists():
        with contextlib.suppress(StoreError), Database(database, group=group, create=False) as old:
            old.pragma("PRAGMA wal_checkpoint(TRUNCATE)")


@contextlib.contextmanager
def _unused(database: Path) -> Iterator[None]:
    """Keep others from opening the old database. StoreBusyError if somebody has it open."""
    if not database.exists():
        yield
        return
    handle = files.open_plain(database, os.O_RDWR)
    try:
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB, _LOCKS, _LOCKS_AT)
        except OSError:
            raise StoreBusyError(
                f"the database {database.name} is open in another program, whose edits would be lost: end it first "
                f"(who has it: fuser -v {database})"
            ) from None
        yield
    finally:
        os.close(handle)


def _put_in_place(part: Path, database: Path) -> Path | None:
    """Exchange the copy and the old database. Returns the old one's new name."""
    aside = free_name(database, stamp())
    for suffix in files.DATABASE_FILES[1:]:  # first, since SQLite would copy an old WAL into the new file
        with contextlib.suppress(FileNotFoundError):
            beside(database, suffix).rename(beside(aside, suffix))
    there = database.exists()
    if there:
        part.rename(aside)
        files.exchange(aside, database)
    else:
        files.rename_new(part, database)
    files.to_disk(database.parent)
    return aside if there else None
