"""Stored times after a clock that was ahead."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from syncer.core.due import SLACK, has_passed, latest, lies_ahead, time_left
from syncer.core.normalise import utc_text

NOW = datetime(2026, 11, 29, 9, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("ahead", "left"),
    [
        (None, timedelta(0)),
        (-timedelta(seconds=1), timedelta(0)),
        (timedelta(0), timedelta(0)),
        (timedelta(seconds=1), timedelta(seconds=1)),
        (HOUR, HOUR),
        (HOUR + SLACK, HOUR + SLACK),  # set just before the clock was corrected by a little
        (HOUR + SLACK + timedelta(seconds=1), timedelta(0)),
        (timedelta(hours=5, minutes=30), timedelta(0)),
        (timedelta(days=60), timedelta(0)),
        (timedelta(days=3650), timedelta(0)),
    ],
)
def test_a_not_before_holds_no_longer_than_it_can_have_been_set(
    ahead: timedelta | None, left: timedelta
) -> None:
    until = None if ahead is None else NOW + ahead
    assert time_left(until, NOW, HOUR) == left
    assert time_left(None if until is None else utc_text(until), NOW, HOUR) == left


@pytest.mark.parametrize(
    ("ago", "passed"),
    [
        (HOUR, True),
        (HOUR - timedelta(seconds=1), False),
        (timedelta(0), False),
        (-SLACK, False),  # done just before the clock was corrected by a little
        (-SLACK - timedelta(seconds=1), True),
        (-timedelta(hours=5, minutes=30), True),
        (-timedelta(days=60), True),
    ],
)
def test_what_was_done_in_the_future_is_due(ago: timedelta, passed: bool) -> None:
    assert has_passed(HOUR, NOW - ago, NOW) is passed
    assert has_passed(HOUR, utc_text(NOW - ago), NOW) is passed
    assert lies_ahead(NOW - ago, NOW) is (passed and ago < timedelta(0))


def test_the_bound_for_statements_is_the_same() -> None:
    assert latest(NOW) == utc_text(NOW + SLACK)
    assert time_left(latest(NOW, HOUR), NOW, HOUR) == HOUR + SLACK
