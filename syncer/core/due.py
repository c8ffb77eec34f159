"""Compares stored times with the present, although the clock may have been wrong when they were written.

A clock that was ahead for a while leaves "not before" and "last done" times far in the future. They must not delay
anything, so a time further ahead than it can have been set counts as passed.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from syncer.core.normalise import utc_text

#: Tolerance for small corrections of the clock.
SLACK = timedelta(minutes=5)


def time_left(until: str | datetime | None, now: datetime, longest: timedelta) -> timedelta:
    """How long to wait until a stored "not before", which is never set further ahead than `longest`.

    Zero if there is none, if it has passed, or if it is further ahead than it can have been set.
    """
    if until is None:
        return timedelta(0)
    left = _moment(until) - now
    return left if timedelta(0) < left <= longest + SLACK else timedelta(0)


def has_passed(span: timedelta, since: str | datetime, now: datetime) -> bool:
    """Whether `span` has passed since a stored "last done" or "begun at". Also true if that is in the future."""
    return lies_ahead(since, now) or now - _moment(since) >= span


def lies_ahead(done: str | datetime, now: datetime) -> bool:
    """Whether a "last done" is in the future: the clock was ahead when it was written."""
    return _moment(done) - now > SLACK


def latest(now: datetime, longest: timedelta = timedelta(0)) -> str:
    """The greatest time that can have been stored by now, for SQL: a "last done", or a "not before"
    that is never set further ahead than `longest`."""
    return utc_text(now + longest + SLACK)


def _moment(stored: str | datetime) -> datetime:
    return datetime.fromisoformat(stored) if isinstance(stored, str) else stored
