"""The cursor of an incremental listing: the greatest timestamp that the server sent, and what to ask for next.

Timestamps are UTC text (`2026-11-21T09:30:00.000Z`), which sorts by time.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

#: `updated_after` may be read in a zone up to this far from UTC (IST is 5 h 30 min), so rows this
#: much older than asked for do not yet show that the filter is ignored.
ZONE_SLACK = timedelta(hours=6)


def advance(cursor: str | None, stamps: Iterable[str | None], server_now: str) -> str | None:
    """The new cursor: the greatest timestamp that is not later than the server's own clock.

    Timestamps in the future are ignored, so that one wrong row cannot hide later changes. The cursor
    never goes back.
    """
    best = cursor if cursor is None or cursor <= server_now else server_now
    for stamp in stamps:
        if stamp is not None and stamp <= server_now and (best is None or stamp > best):
            best = stamp
    return best


def ask_after(cursor: str, overlap: timedelta, form: str) -> str:
    """What to send as `updated_after`: the cursor minus the overlap, in UTC wall time.

    One second is added to the overlap, because timestamps are cut to whole seconds and the filter may mean
    "later than".
    """
    return (datetime.fromisoformat(cursor) - overlap - timedelta(seconds=1)).astimezone(UTC).strftime(form)


def is_older(stamp: str | None, cursor: str, overlap: timedelta) -> bool:
    """Whether the filter, read in any time zone, should have left this row out."""
    return (
        stamp is not None
        and datetime.fromisoformat(stamp) < datetime.fromisoformat(cursor) - overlap - ZONE_SLACK
    )
