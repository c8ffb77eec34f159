"""Statements that are run for row after row: compiled once, their values handed to the driver as they are.

Most of a first pull goes through here, and every change that settles. SQLAlchemy writes the SQL; to
have it written anew for each row would take longer than to run it. Which rows are new, and what is to
stand in them, is the caller's to know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Table, bindparam, func, insert, literal, select, text, update
from sqlalchemy.dialects import sqlite

from syncer.store.tables import change_log, metadata

#: Positional parameters, so that a row is a plain tuple.
_DIALECT = sqlite.dialect(paramstyle="qmark")


@lru_cache(maxsize=64)
def _insert_statement(table: str, columns: tuple[str, ...]) -> str:
    return str(insert(metadata.tables[table]).compile(dialect=_DIALECT, column_keys=list(columns)))


def insert_rows(
    conn: Connection, table: Table, columns: tuple[str, ...], rows: Sequence[tuple[Any, ...]]
) -> None:
    """Write rows, each a tuple of the values of `columns` in the order of the table's columns."""
    if rows:
        conn.exec_driver_sql(_insert_statement(table.name, columns), list(rows))


@lru_cache(maxsize=256)
def _update_statement(table: str, columns: tuple[str, ...]) -> str:
    target = metadata.tables[table]
    marked = update(target).values(dict.fromkeys(columns)).where(target.c.id == bindparam("row"))
    return str(marked.compile(dialect=_DIALECT, column_keys=list(columns)))


def update_rows(
    conn: Connection, table: Table, columns: tuple[str, ...], rows: Sequence[tuple[Any, ...]]
) -> None:
    """Set `columns` of rows, each a tuple of their values and the row's number."""
    if rows:
        told = ", ".join(f"{name} = ?" for name in columns)
        conn.exec_driver_sql(f"UPDATE {table.name} SET {told} WHERE id = ?", list(rows))


def update_row(conn: Connection, table: Table, row_id: int, values: Mapping[str, Any]) -> None:
    """Set columns of one row, known by its `id`."""
    names = tuple(column.name for column in table.columns if column.name in values)
    conn.exec_driver_sql(_update_statement(table.name, names), (*(values[n] for n in names), row_id))


def insert_new(
    conn: Connection, table: Table, columns: tuple[str, ...], rows: Sequence[tuple[Any, ...]], at: str
) -> range:
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
    of_rows = select(literal(at), literal(table.name), table.c.id, literal("insert"), literal("upstream"))
    between = of_rows.where(table.c.id.between(ids[0], ids[-1])).order_by(table.c.id)
    names = ("at", "table_name", "row_id", "kind", "origin")
    conn.execute(insert(change_log).from_select(names, between))


def _next_ids(conn: Connection, table: Table, count: int) -> range:
    """So many numbers that no row has, nor ever had."""
    used = conn.execute(
        text("SELECT seq FROM sqlite_sequence WHERE name = :name"), {"name": table.name}
    ).scalar()
    greatest = conn.execute(select(func.max(table.c.id))).scalar()
    start = max(int(used or 0), int(greatest or 0)) + 1
    return range(start, start + count)
