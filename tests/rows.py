"""Rows that tests put into tables as the program would."""

from __future__ import annotations

from syncer.store.db.connection import Connection


def insert(conn: Connection, table: str, **columns: object) -> int:
    """Insert a row. Returns its id."""
    names, marks = ", ".join(columns), ", ".join("?" * len(columns))
    done = conn.exec_driver_sql(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(columns.values()))
    return int(done.lastrowid or 0)
