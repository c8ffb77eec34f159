"""How long to wait before another attempt: our own backoff, or what a vendor asks for."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache

#: The longest wait that a vendor can ask for, in seconds.
LONGEST_WAIT = 3600.0

#: Indian time, which has no daylight saving.
IST = timezone(timedelta(hours=5, minutes=30))

#: The longest pause of a job after refused credentials, in seconds.
LONGEST_PAUSE = 6 * 3600.0


def backoff(attempt: int, rand: float, base: float = 0.5, cap: float = 30.0) -> float:
    """Seconds to wait after failed attempt number `attempt` (from 1).

    Doubles from `base` up to `cap`. `rand` in [0, 1) picks a point in the upper half of that, so that clients do not
    all retry at the same moment.
    """
    full = cap if attempt > 60 else min(cap, base * 2.0 ** max(0, attempt - 1))
    return full * (0.5 + 0.5 * rand)


#: A 429 halves the request rate, at most this often. It doubles again after this many seconds without one.
MOST_HALVINGS = 3
RECOVERY = 30.0


def halvings_left(halvings: int, quiet: float) -> int:
    """How many halvings of the configured rate remain, `quiet` seconds after the last of `halvings`."""
    return 0 if quiet >= halvings * RECOVERY else halvings - int(quiet / RECOVERY)


def parse_retry_after(header: str | None, now: datetime) -> float | None:
    """Seconds that a `Retry-After` header asks for (RFC 9110: seconds or an HTTP date), or None.

    `now` is the time of the answer, preferably the server's own `Date`. At least 0, at most an hour.
    """
    text = (header or "").strip()
    if not text:
        return None
    if re.fullmatch(r"[0-9]+(\.[0-9]*)?", text):
        return min(float(text), LONGEST_WAIT)
    when = parse_http_date(text)
    return None if when is None else min(max((when - now).total_seconds(), 0.0), LONGEST_WAIT)


@lru_cache(maxsize=8)  # all answers within a second have the same `Date`
def parse_http_date(text: str | None) -> datetime | None:
    """An HTTP `Date` in UTC, or None if it is not valid."""
    if not text:
        return None
    from email.utils import parsedate_to_datetime  # imports sockets: 10 ms of each command

    try:
        when = parsedate_to_datetime(text)
        return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def parse_ist(text: str | None) -> datetime | None:
    """Smartflo's `retry_after` field (`YYYY-MM-DD HH:MM:SS`, Indian time) in UTC, or None."""
    try:
        written = (text or "").strip().replace("T", " ")[:19]
        return datetime.strptime(written, "%Y-%m-%d %H:%M:%S").replace(tzinfo=IST).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
