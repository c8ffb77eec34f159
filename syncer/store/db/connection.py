"""The connection: one SQLite file with a WAL, short IMMEDIATE transactions, and errors mapped to ours.

PRAGMAs, BEGIN IMMEDIATE and file modes are only in this module.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sqlite3
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import Dialect, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool
from sqlalchemy.util import LRUCache

from syncer import files
from syncer.errors import SchemaError, StoreBusyError, StoreError, UsageError
from syncer.store.db import sqlite_errors
from syncer.store.db.identity import INDEX, LOG, OpenFiles, beside, in_use, put_foreign_log_aside
from syncer.store.db.read_only import BUSY_TIMEOUT, lenient, raw

__all__ = ["Connection", "Database", "create_private", "map_error"]

#: The page size in bytes. A scattered change writes one page of each table and index that it touches, twice (to
#: the WAL and to the file). With SQLite's default of 4096 it would write four times as much.
PAGE_SIZE = 1024

#: Our commits copy the WAL into the file once it has this many pages. Other clients do so at 1000, where a person's
#: edit would have to copy our changes.
CHECKPOINT_PAGES = 600


def map_error(error: SQLAlchemyError, path: Path) -> StoreError | UsageError:
    """Map an error of SQLAlchemy, or of SQLite through it, about `path`."""
    if isinstance(error, DBAPIError) and isinstance(error.orig, sqlite3.Error):
        return sqlite_errors.of_sqlite(error.orig, path)
    return StoreError(f"the database {path.name} could not be used ({type(error).__name__})")


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    """Map errors of SQLAlchemy and SQLite."""
    try:
        with sqlite_errors.mapped(path):
            yield
    except SQLAlchemyError as error:
        raise map_error(error, path) from None


def create_private(path: Path, group: str | None) -> None:
    """Create an empty database file that nobody else may read (0660 for `group`, else 0600).

    An existing file gets that mode as well, with its -wal and -shm. Raises StoreError, and SchemaError for a
    file of another kind, which is left alone.
    """
    try:
        files.make_folder(path.parent, group)  # whose users create the -wal there
        for suffix in ("", LOG, INDEX):
            _settle_file(beside(path, suffix), group, create=not suffix)
    except OSError as error:
        raise StoreError(
            f"the database {path.name} cannot be opened for writing ({error.strerror}): "
            "check the owner and mode of it and its folder"
        ) from None


def _settle_file(path: Path, group: str | None, *, create: bool) -> None:
    try:
        handle = files.open_plain(path, os.O_RDWR | (os.O_CREAT if create else 0))
    except FileNotFoundError:
        if create:
            raise
        return
    try:
        # Checked here, because SQLite accepts a file of one byte as an empty database.
        if create and os.pread(handle, 16, 0) not in (b"", b"SQLite format 3\x00"):
            raise SchemaError(sqlite_errors.BROKEN.format(name=path.name))
        files.settle(handle, group)
    finally:
        os.close(handle)


#: Compiled statements of all files that this process opens: compiling takes longer than running.
_compiled: LRUCache[Any, Any] = LRUCache(1000)


@cache
def _dialect() -> Dialect:
    """One dialect for all files, because compiled statements belong to it."""
    engine = create_engine("sqlite+pysqlite://")
    with engine.connect():  # reads SQLite's version
        pass
    engine.dispose()
    return engine.dialect


class Database:
    """One open database file.

    One connection, used by one thread at a time. `write` is for the program's own writes, `edit` for edits on
    behalf of a person (triggers treat it like any client), `read` for reading.
    """

    def __init__(
        self,
        path: Path,
        *,
        group: str | None = None,
        create: bool = True,
        busy_timeout: float = BUSY_TIMEOUT,
        checkpoints: bool = True,
    ) -> None:
        self.path = path
        if create:
            sqlite_errors.is_there(path)  # raises StoreError for anything but a plain file
            create_private(path, group)
        else:
            sqlite_errors.require(path)
        self._immediate = False
        self._lasting = True
        self._closed = False
        self._lost: str | None = None  #: why writing is no longer possible
        connect: Any = partial(sqlite_errors.opened, partial(self._open, busy_timeout, checkpoints))
        self._engine = Engine(
            NullPool(connect, dialect=_dialect()),
            _dialect(),
            make_url("sqlite+pysqlite://"),
            execution_options={"compiled_cache": _compiled},
            hide_parameters=True,
        )
        event.listen(self._engine, "begin", self._begin)
        put_foreign_log_aside(path)
        log = beside(path, LOG)
        self._alone = not (log.exists() and log.stat().st_size)
        with _translated(path):
            self._conn = self._engine.connect()
        in_use[path] += 1
        self._files = OpenFiles(path)

    def _open(self, busy_timeout: float, checkpoints: bool) -> sqlite3.Connection:
        conn = sqlite3.connect(
            self.path, timeout=busy_timeout, check_same_thread=False, cached_statements=512
        )
        conn.isolation_level = None
        conn.text_factory = lenient
        pragmas = (
            f"page_size = {PAGE_SIZE}",  # of new files; existing files keep theirs
            "journal_mode = WAL",
            "synchronous = FULL",  # an intent must survive a power failure
            "foreign_keys = ON",
            "trusted_schema = ON",  # before 3.44, SQLite considers a trigger that fills a search index (FTS5) unsafe
            "journal_size_limit = 67108864",
            "temp_store = MEMORY",  # the undo data of statements for many rows stays in memory
            "cache_size = -8000",  # kB: the upper pages of all indexes of a large mirror
            f"wal_autocheckpoint = {CHECKPOINT_PAGES if checkpoints else 0}",
        )
        return sqlite_errors.prepared(conn, pragmas)

    def _begin(self, conn: Connection) -> None:
        raw(conn).execute("BEGIN IMMEDIATE" if self._immediate else "BEGIN")

    @contextlib.contextmanager
    def mapped(self) -> Iterator[None]:
        """Map errors of SQLAlchemy and SQLite. If the file was replaced, that is reported instead."""
        with _translated(self.path):
            try:
                yield
            except (sqlite3.Error, SQLAlchemyError):
                if self.replaced():
                    self.require_files()
                raise

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """A snapshot to read from. Anything written in it is rolled back."""
        self._immediate = False
        with self.mapped():
            transaction = self._conn.begin()
            try:
                yield self._conn
            finally:
                transaction.rollback()

    @contextlib.contextmanager
    def edit(self, *, lasting: bool = True) -> Iterator[Connection]:
        """A write on behalf of a person: the triggers check and queue it.

        Without `lasting` it does not wait for the disk. A power failure may then lose the write as a whole, together
        with all later ones.
        """
        self.require_files()
        self._wait_for_disk(lasting)
        self._immediate = True
        with self.mapped():
            transaction = self._conn.begin()
            try:
                yield self._conn
                transaction.commit()
            except BaseException:
                transaction.rollback()
                raw(
                    self._conn
                ).rollback()  # after a failed commit, SQLAlchemy takes the transaction for ended
                raise

    @contextlib.contextmanager
    def write(self, *, lasting: bool = True) -> Iterator[Connection]:
        """A write of the program itself: the guard row is set during the transaction."""
        with self.edit(lasting=lasting) as conn:
            driver = raw(conn)
            if driver.execute("UPDATE sync_guard SET active = 1 WHERE id = 1").rowcount == 0:
                raise SchemaError(
                    f"the write guard of the database {self.path.name} is missing: "
                    "`syncer db upgrade` puts it back"
                )
            yield conn
            driver.execute("UPDATE sync_guard SET active = 0 WHERE id = 1")

    def _wait_for_disk(self, lasting: bool) -> None:
        if lasting != self._lasting:
            self.pragma(f"PRAGMA synchronous = {'FULL' if lasting else 'NORMAL'}")
            self._lasting = lasting

    def data_version(self) -> int:
        """A number that changes when another connection has committed."""
        with self.mapped():
            row = raw(self._conn).execute("PRAGMA data_version").fetchone()
        return int(row[0])

    def checked_version(self) -> int:
        """`data_version`. Raises StoreError if the file was replaced."""
        self.require_files()
        return self.data_version()

    def pragma(self, statement: str) -> list[tuple[object, ...]]:
        """Run one PRAGMA (or VACUUM) outside of any transaction and return its rows."""
        self.require_files()
        with self.mapped():
            return [tuple(row) for row in raw(self._conn).execute(statement).fetchall()]

    @contextlib.contextmanager
    def patience(self, milliseconds: int) -> Iterator[None]:
        """Wait at most this long for locks of others within the block."""
        driver = raw(self._conn)
        (usual,) = driver.execute("PRAGMA busy_timeout").fetchone()
        driver.execute(f"PRAGMA busy_timeout = {milliseconds}")
        try:
            yield
        finally:
            driver.execute(f"PRAGMA busy_timeout = {usual}")

    def replaced(self) -> bool:
        """Whether the file or its WAL seems to have been removed or replaced; False if that cannot be checked now.

        Does not use SQLite, so any thread may call it. `require_files` checks more thoroughly.
        """
        return self._lost is not None or self._files.lost() != ""

    def require_files(self) -> None:
        """Record which file our WAL belongs to. If the file was replaced, raise StoreError now and from then on.

        After that nothing is written and the connection is never closed: SQLite would copy our WAL into the file
        that now has this path, and delete the WAL that others have started.
        """
        ours = self._files
        if self._lost is None and ours.lost():
            version = None
            with contextlib.suppress(sqlite3.Error):  # this may fail as well
                (version,) = raw(self._conn).execute("PRAGMA schema_version").fetchone()
            if what := ours.lost(version):
                self._lost = self._give_up(what, ours)
        if self._lost is not None:
            raise StoreError(self._lost)
        ours.note()

    def _give_up(self, what: str, ours: OpenFiles) -> str:
        """Save the contents of our WAL, and keep them out of the new file. Returns a sentence for the error."""
        # Another reference keeps the connection from being closed when the program ends.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._conn))
        name = self.path.name
        if what == "database":
            if not ours.in_place():
                self._copy_log()  # to complete the old file, wherever it was moved
            moved = [one.name for one in ours.put_log_aside()]
            aside = f"its old log was put aside as {' and '.join(moved)}" if moved else "its old log is gone"
            return f"the database {name} was removed or replaced while it was in use; {aside}"
        text = f"the log ({name}-wal, {name}-shm) of the database {name} was removed or replaced while it was in use"
        if ours.has(LOG):
            return f"{text}; what was written stays in {name}-wal"
        if ours.log_is_gone() and self._copy_log():
            return f"{text}; what it held was copied into the database"
        saved = ours.save_log()
        return f"{text}; what it held was saved as {saved.name}" if saved else text

    def _copy_log(self) -> bool:
        """Copy our WAL into our file. Returns whether all of it was copied."""
        with contextlib.suppress(sqlite3.Error):
            _, log, copied = raw(self._conn).execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            return bool(log == copied)
        return False

    def make_distinct(self) -> None:
        """Make the file differ from all of its copies, unless others are using it at the moment.

        After a kill, the file that the WAL belongs to can then be distinguished from a copy in its place.
        """
        if self._alone:
            with contextlib.suppress(StoreBusyError), self.patience(100):
                (number,) = self.pragma("PRAGMA user_version")[0]
                # Any write increments the counter in the file's first page.
                self.pragma(f"PRAGMA user_version = {number}")
                self.pragma("PRAGMA wal_checkpoint(TRUNCATE)")
        self.require_files()

    def relax(self) -> None:
        """Free the page cache, which only runs need."""
        self.pragma("PRAGMA shrink_memory")

    def close(self) -> None:
        """Close the connection; safe to call twice."""
        if self._closed:
            return
        if self.replaced():
            with contextlib.suppress(StoreError):
                self.require_files()
        if self._lost is None:
            self._closed = True
            self._conn.close()
            self._engine.dispose()
            in_use[self.path] -= 1
            self._files.forget_log()

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
