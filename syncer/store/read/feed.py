"""Reads `change_log` as a feed, by `seq`."""

from __future__ import annotations

from dataclasses import dataclass

from syncer.core.wording import some
from syncer.store.db.columns import OPEN_STATES, columns
from syncer.store.db.read_only import Reader, first, tuples


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the log."""

    seq: int
    at: str
    table_name: str
    row_id: int
    kind: str
    field: str | None
    old: str | None
    new: str | None
    origin: str
    actor: str | None = None


def last_seq(conn: Reader) -> int:
    """The newest entry's `seq`, or 0."""
    return int(first(conn, "SELECT max(seq) FROM change_log") or 0)


def first_seq(conn: Reader) -> int | None:
    """The oldest remaining entry's `seq`: entries are deleted after `retention.log`."""
    found = first(conn, "SELECT min(seq) FROM change_log")
    return None if found is None else int(found)


def number(conn: Reader, *, after: int = 0, upto: int | None = None) -> int:
    """The number of entries after one `seq`, up to another."""
    query = "SELECT count(*) FROM change_log WHERE seq > ? AND seq <= ?"
    return int(first(conn, query, after, 2**63 - 1 if upto is None else upto))


def summary(conn: Reader, after: int) -> list[str]:
    """What changed after an entry: one line per table and kind, with the ids of the first rows."""
    query = "SELECT DISTINCT table_name, kind, row_id FROM change_log WHERE seq > ? ORDER BY row_id"
    rows: dict[tuple[str, str], list[int]] = {}
    for table, kind, row_id in tuples(conn, query, after):
        rows.setdefault((table, kind), []).append(row_id)
    words = {"insert": "add", "update": "change", "delete": "remove"}
    out = []
    for (table, kind), ids in sorted(rows.items()):
        named = "" if kind == "insert" else f" (row {some(ids, 5)})"
        out.append(f"would {words[kind]} {len(ids)} {'row' if len(ids) == 1 else 'rows'} of {table}{named}")
    return out


def entries(conn: Reader, after: int, limit: int | None = None) -> list[Entry]:
    """The entries after a `seq`, in order."""
    query = f"SELECT {columns('change_log')} FROM change_log WHERE seq > ? ORDER BY seq LIMIT ?"
    return [Entry(*row) for row in tuples(conn, query, after, -1 if limit is None else limit)]


def pending(conn: Reader, account: str) -> int:
    """How many local changes of an account are not upstream yet."""
    query = f"SELECT count(*) FROM change_queue WHERE account = ? AND state IN ({OPEN_STATES})"
    return int(first(conn, query, account))
