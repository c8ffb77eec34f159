"""Many new rows at once: consecutive ids, one statement for the rows and one for their entries in the log.

Most of a first pull goes through here. The statements are SQLAlchemy's; they are compiled once, and
the values handed to the driver as they are. Which rows are new is the caller's to know.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Table, func, insert, literal, select, text
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
