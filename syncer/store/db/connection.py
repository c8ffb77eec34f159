"""The connection: one SQLite file, WAL, short IMMEDIATE transactions, errors in our own terms.

What is SQLite's own (PRAGMAs, BEGIN IMMEDIATE, file modes) stays here and in `triggers.py`.
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
from syncer.store.db.identity import LOG, OpenFiles, beside, in_use, put_foreign_log_aside
from syncer.store.db.read_only import BUSY_TIMEOUT, lenient, raw

__all__ = ["BUSY_TIMEOUT", "Connection", "Database", "create_private", "map_error"]

#: Bytes of a page of the file. A change far from all others writes a page of each table and index that it
#: touches, twice (to the log and to the file): with SQLite's usual 4096 that is four times as much.
PAGE_SIZE = 1024

#: The WAL is copied into the file at so many pages, after a commit of ours. Other clients copy it at 1000:
#: a person who edits would wait for what we wrote.
CHECKPOINT_PAGES = 600


def map_error(error: SQLAlchemyError, path: Path) -> StoreError | UsageError:
    """Say in our terms what SQLAlchemy, or SQLite through it, reports about `path`."""
    if isinstance(error, DBAPIError) and isinstance(error.orig, sqlite3.Error):
        return sqlite_errors.of_sqlite(error.orig, path)
    return StoreError(f"the database {path.name} could not be used ({type(error).__name__})")


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    """Turn whatever SQLAlchemy or SQLite raises into our own errors."""
    try:
        with sqlite_errors.told(path):
            yield
    except SQLAlchemyError as error:
        raise map_error(error, path) from None


def _is_sqlite(handle: int) -> bool:
    """Whether the file is empty or begins as SQLite's do."""
    head = os.pread(handle, 16, 0)
    return head in (b"", b"SQLite format 3\x00")


def create_private(path: Path, group: str | None) -> None:
    """Create an empty database file that nobody else may read (0660 for `group`, else 0600).

    An existing one, with its -wal and -shm, is brought to that mode. Raises StoreError, and
    SchemaError for a file of another kind, which is left as it is.
    """
    try:
        files.make_folder(path.parent, group)  # who may write the database has to make its -wal there
        for suffix in ("", "-wal", "-shm"):
            _settle_file(path.with_name(f"{path.name}{suffix}"), group, create=not suffix)
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
        if create and not _is_sqlite(handle):  # SQLite itself takes a file of one byte for an empty database
            raise SchemaError(sqlite_errors.BROKEN.format(name=path.name))
        files.settle(handle, group)
    finally:
        os.close(handle)


#: Compiled statements, for every file that this process opens: compiling takes longer than running.
_compiled: LRUCache[Any, Any] = LRUCache(1000)


@cache
def _dialect() -> Dialect:
    """One dialect for all files, since what is compiled belongs to it."""
    engine = create_engine("sqlite+pysqlite://")
    with engine.connect():  # it looks at SQLite's version then
        pass
    engine.dispose()
    return engine.dialect


