"""The safety limits: what may go by itself, and what waits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.core.limits import (
    Extent,
    decide_removals,
    endless,
    low_disk,
    too_many_blanks,
    too_many_deletes,
    too_many_gone,
)


@pytest.mark.parametrize(
    "live, gone, held",
    [
        (120, 0, False),
        (120, 1, False),
        (120, 12, False),  # ten of a hundred, just
        (120, 13, True),
        (120, 62, True),
        (120, 120, True),
        (8, 5, False),  # five rows may always go
        (8, 6, True),
        (3, 3, True),  # but never all
        (1, 1, True),  # nor the last one
        (0, 0, False),  # an account that is empty from the start
    ],
)
def test_rows_that_would_go(live: int, gone: int, held: bool) -> None:
    assert bool(too_many_gone(gone, live=live, listed=live - gone, max_deletions=0.10)) is held


def test_an_empty_listing_is_one_too_where_some_rows_were_decided_on() -> None:
    """Two rows, and a person decided to keep one: the other is still the last listed row."""
    verdict = decide_removals(
        live=2,
        listed=0,
        gone=[1, 2],
        blanks=[],
        filled={},
        approved=frozenset(),
        rejected=frozenset({(1, "")}),
        max_deletions=0.1,
    )
    assert verdict.remove == () and verdict.hold == ((2, ""),)


def test_all_rows_may_be_replaced_by_others_when_they_are_few() -> None:
    assert not too_many_gone(3, live=3, listed=4, max_deletions=0.10)


@pytest.mark.parametrize(
    "live, blanked, filled, held",
    [
        (120, 1, 120, False),
        (120, 12, 120, False),
        (120, 13, 120, True),
        (120, 120, 120, True),
        (120, 3, 3, False),  # three of 120, though all that there were
        (20, 3, 3, True),
        (20, 3, 20, False),
        (20, 2, 2, False),
        (1, 1, 1, False),  # one person clearing one company
    ],
)
def test_columns_that_would_turn_blank(live: int, blanked: int, filled: int, held: bool) -> None:
    reason = too_many_blanks("name", blanked, filled=filled, live=live, max_deletions=0.10)
    assert bool(reason) is held
    assert not held or "name would turn blank" in reason


def test_deletes_of_our_own() -> None:
    assert not too_many_deletes(5, 5, 0.1)
    assert too_many_deletes(6, 50, 0.1)
    assert not too_many_deletes(6, 60, 0.1)


def test_what_was_approved_goes_and_what_was_rejected_stays() -> None:
    verdict = decide_removals(
        live=100,
        listed=60,
        gone=range(40),
        blanks=[(50, "name"), (51, "name"), (52, "name")],
        filled={"name": 100},
        approved=frozenset({(n, "") for n in range(30)} | {(50, "name")}),
        rejected=frozenset({(n, "") for n in range(30, 38)} | {(51, "name")}),
        max_deletions=0.1,
    )
    assert set(verdict.remove) == {*range(30), 38, 39}
    assert verdict.at_once == set(range(30))
    assert verdict.blanks == {(50, "name"), (52, "name")}
    assert verdict.hold == () and verdict.reason == ""


@given(
    live=st.integers(0, 200),
    share=st.floats(0, 1),
    limit=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    approved=st.sets(st.integers(0, 199)),
    rejected=st.sets(st.integers(0, 199)),
)
def test_each_row_that_is_gone_goes_waits_or_was_rejected(
    live: int, share: float, limit: float, approved: set[int], rejected: set[int]
) -> None:
    gone = list(range(round(live * share)))
    rejected -= approved
    verdict = decide_removals(
        live=live,
        listed=live - len(gone),
        gone=gone,
        blanks=[],
        filled={},
        approved=frozenset((n, "") for n in approved),
        rejected=frozenset((n, "") for n in rejected),
        max_deletions=limit,
    )
    held = {row for row, _ in verdict.hold}
    assert set(verdict.remove) | held | (rejected & set(gone)) == set(gone)
    assert not set(verdict.remove) & held
    assert set(verdict.remove) >= approved & set(gone)
    unasked = set(verdict.remove) - approved
    assert len(unasked) <= max(5, limit * live)
    assert not live or len(gone) < live or set(gone) <= approved | rejected or held


def extent(rows: int, *, size: int = 0, page: int = 0, known: int = 0, counted: int | None = None) -> Extent:
    return Extent(rows, size, page, known, counted)


@pytest.mark.parametrize(
    ("allowed", "ended"),
    [
        (extent(100_000), extent(100_001)),
        (extent(100_000, known=5_000), extent(100_001, known=5_000)),
        (extent(160_000, known=40_000), extent(160_001, known=40_000)),
        (extent(1_000, counted=12), extent(1_001, counted=12)),
        (extent(2_000, counted=1_000), extent(2_001, counted=1_000)),
        (extent(8_000, known=2_000, counted=12), extent(8_001, known=2_000, counted=12)),
        (extent(2_000_000, counted=1_000_000), extent(2_000_001, counted=1_000_000)),
        (extent(10, size=40_000_000), extent(10, size=40_000_001)),
        (
            extent(1_000_000, size=2_048_000_000, counted=1_000_000),
            extent(1_000_000, size=2_048_000_001, counted=1_000_000),
        ),
        (extent(10, page=8_000_000), extent(10, page=8_000_001)),
    ],
)
def test_how_far_a_listing_is_read(allowed: Extent, ended: Extent) -> None:
    assert endless(allowed) == ""
    assert endless(ended) != ""


def test_an_endless_listing_is_ended_in_words() -> None:
    assert endless(extent(1_001, size=2_500_000, known=12, counted=11)) == (
        "the listing does not end: 1,001 rows (2.5 MB) came, where 12 were known and it counted 11 itself; "
        "if upstream really has so many, the next runs read on"
    )


@pytest.mark.parametrize(
    ("free", "total", "low"),
    [
        (200_000_000, 10**12, False), (199_999_999, 10**12, True), (0, 10**12, True),
        (1_000_000, 20_000_000, False), (999_999, 20_000_000, True), (0, 0, False),
    ],
)  # fmt: skip
def test_the_reserve_of_a_disk(free: int, total: int, low: bool) -> None:
    assert bool(low_disk(free, total)) is low


def test_each_column_that_would_turn_blank_is_counted_by_itself() -> None:
    verdict = decide_removals(
        live=20,
        listed=20,
        gone=[],
        blanks=[*((n, "name") for n in range(3)), (0, "city")],
        filled={"name": 3, "city": 20},
        approved=frozenset(),
        rejected=frozenset(),
        max_deletions=0.1,
    )
    assert verdict.hold == ((0, "name"), (1, "name"), (2, "name")) and verdict.blanks == {(0, "city")}
    assert verdict.reason == "name would turn blank in 3 of 20 rows, more than max_deletions = 10%"
    assert not too_many_blanks("name", 5, filled=20, live=20, max_deletions=0.1)
    assert too_many_blanks("name", 6, filled=20, live=20, max_deletions=0.1)
