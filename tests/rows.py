"""Reads and writes of a test's database as the program makes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from syncer.store.db.connection import Connection, Database

P = ParamSpec("P")
T = TypeVar("T")


class OpenDatabase:
    """Calls functions of the store on an open database."""

    db: Database

    def read(self, fn: Callable[Concatenate[Connection, P], T], *args: P.args, **kw: P.kwargs) -> T:
        """Run `fn(connection, ...)` on a snapshot."""
        with self.db.read() as conn:
            return fn(conn, *args, **kw)

    def write(self, fn: Callable[Concatenate[Connection, P], T], *args: P.args, **kw: P.kwargs) -> T:
        """Run `fn(connection, ...)` in a transaction of the program."""
        with self.db.write() as conn:
            return fn(conn, *args, **kw)


def insert(conn: Connection, table: str, **columns: object) -> int:
    """Insert a row. Returns its id."""
    names, marks = ", ".join(columns), ", ".join("?" * len(columns))
    done = conn.exec_driver_sql(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(columns.values()))
    return int(done.lastrowid or 0)
