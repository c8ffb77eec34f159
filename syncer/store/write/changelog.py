"""The statements of `change_log`: what the mirror saw change, by upstream's hand.

People's own edits are logged by the triggers.
"""

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
    """A row came into the mirror."""
    conn.execute(
        insert(change_log).values(at=at, table_name=table, row_id=row_id, kind="insert", origin=origin)
    )


def removed(conn: Connection, table: str, row_id: int, at: str, origin: str = "upstream") -> None:
    """A row got its tombstone."""
    conn.execute(
        insert(change_log).values(at=at, table_name=table, row_id=row_id, kind="delete", origin=origin)
    )


#: A row of the log, in the order of `_COLUMNS`.
Entry: TypeAlias = tuple[str, str, int, str, str, str | None, str | None, str]

_COLUMNS = ("at", "table_name", "row_id", "kind", "field", "old", "new", "origin")


def entries(
    table: str, row_id: int, changes: Mapping[str, tuple[Value, Value]], at: str, origin: str
) -> list[Entry]:
    """What is to be told of fields of a row that change: (old, new) by field."""
    return [
        (at, table, row_id, "update", name, _text(old), _text(new), origin)
        for name, (old, new) in changes.items()
    ]


def write(conn: Connection, told: Sequence[Entry]) -> None:
    """Tell of changes, in this order."""
    statements.insert_rows(conn, change_log, _COLUMNS, told)


def changed(
    conn: Connection,
    table: str,
    row_id: int,
    changes: Mapping[str, tuple[Value, Value]],
    at: str,
    origin: str,
) -> None:
    """Fields of a row changed: (old, new) by field."""
    write(conn, entries(table, row_id, changes, at, origin))


_L = change_log.c
_NEWEST = (
    select(_L.new)
    .where(_L.table_name == bindparam("table"), _L.row_id == bindparam("row"), _L.field == bindparam("name"))
    .order_by(_L.seq.desc())
    .limit(1)
)


def newest_value(conn: Connection, table: str, row_id: int, field: str) -> str | None:
    """What the log last said of a field; None when it never spoke of it."""
    row = conn.execute(_NEWEST, {"table": table, "row": row_id, "name": field}).first()
    return None if row is None else row.new or ""


def born_here(conn: Connection, table: str, row_id: int) -> bool:
    """Whether a person made the row; the log does not tell with which values."""
    query = select(change_log.c.seq).where(
        change_log.c.table_name == table,
        change_log.c.row_id == row_id,
        change_log.c.kind == "insert",
        change_log.c.origin == "local",
    )
    return conn.execute(query.limit(1)).first() is not None
