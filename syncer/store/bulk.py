"""Statements for many rows at once: written once, their values handed to the driver as they are.

Most of a first pull goes through here, and every change that settles. SQLAlchemy writes the SQL; to
have it written anew for each row would take longer than to run it. A statement takes many rows, since
Python lets other threads run before and after each one, while the write lock is held. Which rows are
new, and what is to stand in them, is the caller's to know.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

from sqlalchemy import Connection, Table, insert
from sqlalchemy.dialects import sqlite

from syncer.store.tables import metadata

#: Positional parameters, so that a row is a plain tuple.
_DIALECT = sqlite.dialect(paramstyle="qmark")

#: Rows of one statement. A few sizes serve any count, and SQLite understands each statement but once.
SIZES = (64, 16, 4, 1)

Values = Sequence[tuple[Any, ...]]


def _pieces(rows: Values) -> Iterator[Values]:
    at = 0
    for size in SIZES:
        while len(rows) - at >= size:
            yield rows[at : at + size]
            at += size


def _marks(columns: int, rows: int) -> str:
    return ", ".join([f"({', '.join('?' * columns)})"] * rows)


@lru_cache(maxsize=256)
def _insert_statement(table: str, columns: tuple[str, ...], rows: int) -> str:
    one = str(insert(metadata.tables[table]).compile(dialect=_DIALECT, column_keys=list(columns)))
    return f"{one}, {_marks(len(columns), rows - 1)}" if rows > 1 else one


def insert_rows(conn: Connection, table: Table, columns: tuple[str, ...], rows: Values) -> None:
    """Write rows, each a tuple of the values of `columns` in the order of the table's columns."""
    for piece in _pieces(rows):
        query = _insert_statement(table.name, columns, len(piece))
        conn.exec_driver_sql(query, tuple(chain.from_iterable(piece)))


@lru_cache(maxsize=256)
def _update_statement(table: str, columns: tuple[str, ...], rows: int) -> str:
    key = next(iter(metadata.tables[table].primary_key.columns)).name
    if rows == 1:
        return f"UPDATE {table} SET {', '.join(f'{name} = ?' for name in columns)} WHERE {key} = ?"
    told = ", ".join(f"{name} = new.column{number}" for number, name in enumerate(columns, 1))
    values = _marks(len(columns) + 1, rows)
    last = f"new.column{len(columns) + 1}"
    return f"UPDATE {table} SET {told} FROM (VALUES {values}) AS new WHERE {table}.{key} = {last}"


def update_rows(conn: Connection, table: Table, columns: tuple[str, ...], rows: Values) -> None:
    """Set `columns` of rows, each a tuple of their values and the row's number."""
    for piece in _pieces(rows):
        query = _update_statement(table.name, columns, len(piece))
        conn.exec_driver_sql(query, tuple(chain.from_iterable(piece)))


def update_row(conn: Connection, table: Table, row_id: int, values: Mapping[str, Any]) -> None:
    """Set columns of one row."""
    update_rows(conn, table, tuple(values), [(*values.values(), row_id)])


def insert_new(conn: Connection, table: Table, columns: tuple[str, ...], rows: Values, at: str) -> range:
    """Write rows that came from upstream, under new ids, and say so in the log; returns the ids.

    `columns` begins with `id`, which the tuples leave out.
    """
    ids = _next_ids(conn, table, len(rows))
    insert_rows(conn, table, columns, [(row_id, *row) for row_id, row in zip(ids, rows, strict=True)])
    if rows:
        log_new(conn, table, ids, at)
    return ids


def log_new(conn: Connection, table: Table, ids: range, at: str) -> None:
    """An entry in the log for each of these rows."""
    query = (
        "INSERT INTO change_log (at, table_name, row_id, kind, origin) "
        f"SELECT ?, ?, id, 'insert', 'upstream' FROM {table.name} WHERE id BETWEEN ? AND ? ORDER BY id"
    )
    conn.exec_driver_sql(query, (at, table.name, ids[0], ids[-1]))


def _next_ids(conn: Connection, table: Table, count: int) -> range:
    """So many numbers that no row has, nor ever had."""
    query = (
        f"SELECT max(COALESCE((SELECT max(id) FROM {table.name}), 0), "
        "COALESCE((SELECT seq FROM sqlite_sequence WHERE name = ?), 0))"
    )
    start = int(conn.exec_driver_sql(query, (table.name,)).scalar_one()) + 1
    return range(start, start + count)