class Database:
    """One open database file.

    One connection, used by one thread at a time. `write` is for this program, `edit` for what a
    person asks for (the triggers see it as they see any client), `read` for the rest.
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
            sqlite_errors.is_there(path)  # says what is there instead
            create_private(path, group)
        else:
            sqlite_errors.require(path)
        self._immediate = False
        self._lasting = True
        self._closed = False
        self._lost: str | None = None  #: why nothing may be written any more
        opened: Any = lambda: sqlite_errors.opened(partial(self._open, busy_timeout, checkpoints))  # noqa: E731 - typed for NullPool
        self._engine = Engine(
            NullPool(opened, dialect=_dialect()),
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
            f"page_size = {PAGE_SIZE}",  # of a new file; one that is there keeps its own
            "journal_mode = WAL",
            "synchronous = FULL",  # an intent must outlive a power cut
            "foreign_keys = ON",
            "trusted_schema = ON",  # before 3.44, SQLite takes a trigger that fills a search index (FTS5) for unsafe
            "journal_size_limit = 67108864",
            "temp_store = MEMORY",  # a statement for many rows keeps what it may have to undo: not in a file
            "cache_size = -8000",  # kB: the upper pages of all indexes of a large mirror
            f"wal_autocheckpoint = {CHECKPOINT_PAGES if checkpoints else 0}",
        )
        return sqlite_errors.prepared(conn, pragmas)

    def _begin(self, conn: Connection) -> None:
        raw(conn).execute("BEGIN IMMEDIATE" if self._immediate else "BEGIN")

    @contextlib.contextmanager
    def mapped(self) -> Iterator[None]:
        """Turn whatever SQLAlchemy or SQLite raises into our own errors; a file that was replaced comes first."""
        with _translated(self.path):
            try:
                yield
            except (sqlite3.Error, SQLAlchemyError):
                if self.replaced():
                    self.require_files()
                raise

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """A snapshot to read from; nothing written in it stays."""
        self._immediate = False
        with self.mapped():
            transaction = self._conn.begin()
            try:
                yield self._conn
            finally:
                transaction.rollback()

    @contextlib.contextmanager
    def edit(self, *, lasting: bool = True) -> Iterator[Connection]:
        """A write on behalf of a person: the triggers catch and check it.

        `lasting` off does not wait for the disk. A power cut may take such a write, never half of
        it, and never a later one that lasts without it.
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
                self._end_transaction()
                raise

    @contextlib.contextmanager
    def write(self, *, lasting: bool = True) -> Iterator[Connection]:
        """A write of our own: the guard row is set for as long as it lasts, and no longer."""
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

    def _end_transaction(self) -> None:
        """After a commit that failed SQLAlchemy thinks that it is over; SQLite may think otherwise."""
        raw(self._conn).rollback()  # does nothing where SQLite has ended it itself

    def data_version(self) -> int:
        """A number that changes when another connection has committed."""
        with self.mapped():
            row = raw(self._conn).execute("PRAGMA data_version").fetchone()
        return int(row[0])

    def checked_version(self) -> int:
        """`data_version` of a file that is still ours; StoreError once it is not."""
        self.require_files()
        return self.data_version()

    def pragma(self, statement: str) -> list[tuple[object, ...]]:
        """Run one PRAGMA (or VACUUM) outside of any transaction and return its rows."""
        self.require_files()
        with self.mapped():
            return [tuple(row) for row in raw(self._conn).execute(statement).fetchall()]

    @contextlib.contextmanager
    def patience(self, milliseconds: int) -> Iterator[None]:
        """Wait at most this long for locks that others hold; the usual time again afterwards."""
        driver = raw(self._conn)
        (usual,) = driver.execute("PRAGMA busy_timeout").fetchone()
        driver.execute(f"PRAGMA busy_timeout = {milliseconds}")
        try:
            yield
        finally:
            driver.execute(f"PRAGMA busy_timeout = {usual}")

    def replaced(self) -> bool:
        """Whether the file or its log seems to have been removed or replaced; False when that cannot be seen now.

        Looks without SQLite, and so from any thread; `require_files` makes sure.
        """
        return self._lost is not None or self._files.lost() != ""

    def require_files(self) -> None:
        """Write down which file our log belongs to; once it was taken from us, raise StoreError for good.

        From then on nothing is written, and the connection is never closed: SQLite would copy our log into
        whatever the path names now, and delete the log that others have begun since.
        """
        ours = self._files
        if self._lost is None and ours.lost():
            version = None
            with contextlib.suppress(sqlite3.Error):  # which may be what comes of it
                (version,) = raw(self._conn).execute("PRAGMA schema_version").fetchone()
            if what := ours.lost(version):
                self._lost = self._give_up(what, ours)
        if self._lost is not None:
            raise StoreError(self._lost)
        ours.note()

    def _give_up(self, what: str, ours: OpenFiles) -> str:
        """Save what our log holds, and keep it from the file that is there now; what to tell a person."""
        # So that nothing closes it when the program ends.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._conn))
        name = self.path.name
        if what == "database":
            if not ours.in_place():
                self._copy_log()  # so that the old file is whole, wherever it was moved to
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
        """Copy our log into our file; whether all of it could be."""
        with contextlib.suppress(sqlite3.Error):
            _, log, copied = raw(self._conn).execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            return bool(log == copied)
        return False

    def make_distinct(self) -> None:
        """Make the file differ from each copy that was made of it, unless others use it at this moment.

        So a copy that is put in its place after a kill is not taken for the file that the log belongs to.
        """
        if self._alone:
            with contextlib.suppress(StoreBusyError), self.patience(100):
                (number,) = self.pragma("PRAGMA user_version")[0]
                self.pragma(f"PRAGMA user_version = {number}")  # the write counts in the file's first page
                self.pragma("PRAGMA wal_checkpoint(TRUNCATE)")
        self.require_files()

    def relax(self) -> None:
        """Free the memory of the page cache, which only a run needs."""
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
