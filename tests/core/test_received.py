"""When a voicemail came in: what is read, what proves what, and what is taken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.core.received import (
    OVERTURNED_BY,
    RECENT,
    SLACK,
    Evidence,
    Stamps,
    StampSource,
    prove,
    read_stamps,
    read_time,
    received_ms,
    weigh,
)

NOW = 1_795_262_400_000  # 2026-11-21 12:00 UTC
MINUTE = 60_000
SHIFT = 330 * MINUTE


@pytest.mark.parametrize(
    "sent, read",
    [
        (NOW, NOW),
        (str(NOW), NOW),
        (NOW + 0.4, NOW),
        (NOW // 1000, NOW),
        (str(NOW // 1000), NOW),
        (NOW / 1000 + 0.25, NOW + 250),
        (f"{NOW // 1000}.250", NOW + 250),
        (NOW * 1000, NOW),
        (NOW * 1_000_000, NOW),
        ("2026-11-21T12:00:00Z", NOW),
        (" 2026-11-21 12:00:00 UTC ", NOW),
        ("2026-11-21T17:30:00+05:30", NOW),
        ("2026-11-21T17:30:00.000+0530", NOW),
        # Without a zone the hour is in doubt, and so is what is no time at all.
        ("2026-11-21T12:00:00", None),
        ("2026-11-21", None),
        ("soon", None),
        ("", None),
        (None, None),
        (True, None),
        (0, None),
        (-NOW, None),
        (10**25, None),
        (float("nan"), None),
        (float("inf"), None),
        ([NOW], None),
        ({}, None),
    ],
)
def test_a_time_is_read_where_that_is_beyond_doubt(sent: object, read: int | None) -> None:
    assert read_time(sent) == read


@given(st.one_of(st.integers(), st.floats(), st.text(), st.none(), st.booleans()))
def test_reading_a_time_never_fails(sent: object) -> None:
    found = read_time(sent)
    assert found is None or isinstance(found, int)


def test_a_name_that_is_far_from_the_time_is_read_by_itself() -> None:
    name = f"{NOW // 1000}_1111113_x.mp3"
    assert read_stamps(NOW + SHIFT, name) == Stamps(NOW + SHIFT, NOW)
    assert read_stamps(NOW + 900 * 24 * 60 * MINUTE, name).voicename == NOW
    assert read_stamps(5, name) == Stamps(None, NOW)
    assert read_stamps(NOW, "greeting.mp3") == Stamps(NOW, None)


@pytest.mark.parametrize(
    "stamps, clock, taken",
    [
        (Stamps(NOW - 1, NOW - 2), StampSource.UNKNOWN, NOW - 1),
        (Stamps(NOW - 1, NOW - 2), StampSource.TIME, NOW - 1),
        (Stamps(NOW - 1, NOW - 2), StampSource.VOICENAME, NOW - 2),
        # Of two clocks that differ by seconds neither is wrong.
        (Stamps(NOW + SLACK, NOW), StampSource.UNKNOWN, NOW + SLACK),
        # What is in the future gives way, whatever was proven.
        (Stamps(NOW + SHIFT, NOW), StampSource.UNKNOWN, NOW),
        (Stamps(NOW + SHIFT, NOW), StampSource.TIME, NOW),
        (Stamps(NOW, NOW + SHIFT), StampSource.VOICENAME, NOW),
        # A timestamp far in the future would always be the newest.
        (Stamps(NOW + SHIFT, None), StampSource.UNKNOWN, None),
        (Stamps(NOW + SHIFT, NOW + SHIFT), StampSource.VOICENAME, None),
        # Where one is missing the other is better than none.
        (Stamps(NOW, None), StampSource.VOICENAME, NOW),
        (Stamps(None, NOW), StampSource.UNKNOWN, NOW),
        (Stamps(None, NOW), StampSource.TIME, NOW),
        (Stamps(None, None), StampSource.TIME, None),
    ],
)
def test_which_stamp_is_taken(stamps: Stamps, clock: StampSource, taken: int | None) -> None:
    assert received_ms(stamps, clock, NOW) == taken


BEFORE = NOW - 20 * MINUTE
LEFT = NOW - 5 * MINUTE


@pytest.mark.parametrize(
    "stamps, verified, proven",
    [
        # `time` ahead of the vendor's own clock.
        (Stamps(NOW + SHIFT, NOW), None, StampSource.VOICENAME),
        (Stamps(NOW + SLACK + 1, NOW), None, StampSource.VOICENAME),
        (Stamps(NOW + SLACK, NOW), None, None),
        (Stamps(NOW + SHIFT, NOW + SHIFT), None, None),
        (Stamps(NOW + SHIFT, None), None, None),
        # Listed for the first time, and only one stamp says that it came in since.
        (Stamps(LEFT, LEFT - SHIFT), BEFORE, StampSource.TIME),
        (Stamps(LEFT - SHIFT, LEFT), BEFORE, StampSource.VOICENAME),
        (Stamps(LEFT, LEFT + SHIFT), BEFORE, StampSource.TIME),
        (Stamps(BEFORE - SLACK, LEFT - SHIFT), BEFORE, StampSource.TIME),
        (Stamps(BEFORE - SLACK - 1, LEFT - SHIFT), BEFORE, None),
        (Stamps(LEFT, LEFT), BEFORE, None),
        (Stamps(LEFT - SHIFT, LEFT - 2 * SHIFT), BEFORE, None),
        (Stamps(LEFT, None), BEFORE, None),
        (Stamps(None, LEFT), BEFORE, None),
        # The verification has to be less than an hour old, and not from a future that never was.
        (Stamps(LEFT, LEFT - SHIFT), NOW - RECENT + 1, StampSource.TIME),
        (Stamps(LEFT, LEFT - SHIFT), NOW - RECENT, None),
        (Stamps(LEFT, LEFT - SHIFT), NOW + MINUTE, None),
        (Stamps(LEFT, LEFT - SHIFT), None, None),
    ],
)
def test_what_a_new_voicemail_proves(
    stamps: Stamps, verified: int | None, proven: StampSource | None
) -> None:
    assert prove(stamps, verified=verified, now=NOW, by_server=True) is proven


def test_a_clock_of_ours_does_not_show_that_the_vendors_is_ahead() -> None:
    assert prove(Stamps(NOW + SHIFT, NOW), verified=None, now=NOW, by_server=False) is None


T, V = StampSource.TIME, StampSource.VOICENAME


@pytest.mark.parametrize(
    "proofs, clock",
    [
        ([], StampSource.UNKNOWN),
        ([T], T),
        ([V], V),
        ([T, V], T),
        ([T, V, V], T),
        ([T, V, V, V], V),
        ([T, V, V, T, V, V], T),
        ([T, V, V, T, V, V, V], V),
        ([T, V, V, V, T, T], V),
        ([T, V, V, V, T, T, T], T),
    ],
)
def test_three_proofs_in_a_row_overturn_what_was_proven(
    proofs: list[StampSource], clock: StampSource
) -> None:
    known = Evidence()
    for proof in proofs:
        known = weigh(known, proof)
    assert known.clock is clock
    assert known.contrary < OVERTURNED_BY


@pytest.mark.parametrize(
    ("stamps", "verified", "proven"),
    [
        (Stamps(LEFT - SHIFT, NOW + SLACK), BEFORE, StampSource.VOICENAME),  # as late as clocks may differ
        (Stamps(LEFT, LEFT - SHIFT), NOW, StampSource.TIME),
    ],
)
def test_the_edges_of_what_proves(stamps: Stamps, verified: int, proven: StampSource) -> None:
    assert prove(stamps, verified=verified, now=NOW, by_server=False) is proven
    assert (
        prove(Stamps(NOW + SHIFT, NOW + SLACK), verified=None, now=NOW, by_server=True)
        is StampSource.VOICENAME
    )
