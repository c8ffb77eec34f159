"""Checks that a database, its log (`-wal`) and the log's index (`-shm`) still belong together.

SQLite uses any `-wal` next to a file. If a backup is moved or copied over a database that is in use, or that a killed
process left, SQLite would write the old log into the backup and destroy it. So a connection watches its three files,
and `RECORD` says which file the log belongs to after the process has ended.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from syncer import files

LOG, INDEX = "-wal", "-shm"

#: The file, in the folder of the locks, that says which database file the log belongs to.
RECORD = "open-files"

#: Sizes in bytes of SQLite's headers: of a database, of a log, of a page in the log (sqlite.org/fileformat2.html).
_DATABASE_HEADER, _LOG_HEADER, _FRAME_HEADER = 100, 32, 24

#: The first salt of a log is random in a new log and increases by one whenever the log is restarted.
_MOST_RESTARTS = 1 << 24

#: How many connections of this process use each database.
in_use: Counter[Path] = Counter()


@dataclass(frozen=True, slots=True)
class Header:
    """Values from the first page of a database file."""

    counter: int  #: increases with each connection that writes
    schema: int  #: increases with each change of the schema; differs in a copy by VACUUM or `.backup`

    def may_follow(self, earlier: Header) -> bool:
        """Whether a file that had the values `earlier` can have these now."""
        return self.counter >= earlier.counter and self.schema == earlier.schema


def _header(page: bytes) -> Header | None:
    if len(page) < _DATABASE_HEADER:
        return None
    return Header(int.from_bytes(page[24:28]), int.from_bytes(page[40:44]))


def beside(path: Path, suffix: str) -> Path:
    """The log of a database, or the log's index."""
    return path.with_name(path.name + suffix)


def _number(path: Path) -> int:
    """The inode, or 0 if there is no file. OSError if it cannot be read now."""
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return 0


