"""The statements that read `change_log` as a feed: by `seq`, for programs and for `sync --dry-run`."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from syncer.store.tables import change_log


def last_seq(conn: Connection) -> int:
    """The newest entry's number; 0 when there is none."""
    return int(conn.execute(select(func.max(change_log.c.seq))).scalar() or 0)


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
