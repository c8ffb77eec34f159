"""Looking at the mirror with nothing but Python's own sqlite3: what every command that shows something needs.

SQLAlchemy takes longer to import than such a command does all told. The statements of `report`, `people`,
`facts` and `feed` are plain SQL and run here, and on the connection of a `Database`, alike.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from syncer import files
from syncer.store.db import sqlite_errors
from syncer.store.db.identity import LOG, beside, put_foreign_log_aside

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: A connection to read from: our own, or that of a `Database`.
Reader: TypeAlias = "sqlite3.Connection | Connection"

#: A row for people: column -> value.
Record: TypeAlias = dict[str, Any]

#: How long a statement waits for somebody else's write transaction, in seconds.
BUSY_TIMEOUT = 10.0

#: Steps of SQLite's machine between two looks at the clock: about 1 ms.
_STEPS = 20_000


class Readable(Protocol):
    """An open database that can be read: `Looking`, or `connect.Database`."""

    path: Path

    def read(self) -> AbstractContextManager[Reader]:
        """A snapshot to read from."""
        ...


class ReadOnlyDatabase:
    """A database file that is looked at and never written to. It has to be there."""

    def __init__(self, path: Path, *, busy_timeout: float = BUSY_TIMEOUT) -> None:
        self.path = path
        sqlite_errors.require(path)
        put_foreign_log_aside(path)
        with sqlite_errors.told(path):
            self._conn = sqlite_errors.opened(partial(_open, path, busy_timeout))

    @contextlib.contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A snapshot to read from."""
        with sqlite_errors.told(self.path):
            self._conn.execute("BEGIN")
            try:
                yield self._conn
            finally:
                self._conn.rollback()

    def interrupt_when(self, late: Callable[[], bool]) -> None:
        """Give a query up while `late` says so: StoreBusyError. It is asked every few milliseconds of work."""
        self._conn.set_progress_handler(late, _STEPS)

    def data_version(self) -> int:
        """A number that changes when another connection has committed."""
        with sqlite_errors.told(self.path):
            return int(self._conn.execute("PRAGMA data_version").fetchone()[0])

    def close(self) -> None:
        """Close the connection; safe to call twice."""
        self._conn.close()

    def __enter__(self) -> ReadOnlyDatabase:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _open(path: Path, busy_timeout: float) -> sqlite3.Connection:
    """Open it as any client would: read-only, nobody could take up the log of a program that was killed.

    On a disk that cannot be written it is opened for reading; without the log where SQLite has no index of that.
    """
    try:
        return _connect(path.absolute().as_uri(), busy_timeout)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
            raise
        if files.room() <= 0 or (os.access(path.parent, os.W_OK) and os.access(path, os.W_OK)):
            raise
    try:
        return _connect(f"{path.absolute().as_uri()}?mode=ro", busy_timeout)
    except sqlite3.OperationalError:
        log = beside(path, LOG)
        if log.exists() and log.stat().st_size:
            text = (
                f"{log.name} cannot be used where nothing can be written: what was written last is not shown"
            )
            import logging  # late: most commands have nothing to say

            logging.getLogger(__name__).warning(text)
        return _connect(f"{path.absolute().as_uri()}?immutable=1", busy_timeout)


def _connect(uri: str, busy_timeout: float) -> sqlite3.Connection:
    conn = sqlite3.connect(uri, uri=True, timeout=busy_timeout, isolation_level=None)
    conn.text_factory = lenient
    return sqlite_errors.prepared(conn, ("query_only = ON", "trusted_schema = OFF", "cache_size = -8000"))


#: Text as it is read: odd bytes that a person or a vendor left are shown, and break nothing.
lenient = partial(str, encoding="utf-8", errors="replace")


def fetch(conn: Reader, query: str, *values: Any) -> list[tuple[Any, ...]]:
    """What a query finds, as SQLite hands it over: for many rows, past SQLAlchemy."""
    return raw(conn).execute(query, values).fetchall()


def raw(conn: Reader) -> sqlite3.Connection:
    """SQLite's own connection beneath."""
    if isinstance(conn, sqlite3.Connection):
        return conn
    driver = conn.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver


def tuples(conn: Reader, query: str, *values: object) -> list[tuple[Any, ...]]:
    """The rows of a query."""
    return raw(conn).execute(query, values).fetchall()


def records(conn: Reader, query: str, *values: object) -> list[Record]:
    """The rows of a query, by column."""
    cursor = raw(conn).execute(query, values)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


class QueryPage(list[Record]):
    """The rows of a listing that were asked for, and how many there are in all."""

    total = 0


def page(
    conn: Reader, select: str, rest: str, order: str, values: Iterable[object], limit: int | None
) -> QueryPage:
    """The first `limit` rows of `select rest ORDER BY order`. All of them are counted only where some are left out."""
    given = tuple(values)
    query = f"{select} {rest} ORDER BY {order} LIMIT ?"
    found = QueryPage(records(conn, query, *given, -1 if limit is None else limit))
    found.total = len(found)
    if limit is not None and len(found) >= limit:
        found.total = int(first(conn, f"SELECT count(*) {rest}", *given))
    return found


def first(conn: Reader, query: str, *values: object) -> Any:
    """The first value of the first row; None when there is no row."""
    row = raw(conn).execute(query, values).fetchone()
    return None if row is None else row[0]


@contextlib.contextmanager
def sql_function(conn: Reader, name: str, takes: int, function: Callable[..., bool]) -> Iterator[None]:
    """While this lasts, a query may call `function` by `name`, which `takes` so many values.

    SQLite would only say that it failed: what it raised (a bug, ctrl-c) is raised here as it was.
    """
    raised: list[BaseException] = []

    def ask(*values: object) -> bool:
        try:
            return function(*values)
        except BaseException as error:
            raised.append(error)
            raise

    raw(conn).create_function(name, takes, ask, deterministic=True)
    try:
        yield
    except sqlite3.OperationalError:
        if raised:
            raise raised[0] from None
        raise
    finally:
        raw(conn).create_function(name, takes, None)


def placeholders(values: Sized) -> str:
    """`?, ?, ?`: a place for each of the values, for an IN."""
    return ", ".join("?" * len(values))