class OpenFiles:
    """The three files that one open connection has."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._numbers = {suffix: _number(beside(path, suffix)) for suffix in ("", LOG, INDEX)}
        self._device = path.stat().st_dev if self._numbers[""] else 0
        # Reads through SQLite's own descriptors. Opening and closing another one would release all locks that
        # this process has on the file (POSIX).
        self._handles = {s: _descriptor(self._device, number) for s, number in self._numbers.items()}
        self._known: Header | None = None
        self._known = self._header()
        self._noted = b""

    def lost(self, schema_version: int | None = None) -> str:
        """Which of them was replaced: `database`, `log`, or "" if none, or if they cannot be read now.

        A file that was overwritten in place is recognized by its header. `schema_version` is the version that
        SQLite has read, which explains a newer one.
        """
        try:
            changed = {s for s, number in self._numbers.items() if _number(beside(self._path, s)) != number}
        except OSError:
            return ""
        header = self._header()
        if "" in changed or (header is None and self._known is not None):
            return "database"
        if header is not None and self._known is not None:
            expected = self._known if schema_version is None else Header(self._known.counter, schema_version)
            if not (header.may_follow(self._known) or header.may_follow(expected)):
                return "database"
        if changed:
            return "log"
        self._known = header
        return ""

    def in_place(self) -> bool:
        """Whether the file at the path is still the one that the connection has open."""
        with contextlib.suppress(OSError):
            return _number(self._path) == self._numbers[""]
        return True

    def has(self, suffix: str) -> bool:
        """Whether the file at the path is still our log (or index)."""
        return _number(beside(self._path, suffix)) == self._numbers[suffix] != 0

    def log_is_gone(self) -> bool:
        """Whether there is no log by this name now."""
        return not beside(self._path, LOG).exists()

    def put_log_aside(self) -> list[Path]:
        """Rename the log and its index if they are still ours. Returns their new names."""
        return _put_aside(self._path, [suffix for suffix in (LOG, INDEX) if self.has(suffix)])

    def save_log(self) -> Path | None:
        """Copy a log that was removed while it was in use; None if it is empty."""
        handle = self._handle(LOG)
        if handle is None or os.fstat(handle).st_size <= _LOG_HEADER:
            return None
        target = free_name(beside(self._path, LOG), stamp())
        with open(handle, "rb", closefd=False) as source, os.fdopen(files.create(target), "wb") as copy:
            at = 0
            while chunk := os.pread(source.fileno(), 1 << 20, at):
                at += copy.write(chunk)
        return target

    def note(self) -> None:
        """Record which file the log belongs to, if that has changed. A failure is ignored."""
        handle = self._handle(LOG)
        if self._known is None or handle is None:
            return
        log_header = os.pread(handle, _LOG_HEADER, 0)
        owner = _Owner(
            self._numbers[""], self._known.counter, self._known.schema, self._numbers[LOG], _salt(log_header)
        )
        line = owner.as_line()
        if line != self._noted:
            with contextlib.suppress(OSError), _record(self._path, os.O_RDWR | os.O_CREAT) as record:
                os.pwrite(record, line, 0)
                self._noted = line

    def forget_log(self) -> None:
        """The connection is closed. If the log was removed with it, the record is removed as well."""
        if self.log_is_gone():
            with contextlib.suppress(OSError), _record(self._path, os.O_RDWR) as record:
                os.ftruncate(record, 0)

    def _header(self) -> Header | None:
        if self._handles[""] is None:
            return None
        handle = self._handle("")
        return self._known if handle is None else _header(os.pread(handle, _DATABASE_HEADER, 0))

    def _handle(self, suffix: str) -> int | None:
        """The descriptor of one of the files; None if another connection of this process has closed it."""
        handle = self._handles[suffix]
        open_ = handle is not None and _is_file(handle, self._device, self._numbers[suffix])
        return handle if open_ else None


def _is_file(handle: int, device: int, number: int) -> bool:
    """Whether a descriptor is for this file. Inodes are unique only within a device."""
    try:
        found = os.fstat(handle)
    except OSError:
        return False
    return (found.st_dev, found.st_ino) == (device, number)


def _descriptor(device: int, number: int) -> int | None:
    """A descriptor of this process for that file."""
    handles = [int(name.name) for name in Path("/dev/fd").iterdir()] if number else []
    return next((handle for handle in handles if _is_file(handle, device, number)), None)


# -- after a kill ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Owner:
    """Which file a log belongs to."""

    database: int  #: inode
    counter: int
    schema: int
    log: int  #: inode
    salt: int | None  #: None while the log is empty

    def as_line(self) -> bytes:
        # Always of the same length, so it is never written partly.
        return json.dumps(asdict(self)).ljust(200).encode() + b"\n"


def _salt(log_header: bytes) -> int | None:
    return int.from_bytes(log_header[16:20]) if len(log_header) == _LOG_HEADER else None


@contextlib.contextmanager
def _record(path: Path, flags: int) -> Iterator[int]:
    """The record, opened and locked. OSError if it does not exist and cannot be created."""
    folder = files.open_folder(path.with_name(f"{path.name}.locks"))
    try:
        handle = files.open_plain(RECORD, flags, folder=folder)
        with files.closed_on_error(handle):
            files.share(handle, folder)
    finally:
        os.close(folder)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield handle
    finally:
        os.close(handle)


def put_foreign_log_aside(path: Path) -> list[Path]:
    """Before the first connection of this process: rename a log that belongs to another file. Returns the new names.

    If nothing is known about the log, SQLite decides.
    """
    if in_use[path]:
        return []  # that connection watches it, and closing the file here would release its locks
    log = beside(path, LOG)
    with contextlib.suppress(OSError, ValueError, TypeError):
        if log.stat().st_size <= _LOG_HEADER:
            return []
        with _record(path, os.O_RDONLY) as record:
            owner = _Owner(**json.loads(os.pread(record, 1000, 0)))
            if not _is_log_of(log, owner) or _owns(path, owner, log):
                return []
            moved = _put_aside(path, [LOG, INDEX])
            names = " and ".join(one.name for one in moved)
            text = (
                f"the database {path.name} was replaced after the process that used it was killed: "
                f"the old log does not belong to the new file and was put aside as {names}"
            )
            import logging  # imported late: most commands log nothing

            logging.getLogger(__name__).error(text)
            return moved
    return []


def _is_log_of(log: Path, owner: _Owner) -> bool:
    """Whether this is the log in the record."""
    salt = _salt(_begin(log, _LOG_HEADER))
    if salt is None or log.stat().st_ino != owner.log:
        return False
    return owner.salt is None or (salt - owner.salt) % (1 << 32) < _MOST_RESTARTS


def _owns(path: Path, owner: _Owner, log: Path) -> bool:
    """Whether the log was written for this file."""
    page = _begin(path, _DATABASE_HEADER)
    header = _header(page)
    if header is None or path.stat().st_ino != owner.database:
        return False
    return header.may_follow(Header(owner.counter, owner.schema)) or page[24:96] in _first_pages(log)


def _begin(path: Path, size: int) -> bytes:
    with path.open("rb") as file:
        return file.read(size)


def _first_pages(log: Path) -> Iterator[bytes]:
    """The first page in the log: a change of the schema in the file may have been copied from it."""
    with log.open("rb") as file:
        page_size = int.from_bytes(file.read(_LOG_HEADER)[8:12])
        while len(frame := file.read(_FRAME_HEADER)) == _FRAME_HEADER:
            page = file.read(page_size)
            if int.from_bytes(frame[:4]) == 1:
                yield page[24:96]


def _put_aside(path: Path, suffixes: list[str]) -> list[Path]:
    now, moved = stamp(), []
    for suffix in suffixes:
        source = beside(path, suffix)
        target = free_name(source, now)
        with contextlib.suppress(FileNotFoundError):
            source.rename(target)
            moved.append(target)
    return moved


def stamp() -> str:
    """The current time, for the name of a file that is set aside."""
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")


def free_name(path: Path, stamp: str) -> Path:
    """`NAME.replaced-STAMP`, with a number if that name is taken."""
    name, number = path.with_name(f"{path.name}.replaced-{stamp}"), 1
    while name.exists():
        number += 1
        name = path.with_name(f"{path.name}.replaced-{stamp}-{number}")
    return name
