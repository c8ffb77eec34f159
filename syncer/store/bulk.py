"""Statements for many rows at once: written once, their values handed to the driver as they are.

Most of a first pull goes through here, and every change that settles: past SQLAlchemy, which would take
longer to write such a statement than SQLite to run it. A statement takes many rows, since Python lets
other threads run before and after each one, while the write lock is held. Which rows are new, and what
is to stand in them, is the caller's to know.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

from sqlalchemy import Connection, Table

from syncer.store.looking import raw
from syncer.store.tables import metadata

#: Rows of one statement. A few sizes serve any count, and SQLite understands each statement but once.
SIZES = (256, 64, 16, 4, 1)

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
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES {_marks(len(columns), rows)}"


def insert_rows(conn: Connection, table: Table, columns: tuple[str, ...], rows: Values) -> int:
    """Write rows, each a tuple of the values of `columns`.

    Returns the number of the last one (0 without any); where the rows leave their numbers out, they
    have got consecutive ones.
    """
    driver, last = raw(conn), 0
    for piece in _pieces(rows):
        query = _insert_statement(table.name, columns, len(piece))
        last = driver.execute(query, tuple(chain.from_iterable(piece))).lastrowid or 0
    return last


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
    driver = raw(conn)
    for piece in _pieces(rows):
        query = _update_statement(table.name, columns, len(piece))
        driver.execute(query, tuple(chain.from_iterable(piece)))


def update_row(conn: Connection, table: Table, row_id: int, values: Mapping[str, Any]) -> None:
    """Set columns of one row."""
    update_rows(conn, table, tuple(values), [(*values.values(), row_id)])


def insert_new(conn: Connection, table: Table, columns: tuple[str, ...], rows: Values, at: str) -> range:
    """Write rows that came from upstream, and say so in the log; returns their numbers, which are new ones."""
    last = insert_rows(conn, table, columns, rows)
    ids = range(last - len(rows) + 1, last + 1)
    if rows:
        raw(conn).execute(
            "INSERT INTO change_log (at, table_name, row_id, kind, origin) "
            f"SELECT ?, ?, id, 'insert', 'upstream' FROM {table.name} WHERE id BETWEEN ? AND ? ORDER BY id",
            (at, table.name, ids[0], ids[-1]),
        )
    return ids
