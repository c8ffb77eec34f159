"""Waiting: growing, spread, and as long as a vendor asked for within reason."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.core.retry import (
    LONGEST_WAIT,
    RECOVERY,
    backoff,
    halvings_left,
    parse_http_date,
    parse_ist,
    parse_retry_after,
)

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)


def test_it_doubles_up_to_the_cap() -> None:
    assert [backoff(n, 0.0) for n in (1, 2, 3)] == [0.25, 0.5, 1.0]
    assert backoff(1, 0.999) < 0.5
    assert backoff(50, 0.0) == 15.0
    assert backoff(10**6, 0.0) == 15.0


@given(st.integers(min_value=-3), st.floats(0, 1, exclude_max=True))
def test_it_stays_between_half_and_all(attempt: int, rand: float) -> None:
    assert 0.25 <= backoff(attempt, rand) <= 30


@pytest.mark.parametrize(
    ("halvings", "quiet", "left"),
    [
        (0, 0.0, 0),
        (0, float("inf"), 0),
        (3, 0.0, 3),
        (3, RECOVERY - 1, 3),
        (3, RECOVERY, 2),
        (3, 2.5 * RECOVERY, 1),
        (3, 3 * RECOVERY, 0),
        (3, float("inf"), 0),
    ],
)
def test_a_halved_rate_grows_back_step_by_step(halvings: int, quiet: float, left: int) -> None:
    assert halvings_left(halvings, quiet) == left


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("0", 0.0),
        (" 7 ", 7.0),
        ("1.5", 1.5),
        ("99999999", LONGEST_WAIT),
        ("9" * 400, LONGEST_WAIT),
        ("-5", None),
        ("soon", None),
        ("Sat, 21 Nov 2026 09:30:30 GMT", 30.0),
        ("Sat, 21 Nov 2026 09:29:30 GMT", 0.0),
        ("Sat, 21 Nov 2027 09:29:30 GMT", LONGEST_WAIT),
        ("Sat, 99 Nov 2026 09:29:30 GMT", None),
    ],
)
def test_retry_after(header: str | None, seconds: float | None) -> None:
    assert parse_retry_after(header, NOW) == seconds


@given(st.text(max_size=60))
def test_no_header_makes_it_fail(header: str) -> None:
    found = parse_retry_after(header, NOW)
    assert found is None or 0 <= found <= LONGEST_WAIT
    parse_http_date(header)
    parse_ist(header)


def test_a_lockout_is_in_indian_time() -> None:
    assert parse_ist("2026-11-21 15:00:00") == NOW
    assert parse_ist("2026-11-21T15:00:00") == NOW
    assert parse_ist("later") is None
    assert parse_ist(None) is None
    assert parse_ist("0001-01-01 00:00:00") is None
