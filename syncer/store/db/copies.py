"""Copies of the database: making one while it is in use, and putting one in its place.

A kill at any point leaves whole files only: a copy gets its name when it is complete, and what was left behind is
cleared by the next one. Who may restore, and when, is left to the command.
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

#: The name of a copy that is not complete yet, of this version and of older ones.
_PART = re.compile(r".+\.syncer\.part-\d+(-wal|-shm|-journal)?|.+\d{8}T\d{6}Z(\.db)?\.part.*")

#: The bytes of a database file that SQLite locks: whoever has it open holds one of them
#: (https://www.sqlite.org/src/file/src/os.h, PENDING_BYTE and SHARED_SIZE).
_LOCKS_AT, _LOCKS = 0x40000000, 512


def backup(db: Database, target: Path, *, checked: bool = False) -> None:
    """Copy the database while it is in use (VACUUM INTO), never over an existing file; mode 0600.

    `checked` also looks whether the copy is sound. Raises StoreError when `target` exists or cannot be
    written, and SchemaError for a damaged copy, which is not kept.
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
            _to_disk(part)
            files.rename_new(part, target)
            _to_disk(target.parent)
    except FileExistsError:
        raise StoreError(f"{target} exists already: name a file that does not") from None
    except OSError as error:
        raise StoreError(f"{target} cannot be written: {error.strerror}") from None


def clear_parts(folder: Path) -> None:
    """Remove what killed processes left of copies that they were making in a folder."""
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if _PART.fullmatch(path.name):
                with contextlib.suppress(OSError), _locked(path, os.O_RDWR):
                    path.unlink()


@contextlib.contextmanager
def _part_of(target: Path) -> Iterator[Path]:
    """A new file next to `target` to write a copy to; locked meanwhile, and removed in the end. Raises OSError."""
    clear_parts(target.parent)
    part = target.with_name(f"{target.name}.syncer.part-{os.getpid()}")
    part.unlink(missing_ok=True)  # of another process that had our number, or put there by somebody
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
    """Hold the file locked; BlockingIOError (an OSError) when another process does."""
    handle = files.open_plain(path, flags)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def _damage(copy: Path) -> str | None:
    """What is wrong with a copy that nobody else has; None when it is sound. Raises StoreError."""
    with ReadOnlyDatabase(copy) as looking, looking.read() as conn:
        found = [str(row[0]) for row in tuples(conn, "PRAGMA integrity_check(1)")]
    return None if found == ["ok"] else found[0]


def _to_disk(path: Path) -> None:
    """VACUUM INTO leaves its file to the system's cache."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


# -- putting one in the place of the database ---------------------------------------------------------


def restore(source: Path, database: Path, group: str | None) -> Path | None:
    """Put a copy of `source` in the place of `database`; the new name of what was there, None if nothing was.

    Nothing of the old log reaches the restored file. The locks of all jobs are held by the caller. Raises
    StoreError, having changed nothing, where `source` is no sound database of ours or the old one is in use.
    """
    try:
        if database.exists() and source.samefile(database):
            raise StoreError(f"{source} is the database itself: name a backup of it")
        with _part_of(database) as part:
            _copy(source, part)
            _require_restorable(source, part)
            _to_disk(part)
            _settle(database, group)
            with _unused(database):
                return _put_in_place(part, database)
    except OSError as error:
        what = error.filename or database
        raise StoreError(
            f"{source} could not be restored ({what}: {error.strerror}); nothing was changed"
        ) from None


def _copy(source: Path, part: Path) -> None:
    """Copy a database that may have a log of its own, which belongs to it."""
    for suffix in ("", LOG):
        if not suffix or beside(source, suffix).exists():
            with beside(source, suffix).open("rb") as original, beside(part, suffix).open("wb") as copy:
                os.fchmod(copy.fileno(), 0o600)
                shutil.copyfileobj(original, copy, 1 << 20)


def _require_restorable(source: Path, part: Path) -> None:
    """Raise StoreError unless the copy is a sound database of ours, SchemaError where it is a newer version's."""
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
    """Copy the log of the old database into it, so that no log is left to move; a broken one stays as it is."""
    if database.exists():
        with contextlib.suppress(StoreError), Database(database, group=group, create=False) as old:
            old.pragma("PRAGMA wal_checkpoint(TRUNCATE)")


@contextlib.contextmanager
def _unused(database: Path) -> Iterator[None]:
    """Keep others from opening the old database; StoreBusyError when somebody has it open."""
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
    """Let the copy and the old database change places; the new name of the old one."""
    aside = free_name(database, stamp())
    for suffix in files.DATABASE_FILES[1:]:  # first: SQLite would write an old log into whatever lies there
        with contextlib.suppress(FileNotFoundError):
            beside(database, suffix).rename(beside(aside, suffix))
    there = database.exists()
    if there:
        part.rename(aside)
        files.exchange(aside, database)
    else:
        files.rename_new(part, database)
    _to_disk(database.parent)
    return aside if there else None
