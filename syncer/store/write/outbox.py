"""The statements of notifications: their targets, what becomes of each, and jobs that are late.

Triggers add the rows of `outbox` (`store/db/outbox_triggers.py`). `core/notifications` decides about retries.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from sqlalchemy import Connection

from syncer.core.due import time_left
from syncer.core.normalise import utc_text
from syncer.core.notifications import LONGEST_WAIT, next_try
from syncer.store.db.read_only import Reader, first, placeholders, raw, tuples
from syncer.store.read.outbox import Notification

#: (target, event, max_age_s): what is older than that when it is first seen is not sent.
Wanted = tuple[str, str, int]

_NO_TARGET = "the config no longer has this target"


def is_registered(conn: Reader, wanted: Iterable[Wanted]) -> bool:
    """Whether `register` would change nothing."""
    there = set(tuples(conn, "SELECT target, event, max_age_s FROM notify_targets"))
    names = sorted({target for target, _, _ in wanted})
    orphan = (
        "SELECT EXISTS (SELECT 1 FROM outbox WHERE state = 'queued' "
        f"AND target NOT IN ({placeholders(names)}))"
    )
    return there == set(wanted) and not first(conn, orphan, *names)


def register(conn: Connection, wanted: Sequence[Wanted]) -> None:
    """Store the targets of the config, and give up what waits for other targets."""
    names = sorted({target for target, _, _ in wanted})
    driver = raw(conn)
    driver.execute("DELETE FROM notify_targets")
    driver.executemany("INSERT INTO notify_targets (target, event, max_age_s) VALUES (?, ?, ?)", wanted)
    driver.execute(
        "UPDATE outbox SET state = 'dead', next_attempt_at = NULL, last_error = ? "
        f"WHERE state = 'queued' AND target NOT IN ({placeholders(names)})",
        (_NO_TARGET, *names),
    )


def mark_sent(conn: Connection, one: Notification, at: str) -> None:
    """Record that the target accepted a notification."""
    raw(conn).execute(
        "UPDATE outbox SET state = 'sent', attempts = attempts + 1, first_attempt_at = COALESCE(first_attempt_at, ?), "
        "next_attempt_at = NULL, sent_at = ?, last_error = NULL WHERE id = ?",
        (at, at, one.id),
    )


def mark_failed(conn: Connection, one: Notification, now: datetime, error: str) -> bool:
    """Record a failed attempt. Returns False if it was the last one, a day after the first.

    A notification that left the queue meanwhile, because its target is no longer in the config, stays as it is.
    """
    began = datetime.fromisoformat(one.first_attempt_at) if one.first_attempt_at else now
    began = min(began, now)  # the clock was ahead at the first attempt, so the day begins now
    again = next_try(one.attempts + 1, began, now)
    changed = raw(conn).execute(
        "UPDATE outbox SET state = ?, attempts = attempts + 1, first_attempt_at = ?, next_attempt_at = ?, "
        "last_error = ? WHERE id = ? AND state = 'queued'",
        (
            "dead" if again is None else "queued",
            utc_text(began),
            utc_text(again) if again else None,
            error,
            one.id,
        ),
    )
    return again is not None or changed.rowcount == 0


def drop(conn: Connection, one: Notification) -> None:
    """Delete a notification that is void, because its row is gone or has changed."""
    raw(conn).execute("DELETE FROM outbox WHERE id = ?", (one.id,))


def retry(conn: Connection, target: str) -> int:
    """Queue the notifications again that were given up for a target. Returns how many."""
    changed = raw(conn).execute(
        "UPDATE outbox SET state = 'queued', attempts = 0, first_attempt_at = NULL, next_attempt_at = NULL "
        "WHERE state = 'dead' AND target = ?",
        (target,),
    )
    return changed.rowcount


def delete_old(conn: Connection, before: str, most: int) -> int:
    """Delete at most `most` settled notifications that were created before a time. Returns how many."""
    changed = raw(conn).execute(
        "DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE state <> 'queued' AND created_at < ? LIMIT ?)",
        (before, most),
    )
    return changed.rowcount


# -- jobs that are late --------------------------------------------------------------------------------

#: Jobs that have succeeded before, but not within three times their `every` (see the view `sync_health`).
_LATE = (
    "SELECT h.job, h.account FROM sync_health h WHERE h.stale AND h.last_ok_at IS NOT NULL AND NOT EXISTS "
    "(SELECT 1 FROM stale_jobs s WHERE s.job = h.job AND s.account = h.account)"
)
_GONE = (
    "SELECT s.job, s.account FROM stale_jobs s WHERE NOT EXISTS "
    "(SELECT 1 FROM sync_jobs j WHERE j.job = s.job AND j.account = s.account AND j.enabled = 1)"
)


def has_late_jobs(conn: Reader) -> bool:
    """Whether `note_late_jobs` would change anything."""
    return bool(first(conn, f"SELECT EXISTS ({_LATE}) OR EXISTS ({_GONE})"))


def note_late_jobs(conn: Connection, at: str, ran: Collection[tuple[str, str]]) -> int:
    """Store which of the jobs `ran` have become late. Triggers report them, and their next success. Returns how many."""
    raw(conn).execute(f"DELETE FROM stale_jobs WHERE (job, account) IN ({_GONE})")
    late = [(job, account, at) for job, account in tuples(conn, _LATE) if (job, account) in ran]
    raw(conn).executemany("INSERT INTO stale_jobs (job, account, since) VALUES (?, ?, ?)", late)
    return len(late)


def next_due(conn: Reader, target: str, now: datetime) -> tuple[int, str | None]:
    """1 if the first notification of a target is due now, else 0 and the time when it is."""
    query = "SELECT next_attempt_at FROM outbox WHERE target = ? AND state = 'queued' ORDER BY id LIMIT 1"
    for (due,) in tuples(conn, query, target):
        return (0, due) if time_left(due, now, LONGEST_WAIT) else (1, None)
    return 0, None
