"""What the log says about edits that are to be undone."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from syncer.core.model import FIELDS, Fields
from syncer.core.undo import Current, Edit
from syncer.store.db.read_only import Reader, first, placeholders, tuples

#: The first and the last entry of a part of the log.
Span = tuple[int, int]

_MINE = "table_name = 'telecmi_contacts' AND origin = 'local'"


def since(conn: Reader, stamp: str) -> Span | None:
    """The entries since a time, or None if there are none."""
    begin = first(conn, "SELECT min(seq) FROM change_log WHERE at >= ?", stamp)
    return None if begin is None else (int(begin), int(first(conn, "SELECT max(seq) FROM change_log")))


def contacts(conn: Reader, spans: Sequence[Span]) -> list[int]:
    """The contacts that people edited in these spans."""
    found: set[int] = set()
    for span in spans:
        query = f"SELECT DISTINCT row_id FROM change_log WHERE seq BETWEEN ? AND ? AND {_MINE}"
        found.update(row_id for (row_id,) in tuples(conn, query, *span))
    return sorted(found)


def missing(conn: Reader, spans: Sequence[Span]) -> int:
    """How many entries of these spans are no longer in the log."""
    query = "SELECT count(*) FROM change_log WHERE seq BETWEEN ? AND ?"
    return sum(end - begin + 1 - int(first(conn, query, begin, end)) for begin, end in spans)


class History:
    """The edits of some contacts, and their current state."""

    def __init__(self, conn: Reader, rows: Sequence[int], spans: Sequence[Span]) -> None:
        self.current: dict[int, tuple[str, Current]] = {}  #: contact -> its account, and its current state
        self.edits: dict[int, list[Edit]] = {row: [] for row in rows}  #: people's edits within the spans
        self.later: dict[int, list[Edit]] = {row: [] for row in rows}  #: everything after the last of them
        some = placeholders(rows)
        query = (
            f"SELECT id, account, deleted_at, {', '.join(FIELDS)} FROM telecmi_contacts WHERE id IN ({some})"
        )
        for row, account, deleted_at, *six in tuples(conn, query, *rows):
            fields = Fields(*("" if value is None else value for value in six))
            self.current[row] = (account, Current(row, fields, deleted_at is not None))
        starts = [begin for begin, _ in spans]
        query = (
            "SELECT row_id, seq, kind, field, old, new, origin FROM change_log "
            f"WHERE table_name = 'telecmi_contacts' AND row_id IN ({some}) ORDER BY seq"
        )
        for row, seq, kind, name, old, new, origin in tuples(conn, query, *rows):
            at = bisect_right(starts, seq) - 1
            edit = Edit(kind, name, old, new)
            if origin == "local" and at >= 0 and seq <= spans[at][1]:
                self.edits[row].append(edit)
                self.later[row].clear()
            else:
                self.later[row].append(edit)
