"""The statements of `change_log` for what no trigger logs: changes from upstream, and repairs by the scan."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, bindparam, select

from syncer.core.model import Value
from syncer.store.db import statements
from syncer.store.db.tables import change_log

_COLUMNS = ("at", "table_name", "row_id", "kind", "field", "old", "new", "origin")


def inserted(conn: Connection, table: str, row_id: int, at: str, origin: str = "upstream") -> None:
    """Log an inserted row."""
    statements.insert_rows(
        conn, change_log, _COLUMNS, [(at, table, row_id, "insert", None, None, None, origin)]
    )


def removed(conn: Connection, table: str, row_id: int, at: str, origin: str = "upstream") -> None:
    """Log a row that became a tombstone."""
    statements.insert_rows(
        conn, change_log, _COLUMNS, [(at, table, row_id, "delete", None, None, None, origin)]
    )


def changed(
    conn: Connection,
    table: str,
    row_id: int,
    changes: Mapping[str, tuple[Value, Value]],
    at: str,
    origin: str,
) -> None:
    """Log changed fields of a row: (old, new) by field."""
    rows = [
        (at, table, row_id, "update", name, _text(old), _text(new), origin)
        for name, (old, new) in changes.items()
    ]
    statements.insert_rows(conn, change_log, _COLUMNS, rows)


def _text(value: Value) -> str | None:
    return None if value is None or value == "" else str(value)


_L = change_log.c
_NEWEST = (
    select(_L.new)
    .where(_L.table_name == bindparam("table"), _L.row_id == bindparam("row"), _L.field == bindparam("name"))
    .order_by(_L.seq.desc())
    .limit(1)
)


def newest_value(conn: Connection, table: str, row_id: int, field: str) -> str | None:
    """The last value of a field in the log; None if it has no entry."""
    row = conn.execute(_NEWEST, {"table": table, "row": row_id, "name": field}).first()
    return None if row is None else row.new or ""


def born_here(conn: Connection, table: str, row_id: int) -> bool:
    """Whether a person inserted the row. The log does not contain its first values."""
    query = select(_L.seq).where(
        _L.table_name == table, _L.row_id == row_id, _L.kind == "insert", _L.origin == "local"
    )
    return conn.execute(query.limit(1)).first() is not None
