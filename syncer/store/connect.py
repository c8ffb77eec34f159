"""The connection: one SQLite file, WAL, short IMMEDIATE transactions, errors in our own terms.

What is SQLite's own (PRAGMAs, BEGIN IMMEDIATE, file modes) stays here and in `triggers.py`.
"""

from __future__ import annotations

import contextlib
import grp
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.exc import (
    DBAPIError,
    IntegrityError,
    SQLAlchemyError,
)
from sqlalchemy.pool import NullPool

from syncer.errors import SchemaError, StoreBusyError, StoreError, UsageError

__all__ = ["BUSY_TIMEOUT", "Connection", "Database", "create_private", "map_error"]

#: How long a statement waits for somebody else's write transaction, in seconds.
BUSY_TIMEOUT = 10.0


def map_error(error: SQLAlchemyError, path: Path) -> StoreError | UsageError:
    """Say in our terms what SQLAlchemy or SQLite reports about `path`.

    The original text may quote values, so only refusals written by our own triggers are passed on.
    """
    original = error.orig if isinstance(error, DBAPIError) else None
    message = str(original) if original is not None else ""
    low = message.lower()
    name = path.name
    if isinstance(error, IntegrityError) and "read-only" in low:
        return UsageError(message)
    if isinstance(error, IntegrityError) and message.startswith("telecmi_contacts"):
        return UsageError(message)
    if "locked" in low or "busy" in low:
        return StoreBusyError(f"the database {name} is held by another program; try again in a moment")
    if "full" in low:
        return StoreError(f"the disk that holds the database {name} is full; free some space and try again")
    if "readonly" in low or "read-only" in low:
        return StoreError(
            f"the database {name} cannot be written: check the owner and mode of it and its folder"
        )
    if "unable to open" in low:
        return StoreError(
            f"the database {name} cannot be opened: check that its folder exists and may be written"
        )
    if "not a database" in low or "malformed" in low:
        return SchemaError(
            f"the file {name} is no intact SQLite database: restore a backup, or name another file in database.url"
        )
    if isinstance(original, sqlite3.Error):
        return StoreError(f"the database {name} refused a statement ({type(original).__name__})")
    return StoreError(f"the database {name} could not be used ({type(error).__name__})")


def create_private(path: Path, group: str | None) -> None:
    """Create an empty database file that nobody else may read (0660 for `group`, else 0600)."""
    mode = 0o660 if group else 0o600
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, mode)
    except OSError as error:
        raise StoreError(
            f"the database {path.name} cannot be created ({error.strerror}): "
            "check that its folder exists and may be written"
        ) from None
    try:
        if group:
            os.fchown(handle, -1, grp.getgrnam(group).gr_gid)
            os.fchmod(handle, mode)
        elif os.fstat(handle).st_uid == os.geteuid() and os.fstat(handle).st_mode & 0o077:
            os.fchmod(handle, mode)
    except (OSError, KeyError) as error:
        raise StoreError(f"the database {path.name} cannot be given to group {group}: {error}") from None
    finally:
        os.close(handle)


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
        if path.is_dir():
            raise StoreError(f"database.url names a folder ({path.name}); name a file in it")
        if create:
            create_private(path, group)
        elif not path.exists():
            raise StoreError(
                f"there is no database {path.name} yet: run `syncer sync` or `syncer db upgrade` first"
            )
        self._immediate = False
        self._engine = create_engine(
            "sqlite+pysqlite://",
            creator=lambda: self._open(busy_timeout, checkpoints),
            poolclass=NullPool,
            hide_parameters=True,
        )
        event.listen(self._engine, "begin", self._begin)
        with self.mapped():
            self._conn = self._engine.connect()

    def _open(self, busy_timeout: float, checkpoints: bool) -> sqlite3.Connection:
        conn = sqlite3.connect(
            self.path, timeout=busy_timeout, check_same_thread=False, cached_statements=512
        )
        conn.isolation_level = None
        conn.text_factory = lambda raw: raw.decode("utf-8", "replace")
        for pragma in (
            "journal_mode = WAL",
            "synchronous = FULL",  # an intent must outlive a power cut
            "foreign_keys = ON",
            "trusted_schema = OFF",
            "journal_size_limit = 67108864",
            f"wal_autocheckpoint = {1000 if checkpoints else 0}",
        ):
            conn.execute(f"PRAGMA {pragma}")
        return conn

    def _begin(self, conn: Connection) -> None:
        conn.exec_driver_sql("BEGIN IMMEDIATE" if self._immediate else "BEGIN")

    @contextlib.contextmanager
    def mapped(self) -> Iterator[None]:
        """Turn whatever SQLAlchemy or SQLite raises into our own errors."""
        try:
            yield
        except SQLAlchemyError as error:
            raise map_error(error, self.path) from None
        except sqlite3.Error as error:
            raise map_error(DBAPIError("", None, error), self.path) from None

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
    def edit(self) -> Iterator[Connection]:
        """A write on behalf of a person: the triggers catch and check it."""
        self._immediate = True
        with self.mapped():
            transaction = self._conn.begin()
            try:
                yield self._conn
            except BaseException:
                transaction.rollback()
                raise
            transaction.commit()

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """A write of our own: the guard row is set for as long as it lasts, and no longer."""
        with self.edit() as conn:
            conn.execute(
                text(
                    "INSERT INTO sync_guard (id, active) VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET active = 1"
                )
            )
            yield conn
            conn.execute(text("UPDATE sync_guard SET active = 0 WHERE id = 1"))

    def data_version(self) -> int:
        """A number that changes when another connection has committed."""
        with self.mapped():
            raw = self._conn.connection.dbapi_connection
            assert raw is not None
            row = raw.cursor().execute("PRAGMA data_version").fetchone()
        return int(row[0])

    def pragma(self, statement: str) -> list[tuple[object, ...]]:
        """Run one PRAGMA (or VACUUM) outside of any transaction and return its rows."""
        with self.mapped():
            raw = self._conn.connection.dbapi_connection
            assert raw is not None
            return [tuple(row) for row in raw.cursor().execute(statement).fetchall()]

    def close(self) -> None:
        """Close the connection; safe to call twice."""
        self._conn.close()
        self._engine.dispose()

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
