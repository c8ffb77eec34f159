"""The statements that count and remove rows of the plain mirrors, at the end of their listings.

What may be removed is decided in `core/limits.py`; taking rows over is `mirror.py`.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, Integer, Table, func, select, update

from syncer.core.rows import Bits
from syncer.store import log
from syncer.store.queue import chunks
from syncer.store.tables import Mirror


def live_count(conn: Connection, mirror: Mirror, account: str) -> int:
    """Living rows of the account."""
    table = mirror.table
    return int(
        conn.execute(
            select(func.count())
            .select_from(table)
            .where(table.c.account == account, table.c.deleted_at.is_(None))
        ).scalar_one()
    )


def count_between(conn: Connection, mirror: Mirror, account: str, column: str, low: int, high: int) -> int:
    """Living rows of the account whose `column` lies in [low, high)."""
    table = mirror.table
    return int(
        conn.execute(
            select(func.count())
            .select_from(table)
            .where(
                table.c.account == account,
                table.c.deleted_at.is_(None),
                table.c[column] >= low,
                table.c[column] < high,
            )
        ).scalar_one()
    )


def filled_counts(conn: Connection, mirror: Mirror, account: str, columns: Iterable[str]) -> dict[str, int]:
    """By column: how many living rows have a value in it."""
    table, out = mirror.table, {}
    for name in columns:
        column = table.c[name]
        out[name] = int(
            conn.execute(
                select(func.count())
                .select_from(table)
                .where(
                    table.c.account == account,
                    table.c.deleted_at.is_(None),
                    column.is_not(None),
                    *([] if isinstance(column.type, Integer) else [column != ""]),
                )
            ).scalar_one()
        )
    return out


def unseen(conn: Connection, mirror: Mirror, account: str, seen: Bits) -> list[int]:
    """Living rows that the listing did not show."""
    table = mirror.table
    query = select(table.c.id).where(table.c.account == account, table.c.deleted_at.is_(None))
    return sorted(row_id for row_id in conn.execute(query).scalars() if row_id not in seen)


def keys_of(conn: Connection, mirror: Mirror, ids: Iterable[int]) -> dict[int, str]:
    """The vendor's identities of rows."""
    table = mirror.table
    out: dict[int, str] = {}
    for block in chunks(ids):
        query = select(table.c.id, table.c[mirror.key]).where(table.c.id.in_(block))
        out |= dict(conn.execute(query).all())
    return out


def raws(
    conn: Connection, table: Table, key: str, account: str, keys: Iterable[str]
) -> dict[str, str | None]:
    """The vendor's own JSON as it is stored, by identity."""
    out: dict[str, str | None] = {}
    for block in chunks(keys):
        query = select(table.c[key], table.c.raw).where(table.c.account == account, table.c[key].in_(block))
        out |= dict(conn.execute(query).all())
    return out


def tombstone(conn: Connection, mirror: Mirror, row_id: int, at: str) -> None:
    """The row is gone upstream: it stays, marked."""
    table = mirror.table
    conn.execute(
        update(table)
        .where(table.c.id == row_id, table.c.deleted_at.is_(None))
        .values(deleted_at=at, last_changed_at=at)
    )
    log.removed(conn, mirror.name, row_id, at)
