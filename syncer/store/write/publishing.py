"""The statements of `publish_targets` and `publish_marks`: what is known of each published copy."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from syncer.store.db.read_only import Reader, first, raw, tuples
from syncer.store.db.revision import HEAD
from syncer.store.read.publish_queries import is_pending


@dataclass(frozen=True, slots=True)
class TargetState:
    """What the mirror knows of a copy."""

    mark: int | None
    seq: int | None
    token: str | None
    next_token: str | None
    revision: str | None
    swept_at: str | None


def is_registered(conn: Reader, wanted: Collection[str]) -> bool:
    """Whether `register` would change nothing."""
    return {name for (name,) in tuples(conn, "SELECT target FROM publish_targets")} == set(wanted)


def register(conn: Connection, wanted: Collection[str], at: str) -> None:
    """Write down the targets of the config. What only a target that is gone still needed goes."""
    there = {name for (name,) in tuples(conn, "SELECT target FROM publish_targets")}
    for name in there - set(wanted):
        raw(conn).execute("DELETE FROM publish_targets WHERE target = ?", (name,))
    for name in sorted(set(wanted) - there):
        raw(conn).execute("INSERT INTO publish_targets (target, registered_at) VALUES (?, ?)", (name, at))
    _forget_marks(conn)


def load(conn: Reader, target: str) -> TargetState:
    """What is known of a copy."""
    query = "SELECT mark, seq, token, next_token, revision, swept_at FROM publish_targets WHERE target = ?"
    return next((TargetState(*row) for row in tuples(conn, query, target)), TargetState(*[None] * 6))


def begin(conn: Connection, target: str, token: str | None, next_token: str) -> None:
    """A pass begins: the copy is in the state `token`, or will be in `next_token`."""
    raw(conn).execute(
        "UPDATE publish_targets SET token = ?, next_token = ?, "
        "floor = COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'publish_marks'), 0) WHERE target = ?",
        (token, next_token, target),
    )


def finish(
    conn: Connection, target: str, token: str, position: tuple[int, int], at: str, *, swept: bool
) -> None:
    """A pass is done: the copy is at that mark and entry of the log. Marks that nobody needs any more go."""
    raw(conn).execute(
        "UPDATE publish_targets SET token = ?, next_token = NULL, floor = NULL, mark = ?, seq = ?, revision = ?, "
        "published_at = ?, swept_at = CASE WHEN ? THEN ? ELSE swept_at END WHERE target = ?",
        (token, *position, HEAD, at, swept, at, target),
    )
    _forget_marks(conn)


def _forget_marks(conn: Connection) -> None:
    """A target that was never published whole needs none but those after its `floor`."""
    raw(conn).execute(
        "DELETE FROM publish_marks WHERE id <= COALESCE((SELECT min(COALESCE(mark, floor)) FROM publish_targets "
        "WHERE COALESCE(mark, floor) IS NOT NULL), (SELECT max(id) FROM publish_marks))"
    )


def next_due(conn: Reader, account: str, now: datetime) -> tuple[int, str | None]:
    """Whether something is to be published at once. A copy that was never whole is made so by its schedule."""
    del now
    return int(is_pending(conn, account)), None


def has_targets(conn: Reader) -> bool:
    """Whether anything is published."""
    return bool(first(conn, "SELECT EXISTS (SELECT 1 FROM publish_targets)"))
