"""What needs a person: conflicts, rejected changes, holds, pauses, and what could not be read or delivered.

The sentences contain only row ids and counts, so they may be logged. The table `reported` records what was logged, so a
restart does not log it again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

from syncer.store.db.read_only import Reader, first, tuples

#: The most row ids in a sentence.
NAMED: Final = 5

#: Kind -> singular, plural, and the command that shows it.
_WORDS: Final = {
    "conflict": ("conflict", "conflicts", "syncer queue list"),
    "rejected": ("rejected change", "rejected changes", "syncer queue list"),
    "held": ("held delete", "held deletes", "syncer queue list"),
    "listing": ("held listing", "held listings", "syncer held list"),
    "paused": ("job paused: credentials refused", "jobs paused: credentials refused", "syncer doctor"),
    "undelivered": ("notification given up", "notifications given up", "syncer notify retry"),
    "set_aside": ("row that could not be read", "rows that could not be read", "syncer status"),
}

#: The kinds in `reported`. The jobs log the others.
_REPORTED: Final = ("conflict", "rejected", "held", "listing")

_WAITING = """WITH waiting(kind, account, id, rows) AS (
    SELECT state, 'telecmi.' || account, id, 1 FROM change_queue WHERE state IN ('conflict', 'rejected', 'held')
    UNION ALL
    SELECT 'listing', j.provider || '.' || h.account, h.id, 1 FROM held h
    JOIN sync_jobs j ON j.job = h.job AND j.account = h.account WHERE h.decided_at IS NULL
    UNION ALL
    SELECT 'paused', j.provider || '.' || j.account, j.rowid, 1 FROM sync_health h
    JOIN sync_jobs j ON j.job = h.job AND j.account = h.account WHERE h.paused_until IS NOT NULL
    UNION ALL
    SELECT 'undelivered', 'notify.' || o.target, min(o.id), count(*) FROM outbox o
    WHERE o.state = 'dead' AND o.target IN (SELECT target FROM notify_targets) GROUP BY o.target
    UNION ALL
    SELECT 'set_aside', j.provider || '.' || s.account, s.id, 1 FROM set_aside s
    JOIN sync_jobs j ON j.job = s.job AND j.account = s.account
)"""

_BEGUN = f"""{_WAITING} SELECT w.kind, w.account, w.id FROM waiting w
    LEFT JOIN reported r ON r.kind = w.kind AND r.id = w.id
    WHERE r.id IS NULL AND w.kind IN {_REPORTED} ORDER BY 1, 2, 3"""

_ENDED = f"""{_WAITING} SELECT r.kind, r.account, r.id FROM reported r
    LEFT JOIN waiting w ON w.kind = r.kind AND w.id = r.id WHERE w.id IS NULL ORDER BY 1, 2, 3"""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Everything of one kind that waits in an account."""

    kind: str
    account: str  #: `telecmi.main`
    count: int
    ids: tuple[int, ...]  #: the lowest row ids of changes, holds or set aside rows

    @property
    def command(self) -> str:
        """The command that shows it."""
        return _WORDS[self.kind][2]

    def __str__(self) -> str:
        one, many, _ = _WORDS[self.kind]
        more = ", ..." if self.count > len(self.ids) else ""
        numbers = f" ({', '.join(map(str, self.ids))}{more})" if self.kind in _REPORTED else ""
        return f"{self.account}: {self.count} {one if self.count == 1 else many}{numbers}"


def load(conn: Reader) -> tuple[Waiting, ...]:
    """What waits now, by kind and account."""
    rows = tuples(
        conn,
        f"{_WAITING} SELECT kind, account, sum(rows), group_concat(id) FILTER (WHERE place <= {NAMED}) "
        "FROM (SELECT *, row_number() OVER (PARTITION BY kind, account ORDER BY id) AS place FROM waiting) "
        "GROUP BY kind, account",
    )
    found = [
        Waiting(kind, account, count, tuple(sorted(map(int, str(ids).split(",")))))
        for kind, account, count, ids in rows
    ]
    order = list(_WORDS)
    return tuple(sorted(found, key=lambda one: (order.index(one.kind), one.account)))


def has_news(conn: Reader) -> bool:
    """Whether something started or stopped waiting since the last `report`."""
    return any(first(conn, f"SELECT EXISTS ({query})") for query in (_BEGUN, _ENDED))


def report(conn: Reader, at: str) -> tuple[list[Waiting], list[Waiting]]:
    """What started and what stopped waiting since the last call. Both are now reported."""
    begun, ended = tuples(conn, _BEGUN), tuples(conn, _ENDED)
    for kind, account, number in begun:
        tuples(
            conn,
            "INSERT INTO reported (kind, id, account, at) VALUES (?, ?, ?, ?)",
            kind,
            number,
            account,
            at,
        )
    for kind, _, number in ended:
        tuples(conn, "DELETE FROM reported WHERE kind = ? AND id = ?", kind, number)
    return _grouped(begun), _grouped(ended)


def _grouped(rows: Iterable[Sequence[Any]]) -> list[Waiting]:
    out = []
    for (kind, account), group in groupby(rows, key=lambda row: (row[0], row[1])):
        ids = [row[2] for row in group]
        out.append(Waiting(kind, account, len(ids), tuple(ids[:NAMED])))
    return out
