"""Stored times that decide when something is done next, judged by a clock that may have been wrong before.

A clock that was ahead for a while leaves "not before" and "last done" behind that lie far in the future. Such a
time must not hold anything up: what lies further ahead than it can have been set counts as over. Every comparison
of a stored time with the present goes through here; reading and writing the times is left to others.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from syncer.core.cursor import parse
from syncer.core.normalise import utc_text

#: A stored time may lie this much further ahead than it was set: clocks are corrected in small steps.
SLACK = timedelta(minutes=5)


def time_left(until: str | datetime | None, now: datetime, longest: timedelta) -> timedelta:
    """How long to wait until a stored "not before", which is never set further ahead than `longest`.

    Zero when there is none, when it has passed, and when it lies further ahead than it can have been set.
    """
    if until is None:
        return timedelta(0)
    left = (parse(until) if isinstance(until, str) else until) - now
    return left if timedelta(0) < left <= longest + SLACK else timedelta(0)


def has_passed(span: timedelta, since: str | datetime, now: datetime) -> bool:
    """Whether `span` has passed since a stored "last done" or "begun at". Yes, when that lies ahead of now."""
    moment = parse(since) if isinstance(since, str) else since
    return lies_ahead(moment, now) or now - moment >= span


def lies_ahead(done: str | datetime, now: datetime) -> bool:
    """Whether something is said to have been done later than now: by a clock that was ahead."""
    return (parse(done) if isinstance(done, str) else done) - now > SLACK


def latest(now: datetime, longest: timedelta = timedelta(0)) -> str:
    """The greatest time that can have been set by now, for statements: a "last done", or a "not before"
    that is never set further ahead than `longest`."""
    return utc_text(now + longest + SLACK)
