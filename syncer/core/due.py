"""Stored times that decide when something is done next, written by a clock that may have been wrong.

A clock that was ahead for a while leaves "not before" and "last done" times far in the future. They must not
delay anything: a time further ahead than it can have been set counts as passed. Every comparison of a stored
time with the present goes through this module.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from syncer.core.cursor import parse
from syncer.core.normalise import utc_text

#: Tolerance for small corrections of the clock.
SLACK = timedelta(minutes=5)


def time_left(until: str | datetime | None, now: datetime, longest: timedelta) -> timedelta:
    """How long to wait until a stored "not before", which is never set further ahead than `longest`.

    Zero if there is none, if it has passed, or if it is further ahead than it can have been set.
    """
    if until is None:
        return timedelta(0)
    left = (parse(until) if isinstance(until, str) else until) - now
    return left if timedelta(0) < left <= longest + SLACK else timedelta(0)


def has_passed(span: timedelta, since: str | datetime, now: datetime) -> bool:
    """Whether `span` has passed since a stored "last done" or "begun at". Also true if that is in the future."""
    moment = parse(since) if isinstance(since, str) else since
    return lies_ahead(moment, now) or now - moment >= span


def lies_ahead(done: str | datetime, now: datetime) -> bool:
    """Whether a "last done" is in the future: the clock was ahead when it was written."""
    return (parse(done) if isinstance(done, str) else done) - now > SLACK


def latest(now: datetime, longest: timedelta = timedelta(0)) -> str:
    """The greatest time that can have been stored by now, for SQL: a "last done", or a "not before"
    that is never set further ahead than `longest`."""
    return utc_text(now + longest + SLACK)
