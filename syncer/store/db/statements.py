"""Statements for many rows, whose values go to the driver directly: composing them with SQLAlchemy takes longer than
running them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table

from syncer.store.db.read_only import first, placeholders, raw

Values = Sequence[tuple[Any, ...]]


def insert_rows(conn: Connection, table: Table, columns: tuple[str, ...], rows: Values) -> None:
    """Insert rows, each a tuple of the values of `columns`."""
    statement = f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({placeholders(columns)})"
    raw(conn).executemany(statement, rows)


def update_rows(conn: Connection, table: Table, columns: tuple[str, ...], rows: Values) -> None:
    """Set `columns` of rows, each a tuple of their values and the row's primary key."""
    key = next(iter(table.primary_key.columns)).name
    assignments = ", ".join(f"{name} = ?" for name in columns)
    raw(conn).executemany(f"UPDATE {table.name} SET {assignments} WHERE {key} = ?", rows)


def update_row(conn: Connection, table: Table, row_id: int, values: Mapping[str, Any]) -> None:
    """Set columns of one row."""
    if values:
        update_rows(conn, table, tuple(values), [(*values.values(), row_id)])


def insert_listed(conn: Connection, table: Table, columns: tuple[str, ...], rows: Values, at: str) -> range:
    """Insert rows that upstream listed and log each of them. Returns their ids.

    The ids are consecutive: they are AUTOINCREMENT, and nobody else writes during our transaction.
    """
    last = first(conn, "SELECT seq FROM sqlite_sequence WHERE name = ?", table.name) or 0
    insert_rows(conn, table, columns, rows)
    raw(conn).execute(
        "INSERT INTO change_log (at, table_name, row_id, kind, origin) "
        f"SELECT ?, ?, id, 'insert', 'upstream' FROM {table.name} WHERE id > ? ORDER BY id",
        (at, table.name, last),
    )
    return range(last + 1, last + 1 + len(rows))
