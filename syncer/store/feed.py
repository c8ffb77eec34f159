"""The statements that read `change_log` as a feed: by `seq`, for programs and for `sync --dry-run`."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from syncer.core.queue import SETTLED
from syncer.store.tables import change_log, change_queue


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the log, as the table has it."""

    seq: int
    at: str
    table_name: str
    row_id: int
    kind: str
    field: str | None
    old: str | None
    new: str | None
    origin: str


def last_seq(conn: Connection) -> int:
    """The newest entry's number; 0 when there is none."""
    return int(conn.execute(select(func.max(change_log.c.seq))).scalar() or 0)


def first_seq(conn: Connection) -> int | None:
    """The oldest entry that is still there; older ones are deleted after `retention.log`."""
    found = conn.execute(select(func.min(change_log.c.seq))).scalar()
    return None if found is None else int(found)


def summary(conn: Connection, after: int) -> list[str]:
    """What changed after an entry, a line a table and kind, with the first rows named."""
    c = change_log.c
    query = select(c.table_name, c.kind, c.row_id).where(c.seq > after).distinct().order_by(c.row_id)
    rows: dict[tuple[str, str], list[int]] = {}
    for table, kind, row_id in conn.execute(query):
        rows.setdefault((table, kind), []).append(row_id)
    words = {"insert": "add", "update": "change", "delete": "remove"}
    out = []
    for (table, kind), ids in sorted(rows.items()):
        some = ", ".join(str(i) for i in ids[:5]) + (", ..." if len(ids) > 5 else "")
        named = "" if kind == "insert" else f" (row {some})"
        out.append(f"would {words[kind]} {len(ids)} {'row' if len(ids) == 1 else 'rows'} of {table}{named}")
    return out


def entries(conn: Connection, after: int, limit: int | None = None) -> list[Entry]:
    """The entries after a number, in order."""
    query = select(change_log).where(change_log.c.seq > after).order_by(change_log.c.seq)
    return [Entry(*row) for row in conn.execute(query if limit is None else query.limit(limit))]


def pending(conn: Connection, account: str) -> int:
    """Local changes of an account that are not upstream yet, whatever they wait for."""
    query = select(func.count()).where(
        change_queue.c.account == account, change_queue.c.state.not_in(list(SETTLED))
    )
    return int(conn.execute(query).scalar_one())
