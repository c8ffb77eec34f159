"""The statements of `change_log` for changes from upstream. Triggers log people's edits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from sqlalchemy import Connection, bindparam, insert, select

from syncer.core.model import Value
from syncer.store.db import statements
from syncer.store.db.tables import change_log


def _text(value: Value) -> str | None:
    return None if value is None or value == "" else str(value)


def inserted(conn: Connection, table: str, row_id: int, at: str, origin: str = "upstream") -> None:
    """Log an inserted row."""
    conn.execute(
        insert(change_log).values(at=at, table_name=table, row_id=row_id, kind="insert", origin=origin)
    )


def removed(conn: Connection, table: str, row_id: int, at: str, origin: str = "upstream") -> None:
    """Log a row that became a tombstone."""
    conn.execute(
        insert(change_log).values(at=at, table_name=table, row_id=row_id, kind="delete", origin=origin)
    )


#: A row of the log, in the order of `_COLUMNS`.
Entry: TypeAlias = tuple[str, str, int, str, str, str | None, str | None, str]

_COLUMNS = ("at", "table_name", "row_id", "kind", "field", "old", "new", "origin")


def entries(
    table: str, row_id: int, changes: Mapping[str, tuple[Value, Value]], at: str, origin: str
) -> list[Entry]:
    """The log entries for changed fields of a row: (old, new) by field."""
    return [
        (at, table, row_id, "update", name, _text(old), _text(new), origin)
        for name, (old, new) in changes.items()
    ]


def write(conn: Connection, told: Sequence[Entry]) -> None:
    """Log changes, in this order."""
    statements.insert_rows(conn, change_log, _COLUMNS, told)


def changed(
    conn: Connection,
    table: str,
    row_id: int,
    changes: Mapping[str, tuple[Value, Value]],
    at: str,
    origin: str,
) -> None:
    """Log changed fields of a row: (old, new) by field."""
    write(conn, entries(table, row_id, changes, at, origin))


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
    query = select(change_log.c.seq).where(
        change_log.c.table_name == table,
        change_log.c.row_id == row_id,
        change_log.c.kind == "insert",
        change_log.c.origin == "local",
    )
    return conn.execute(query.limit(1)).first() is not None
