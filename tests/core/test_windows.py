"""Voicemail windows: no gap, every re-check, newest first."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncer.core.windows import (
    AHEAD,
    DAY,
    HOUR,
    RECHECKS,
    Verified,
    Window,
    believed,
    cells,
    gaps,
    look_again,
    note,
    plan,
    recheck_due,
    split,
    union,
)

NOW = 1_795_262_400_000 // DAY * DAY + 12 * HOUR
MINUTE = 60_000


def test_cells_lie_at_whole_multiples() -> None:
    assert cells(5, 25, 10) == [(5, 10), (10, 20), (20, 25)]
    assert cells(10, 20, 10) == [(10, 20)]
    assert cells(7, 7, 10) == []


def test_union_and_gaps() -> None:
    spans = [Verified(10, 20, 0), Verified(20, 30, 0), Verified(25, 28, 0), Verified(40, 50, 0)]
    assert union((v.start, v.end) for v in spans) == [(10, 30), (40, 50)]
    assert gaps(0, 60, spans) == [(0, 10), (30, 40), (50, 60)]
    assert gaps(12, 45, spans) == [(30, 40)]
    assert gaps(10, 30, spans) == []
    assert gaps(0, 5, []) == [(0, 5)]
    assert gaps(5, 5, []) == []


def first_plan(**more: object) -> list[Window]:
    """What a new installation reads."""
    arguments: dict[str, object] = {
        "now": NOW, "since": NOW - 5 * DAY, "width": DAY, "overlap": DAY, "verified": [], "rechecks": 10,
    }  # fmt: skip
    return plan(**(arguments | more))  # type: ignore[arg-type]


def test_the_recent_span_first_then_gaps_newest_first() -> None:
    windows = first_plan()
    assert windows[0].end == NOW + AHEAD
    assert [w.why for w in windows] == sorted((w.why for w in windows), key=["new", "gap", "recheck"].index)
    for why in ("new", "gap"):
        starts = [w.start for w in windows if w.why == why]
        assert starts == sorted(starts, reverse=True)
    assert union((w.start, w.end) for w in windows) == [(NOW - 5 * DAY, NOW + AHEAD)]


def test_no_overlap_is_shorter_than_the_shift_of_the_stamps() -> None:
    recent = [w for w in first_plan(overlap=0) if w.why == "new"]
    assert min(w.start for w in recent) == NOW - AHEAD


def test_what_is_verified_is_no_gap_and_full_reads_it_all_the_same() -> None:
    known = [Verified(NOW - 5 * DAY, NOW - HOUR, NOW)]
    assert {w.why for w in first_plan(verified=known)} == {"new"}
    everything = first_plan(verified=known, full=True)
    assert union((w.start, w.end) for w in everything) == [(NOW - 5 * DAY, NOW + AHEAD)]


def test_a_span_that_a_wrong_clock_noted_is_not_believed() -> None:
    spans = [Verified(0, 1, NOW + minutes * MINUTE) for minutes in (-60, 5, 6)]
    assert believed(spans, NOW) == spans[:2]


def test_rechecks_grow_apart() -> None:
    span = Verified(NOW - DAY, NOW, NOW)
    due_at = []
    for hours in range(24 * 40):
        now = NOW + hours * HOUR
        if recheck_due(span, now):
            due_at.append(now - span.end)
            span = Verified(span.start, span.end, now)
    assert tuple(due_at) == RECHECKS


def test_a_span_that_since_has_passed_is_still_checked_again() -> None:
    span = Verified(NOW - 40 * DAY, NOW - 39 * DAY, NOW - 39 * DAY)
    windows = first_plan(since=NOW - 30 * DAY, verified=[span])
    assert Window(span.start, span.end, "recheck") in windows


def test_rechecks_are_bounded() -> None:
    old = [Verified(NOW - n * DAY, NOW - (n - 1) * DAY, NOW - (n - 1) * DAY) for n in range(3, 40)]
    assert len([w for w in first_plan(since=NOW - 40 * DAY, verified=old) if w.why == "recheck"]) == 10


def test_nothing_of_the_future_is_verified() -> None:
    assert note([], Window(NOW + HOUR, NOW + 2 * HOUR), NOW, DAY) is None
    assert note([], Window(NOW, NOW + HOUR), NOW, DAY) is None
    assert note([], Window(NOW - HOUR, NOW + HOUR), NOW, DAY) == (Verified(NOW - HOUR, NOW, NOW), ())


def test_a_window_that_slides_leaves_one_span_a_cell() -> None:
    day = NOW // DAY * DAY
    old = Verified(day, day + 6 * HOUR, day + 7 * HOUR)
    later = day + 8 * HOUR
    noted = note([old], Window(day + HOUR, day + DAY), later, DAY)
    assert noted == (Verified(day, later, old.at), ()), "the whole of it was last read when the old one was"
    assert note([old], Window(day, day + DAY), later, DAY) == (Verified(day, later, later), ())


def test_spans_that_lie_inside_are_replaced() -> None:
    day = NOW // DAY * DAY
    inside = [Verified(day + n * HOUR, day + (n + 1) * HOUR, NOW) for n in range(3)]
    noted = note(inside, Window(day, day + DAY), day + 12 * HOUR, DAY)
    assert noted == (Verified(day, day + 12 * HOUR, day + 12 * HOUR), (day + HOUR, day + 2 * HOUR))


def test_a_gap_between_two_spans_is_not_bridged() -> None:
    day = NOW // DAY * DAY
    old = Verified(day, day + HOUR, NOW)
    assert note([old], Window(day + 2 * HOUR, day + 3 * HOUR), NOW, DAY) == (
        Verified(day + 2 * HOUR, day + 3 * HOUR, NOW),
        (),
    )


def test_halves_are_the_window() -> None:
    newer, older = split(Window(10, 21, "gap"), 2)
    assert (older.start, older.end, newer.start, newer.end, newer.why) == (10, 15, 15, 21, "gap")


@settings(max_examples=40, deadline=None)
@given(
    steps=st.lists(st.integers(1, 2 * 24 * 60), min_size=1, max_size=8),
    width=st.sampled_from([HOUR, 6 * HOUR, DAY, 3 * DAY]),
    overlap=st.sampled_from([0, 6 * HOUR, DAY, 2 * DAY]),
    cut=st.integers(0, 12),
)
def test_whatever_the_pauses_the_union_is_everything(
    steps: list[int], width: int, overlap: int, cut: int
) -> None:
    """Runs at odd times. Each but the last is cut off after `cut` windows."""
    now, since = NOW, NOW - 4 * DAY
    truth: list[tuple[int, int]] = []
    verified: list[Verified] = []
    for n, step in enumerate(steps):
        now += step * MINUTE
        windows = plan(now=now, since=since, width=width, overlap=overlap, verified=verified, rechecks=10)
        for window in windows[: cut if n + 1 < len(steps) else None]:
            truth.append((window.start, min(window.end, now)))
            noted = note(verified, window, now, width)
            if noted is not None:
                span, replaced = noted
                verified = [v for v in verified if v.start not in {*replaced, span.start}] + [span]
    spans = union((v.start, v.end) for v in verified)
    assert spans == union(span for span in truth if span[0] < span[1]), "what was read is what is noted"
    assert [span for span in spans if span[1] > since][-1] == (min(spans[-1][0], since), now)
    assert all(v.start < v.end and v.at <= now for v in verified)


@pytest.mark.parametrize("width", [HOUR, DAY])
def test_the_plan_of_a_steady_job_stays_small(width: int) -> None:
    verified: list[Verified] = []
    for n in range(24 * 12):
        now = NOW + n * 5 * MINUTE
        for window in plan(
            now=now, since=NOW - DAY, width=width, overlap=DAY, verified=verified, rechecks=10
        ):
            noted = note(verified, window, now, width)
            if noted is not None:
                span, replaced = noted
                verified = [v for v in verified if v.start not in {*replaced, span.start}] + [span]
    assert len(verified) <= 2 * DAY // width + 2


@pytest.mark.parametrize(
    ("read_at", "due"),
    [(None, True), (0, True), (60, False), (39, True), (41, False)],
)
def test_a_recent_window_is_read_again_at_growing_distances(read_at: int | None, due: bool) -> None:
    """One that ended 30 minutes ago, at minute 70 of the clock, is due again 30 minutes after it was read."""
    minute = 60_000
    read = [] if read_at is None else [Verified(30 * minute, 40 * minute, read_at * minute)]
    assert look_again(30 * minute, 40 * minute, read, 70 * minute) is due
    assert look_again(30 * minute, 41 * minute, read, 70 * minute), "only a part of it was read"


def test_a_sparing_plan_reads_the_newest_windows_and_what_is_due() -> None:
    minute = 60_000
    now, width = 1_000 * minute, 10 * minute
    read = [Verified(start, start + width, now - minute) for start in range(0, now, width)]
    asked = {"now": now, "since": 0, "width": width, "overlap": 100 * minute, "verified": read, "rechecks": 0}
    assert len(plan(**asked, ahead=5 * minute)) == 10
    spared = plan(**asked, ahead=5 * minute, sparing=True)
    assert [(one.start, one.end) for one in spared] == [
        (now - width, now + 5 * minute),  # the future alone is worth no request
        (now - 2 * width, now - width),
    ]
    later = {**asked, "now": now + 3 * minute}
    assert [one.start for one in plan(**later, ahead=5 * minute, sparing=True)] == [now, now - width]


def test_a_span_that_was_just_read_is_not_read_again() -> None:
    step = RECHECKS[0]
    span = Verified(NOW - DAY, NOW, NOW)
    assert recheck_due(span, NOW + step) and not recheck_due(span, NOW + step - 1)
    assert recheck_due(Verified(NOW - DAY, NOW, NOW + step - step // 24), NOW + step)
    assert not recheck_due(Verified(NOW - DAY, NOW, NOW + step - step // 24 + 1), NOW + step)


def test_gaps_come_before_old_windows_and_the_newest_first() -> None:
    old = [Verified(NOW - n * DAY, NOW - (n - 1) * DAY, NOW - (n - 1) * DAY) for n in (9, 8, 6, 5)]
    windows = plan(now=NOW, since=NOW - 9 * DAY, width=DAY, overlap=DAY, verified=old, rechecks=3)
    assert [one.why for one in windows] == sorted(
        (one.why for one in windows), key=["new", "gap", "recheck"].index
    )
    rechecks = [one.start for one in windows if one.why == "recheck"]
    assert rechecks == [one.start for one in sorted(old, key=lambda one: -one.start)][:3]
