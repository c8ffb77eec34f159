"""Reads the mirror with only Python's own sqlite3, for commands that show something.

Importing SQLAlchemy takes longer than such a command. The queries of `store/read` are plain SQL and run on this
connection as well as on that of a `Database`.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import AbstractContextManager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

from syncer import files
from syncer.store.db import sqlite_errors
from syncer.store.db.identity import LOG, beside, put_foreign_log_aside

if TYPE_CHECKING:
    from sqlalchemy import Connection

T = TypeVar("T")

#: A connection to read from, of this module or of a `Database`.
Reader: TypeAlias = "sqlite3.Connection | Connection"

#: A row: column -> value.
Record: TypeAlias = dict[str, Any]

#: Those of some numbers (E.164) that were forgotten, as the connection sees it.
AreForgotten: TypeAlias = "Callable[[Reader, Iterable[str | None]], set[str]]"

#: How many seconds a statement waits for another program's write transaction.
BUSY_TIMEOUT = 10.0

#: How much of the file a connection keeps in memory.
CACHE_KB = 8000

#: The most values in one IN list. SQLite's limit is far higher, but it plans short lists better.
CHUNK = 400

#: How many of SQLite's instructions run between two checks of the time: about 1 ms.
_STEPS = 20_000


class Readable(Protocol):
    """An open database that can be read: `ReadOnlyDatabase` or `connection.Database`."""

    path: Path

    def read(self) -> AbstractContextManager[Reader]:
        """A snapshot to read from."""
        ...


class ReadOnlyDatabase:
    """An existing database file, opened for reading only."""

    def __init__(self, path: Path, *, busy_timeout: float = BUSY_TIMEOUT, cache_kb: int = CACHE_KB) -> None:
        self.path = path
        sqlite_errors.require(path)
        put_foreign_log_aside(path)
        with sqlite_errors.mapped(path):
            self._conn = sqlite_errors.opened(partial(_open, path, busy_timeout, cache_kb))

    @contextlib.contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A snapshot to read from."""
        with sqlite_errors.mapped(self.path):
            self._conn.execute("BEGIN")
            try:
                yield self._conn
            finally:
                self._conn.rollback()

    def interrupt_when(self, late: Callable[[], bool]) -> None:
        """Stop a query when `late` returns True, with StoreBusyError. It is called every few milliseconds."""
        self._conn.set_progress_handler(late, _STEPS)

    def data_version(self) -> int:
        """A number that changes when another connection has committed."""
        with sqlite_errors.mapped(self.path):
            return int(self._conn.execute("PRAGMA data_version").fetchone()[0])

    def close(self) -> None:
        """Close the connection; safe to call twice."""
        self._conn.close()

    def __enter__(self) -> ReadOnlyDatabase:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _open(path: Path, busy_timeout: float, cache_kb: int) -> sqlite3.Connection:
    """Open a file like any client, since SQLite's read-only mode cannot read the log of a killed program.

    On a read-only disk it is opened in that mode, without its log if the log has no index.
    """
    try:
        return _connect(path.absolute().as_uri(), busy_timeout, cache_kb)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
            raise
        if files.room() <= 0 or (os.access(path.parent, os.W_OK) and os.access(path, os.W_OK)):
            raise
    try:
        return _connect(f"{path.absolute().as_uri()}?mode=ro", busy_timeout, cache_kb)
    except sqlite3.OperationalError:
        log = beside(path, LOG)
        if log.exists() and log.stat().st_size:
            text = (
                f"{log.name} cannot be used where nothing can be written: what was written last is not shown"
            )
            import logging  # imported late: most commands log nothing

            logging.getLogger(__name__).warning(text)
        return _connect(f"{path.absolute().as_uri()}?immutable=1", busy_timeout, cache_kb)


def _connect(uri: str, busy_timeout: float, cache_kb: int) -> sqlite3.Connection:
    conn = sqlite3.connect(uri, uri=True, timeout=busy_timeout, isolation_level=None)
    conn.text_factory = lenient
    return sqlite_errors.prepared(
        conn, ("query_only = ON", "trusted_schema = OFF", f"cache_size = -{cache_kb}")
    )


#: Decodes text. Invalid bytes from a person or a vendor are replaced.
lenient = partial(str, encoding="utf-8", errors="replace")


def raw(conn: Reader) -> sqlite3.Connection:
    """The connection of the `sqlite3` module."""
    if isinstance(conn, sqlite3.Connection):
        return conn
    driver = conn.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver


def tuples(conn: Reader, query: str, *values: object) -> list[tuple[Any, ...]]:
    """The rows of a query, without SQLAlchemy: faster for many rows."""
    return raw(conn).execute(query, values).fetchall()


def records(conn: Reader, query: str, *values: object) -> list[Record]:
    """The rows of a query as records."""
    cursor = raw(conn).execute(query, values)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def record(conn: Reader, query: str, *values: object) -> Record | None:
    """The first row of a query as a record, or None if there is no row."""
    return next(iter(records(conn, query, *values)), None)


class QueryPage(list[Record]):
    """A page of a list, with the total number of rows."""

    total = 0


def page(
    conn: Reader, select: str, rest: str, order: str, values: Iterable[object], limit: int | None
) -> QueryPage:
    """The first `limit` rows of `select rest ORDER BY order`. The total is counted only if rows are left out."""
    given = tuple(values)
    query = f"{select} {rest} ORDER BY {order} LIMIT ?"
    found = QueryPage(records(conn, query, *given, -1 if limit is None else limit))
    found.total = len(found)
    if limit is not None and len(found) >= limit:
        found.total = int(first(conn, f"SELECT count(*) {rest}", *given))
    return found


def first(conn: Reader, query: str, *values: object) -> Any:
    """The first value of the first row, or None if there is no row."""
    row = raw(conn).execute(query, values).fetchone()
    return None if row is None else row[0]


@contextlib.contextmanager
def sql_function(conn: Reader, name: str, takes: int, function: Callable[..., bool]) -> Iterator[None]:
    """Within this block, queries may call `function`, which takes `takes` arguments, by `name`.

    Exceptions of the function (a bug, Ctrl-C) are raised as they are, where SQLite only reports a failure.
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
    """`?, ?, ?`: one per value, for an IN."""
    return ", ".join("?" * len(values))


def chunks(values: Iterable[T], size: int = CHUNK) -> Iterator[list[T]]:
    """Split values into lists that fit into one statement, or of another `size`."""
    rest = iter(values)
    while block := list(islice(rest, size)):
        yield block
