"""Reads the mirror for a published copy: changes, and whole tables in the order of their keys."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from syncer.core.model import Value
from syncer.core.published import Kind, converted
from syncer.store.db.read_only import Reader, chunks, first, placeholders, tuples
from syncer.store.publish.tables import LOG, PUBLISHED, Published

#: Rows of a published table, with the values of its columns.
Rows = list[tuple[Value, ...]]


@dataclass(slots=True)
class Changes:
    """Changes for a copy by table, and its position afterwards."""

    mark: int
    seq: int
    rows: dict[Published, Rows] = field(default_factory=dict)
    gone: dict[Published, list[Value]] = field(default_factory=dict)  #: keys of rows that no longer exist
    more: bool = False  #: whether more changes follow
    forgotten: bool = False  #: whether somebody was forgotten

    @property
    def count(self) -> int:
        """The number of rows to write or remove."""
        return sum(map(len, self.rows.values())) + sum(map(len, self.gone.values()))


def _read(conn: Reader, published: Published, rest: str, *values: object) -> Rows:
    names = ", ".join(f't."{name}"' for name in published.columns)
    found = tuples(conn, f"SELECT {names} FROM {published.source} t {rest}", *values)
    return [converted(row, published.kinds) for row in found]


def rows_of(conn: Reader, published: Published, keys: Sequence[Value]) -> Rows:
    """The rows with these keys that exist."""
    found: Rows = []
    for some in chunks(keys):
        found += _read(conn, published, f'WHERE t."{published.key}" IN ({placeholders(some)})', *some)
    return found


def block(conn: Reader, published: Published, after: Value, size: int) -> Rows:
    """The next rows in the order of their keys, after the key `after` or from the start."""
    where, values = ("", ()) if after is None else (f'WHERE t."{published.key}" > ? ', (after,))
    return _read(conn, published, f'{where}ORDER BY t."{published.key}" LIMIT ?', *values, size)


def newest(conn: Reader) -> tuple[int, int]:
    """The ids of the newest mark and the newest log entry, including deleted ones."""
    query = "SELECT COALESCE((SELECT seq FROM sqlite_sequence WHERE name = ?), 0)"
    return int(first(conn, query, "publish_marks")), int(first(conn, query, "change_log"))


def is_forgetting(conn: Reader) -> bool:
    """Whether somebody was forgotten whom a copy may still have."""
    return bool(first(conn, "SELECT EXISTS (SELECT 1 FROM publish_marks WHERE table_name = 'forgotten')"))


def changes(conn: Reader, mark: int, seq: int, size: int) -> Changes:
    """What changed after a position: at most `size` marks and `size` log entries."""
    marks = tuples(
        conn,
        "SELECT id, table_name, row_key FROM publish_marks WHERE id > ? ORDER BY id LIMIT ?",
        mark,
        size,
    )
    log = _read(conn, LOG, "WHERE t.seq > ? ORDER BY t.seq LIMIT ?", seq, size)
    out = Changes(
        marks[-1][0] if marks else mark,
        int(log[-1][0] or 0) if log else seq,
        more=len(marks) == size or len(log) == size,
        forgotten=any(table == "forgotten" for _, table, _ in marks),
    )
    if log:
        out.rows[LOG] = log
    for published in PUBLISHED.values():
        keys = _keys(published, (key for _, table, key in marks if table == published.marked_by))
        if published is LOG:
            keys = [key for key in keys if isinstance(key, int) and key <= seq]
        if not keys:
            continue
        rows = rows_of(conn, published, keys)
        there = {row[0] for row in rows}
        if rows:
            out.rows[published] = [*out.rows.get(published, ()), *rows]
        if lost := [key for key in keys if key not in there]:
            out.gone[published] = list(lost)
    return out


def _keys(published: Published, written: Iterable[str]) -> Sequence[Value]:
    """The keys of marks without duplicates."""
    if published.key_kind is Kind.NUMBER:
        return sorted({int(one) for one in written if one.removeprefix("-").isdecimal()})
    return list(dict.fromkeys(written))


def pending(conn: Reader, mark: int, seq: int) -> bool:
    """Whether anything changed after a position."""
    query = (
        "SELECT EXISTS (SELECT 1 FROM publish_marks WHERE id > ?) "
        "OR EXISTS (SELECT 1 FROM change_log WHERE seq > ?)"
    )
    return bool(first(conn, query, mark, seq))
