"""The cursor: the server's own stamps, never past its clock."""

from __future__ import annotations

from datetime import timedelta

import pytest

from syncer.core.cursor import advance, ask_after, is_older

NOON = "2026-11-21T12:00:00.000Z"
TEN = timedelta(minutes=10)


@pytest.mark.parametrize(
    "cursor, stamps, expected",
    [
        (None, [], None),
        (None, [None], None),
        (None, ["2026-11-21T11:00:00.000Z", "2026-11-21T11:30:00.000Z"], "2026-11-21T11:30:00.000Z"),
        ("2026-11-21T11:45:00.000Z", ["2026-11-21T11:30:00.000Z"], "2026-11-21T11:45:00.000Z"),  # never back
        ("2026-11-21T11:00:00.000Z", [NOON], NOON),
        ("2026-11-21T11:00:00.000Z", ["2099-01-01T00:00:00.000Z"], "2026-11-21T11:00:00.000Z"),
        (None, ["2099-01-01T00:00:00.000Z"], None),
        ("2099-01-01T00:00:00.000Z", [], NOON),  # one that an older version let through
    ],
)
def test_advance(cursor: str | None, stamps: list[str | None], expected: str | None) -> None:
    assert advance(cursor, stamps, NOON) == expected


def test_what_is_asked_for() -> None:
    assert ask_after(NOON, TEN, "%Y-%m-%d %H:%M:%S") == "2026-11-21 11:49:59"
    assert ask_after("2026-11-21T12:00:00.900Z", timedelta(), "%H:%M:%S") == "11:59:59"


@pytest.mark.parametrize(
    "stamp, older",
    [
        (None, False),
        (NOON, False),
        (
            "2026-11-21T06:20:00.000Z",
            False,
        ),  # read in IST, the filter lets five and a half hours more through
        ("2026-11-21T05:49:00.000Z", True),
    ],
)
def test_rows_that_should_not_have_come(stamp: str | None, older: bool) -> None:
    assert is_older(stamp, NOON, TEN) is older


def test_a_longer_overlap_lets_older_rows_through() -> None:
    edge = "2026-11-21T05:50:00.000Z"  # noon, less the overlap and six hours
    assert not is_older(edge, NOON, TEN) and is_older(edge, NOON, timedelta(minutes=9))
