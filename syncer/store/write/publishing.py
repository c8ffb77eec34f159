"""The statements of `publish_targets` and `publish_marks`: how far each published copy is."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from syncer.store.db.read_only import Reader, raw, tuples
from syncer.store.db.revision import HEAD
from syncer.store.read.publish_queries import is_pending


@dataclass(frozen=True, slots=True)
class TargetState:
    """How far a copy is; see the columns of `publish_targets`."""

    mark: int | None = None
    seq: int | None = None
    token: str | None = None
    next_token: str | None = None
    revision: str | None = None
    swept_at: str | None = None


def is_registered(conn: Reader, wanted: Collection[str]) -> bool:
    """Whether `register` would change nothing."""
    return _targets(conn) == set(wanted)


def register(conn: Connection, wanted: Collection[str], at: str) -> None:
    """Store the targets of the config, and delete other targets with the marks that only they needed."""
    there, driver = _targets(conn), raw(conn)
    for name in there - set(wanted):
        driver.execute("DELETE FROM publish_targets WHERE target = ?", (name,))
    for name in sorted(set(wanted) - there):
        driver.execute("INSERT INTO publish_targets (target, registered_at) VALUES (?, ?)", (name, at))
    _forget_marks(conn)


def _targets(conn: Reader) -> set[str]:
    return {name for (name,) in tuples(conn, "SELECT target FROM publish_targets")}


def load(conn: Reader, target: str) -> TargetState:
    """How far a copy is."""
    query = "SELECT mark, seq, token, next_token, revision, swept_at FROM publish_targets WHERE target = ?"
    return next((TargetState(*row) for row in tuples(conn, query, target)), TargetState())


def begin(conn: Connection, target: str, token: str | None, next_token: str) -> None:
    """Record the start of a pass, which takes the copy from the state `token` to `next_token`."""
    raw(conn).execute(
        "UPDATE publish_targets SET token = ?, next_token = ?, "
        "floor = COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'publish_marks'), 0) WHERE target = ?",
        (token, next_token, target),
    )


def finish(
    conn: Connection, target: str, token: str, position: tuple[int, int], at: str, *, swept: bool
) -> None:
    """Record the end of a pass: the copy has everything up to `position`, a mark and an entry of the log.

    `swept` says that every row was compared. Marks that no copy needs any more are deleted.
    """
    raw(conn).execute(
        "UPDATE publish_targets SET token = ?, next_token = NULL, floor = NULL, mark = ?, seq = ?, revision = ?, "
        "published_at = ?, swept_at = CASE WHEN ? THEN ? ELSE swept_at END WHERE target = ?",
        (token, *position, HEAD, at, swept, at, target),
    )
    _forget_marks(conn)


def _forget_marks(conn: Connection) -> None:
    """Delete the marks that every copy has. A copy that was never complete only needs those after its `floor`."""
    raw(conn).execute(
        "DELETE FROM publish_marks WHERE id <= COALESCE((SELECT min(COALESCE(mark, floor)) FROM publish_targets "
        "WHERE COALESCE(mark, floor) IS NOT NULL), (SELECT max(id) FROM publish_marks))"
    )


def next_due(conn: Reader, account: str, now: datetime) -> tuple[int, str | None]:
    """1 if there is something to publish now. A copy that was never complete waits for its schedule instead."""
    del now
    return int(is_pending(conn, account)), None
