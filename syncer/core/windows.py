"""Time windows of voicemails and calls: which spans to read now, from what was verified when.

Interval arithmetic on epoch milliseconds. `sync` reads the windows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise

from syncer.core.due import SLACK

HOUR = 3_600_000
DAY = 24 * HOUR

#: Vendor timestamps were seen 5 h 30 min ahead of the real time, so the newest window ends this far after now, and
#: no overlap is shorter than this.
AHEAD = 6 * HOUR

#: A window is read again this long after its end, since rows may show up late.
RECHECKS = (HOUR, DAY, 7 * DAY, 30 * DAY)


@dataclass(frozen=True, slots=True)
class Verified:
    """A span that was read completely, and when."""

    start: int  #: epoch ms, inclusive
    end: int  #: epoch ms, exclusive
    at: int  #: epoch ms of the last complete read; its end may have been read again since


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """A span to be read."""

    start: int  #: epoch ms
    end: int  #: epoch ms
    why: str = "gap"  #: `new`, `gap` or `recheck`


def cells(start: int, end: int, width: int) -> list[tuple[int, int]]:
    """Cut [start, end) at multiples of `width`, so windows that are read twice coincide."""
    out = []
    while start < end:
        stop = min(end, (start // width + 1) * width)
        out.append((start, stop))
        start = stop
    return out


def union(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Merge spans that touch."""
    out: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if out and start <= out[-1][1]:
            out[-1] = (out[-1][0], max(end, out[-1][1]))
        else:
            out.append((start, end))
    return out


def gaps(since: int, until: int, verified: Iterable[Verified]) -> list[tuple[int, int]]:
    """The parts of [since, until) that were never read."""
    out, at = [], since
    for start, end in [*union((v.start, v.end) for v in verified), (until, until)]:
        out.append((at, min(start, until)))
        at = max(at, end)
    return [gap for gap in out if gap[0] < gap[1]]


def believed(verified: Iterable[Verified], now: int) -> list[Verified]:
    """The spans, except those stored while the clock was ahead, whose real end is unknown."""
    return [v for v in verified if v.at - now <= SLACK // timedelta(milliseconds=1)]


def recheck_due(v: Verified, now: int) -> bool:
    """Whether another of `RECHECKS` has passed since this span was last read."""
    read_after, passed = v.at - v.end, now - v.end
    return any(read_after < step <= passed and now - v.at >= step // 24 for step in RECHECKS)


def look_again(start: int, end: int, verified: Iterable[Verified], now: int) -> bool:
    """Whether a recent window is due: it was never read completely, or its last read is as long ago as its end."""
    read = [v.at for v in verified if v.start <= start and end <= v.end]
    return not read or now - max(read) >= now - end


def plan(
    *,
    now: int,
    since: int,
    width: int,
    overlap: int,
    verified: Sequence[Verified],
    rechecks: int,
    full: bool = False,
    ahead: int = AHEAD,
    sparing: bool = False,
) -> list[Window]:
    """What to read in this run, newest first: the recent span, then gaps, then re-checks.

    The recent span is from `overlap` before now to `ahead` after it, and at least as long before as after. If it
    has many windows, a `sparing` plan reads its older ones at growing intervals. One run reads at most `rechecks` old
    windows again, even those before `since`; `full` reads everything since `since` again.
    """
    overlap = max(overlap, ahead)
    recent = max(since, now - overlap)
    new = cells(recent, now + ahead, width)
    if len(new) > 1 and new[-1][0] >= now and ahead < HOUR:
        new[-2:] = [(new[-2][0], new[-1][1])]  # all of it is in the future: not worth its own request
    if sparing:
        new = [(a, b) for a, b in new[:-2] if look_again(a, b, verified, now)] + new[-2:]
    windows = [Window(a, b, "new") for a, b in new]
    for a, b in [(since, recent)] if full else gaps(since, recent, verified):
        windows += [Window(s, e, "gap") for s, e in cells(a, b, width)]
    if not full:
        due = [
            Window(v.start, v.end, "recheck")
            for v in sorted(verified, key=lambda v: -v.start)
            if v.end <= recent and recheck_due(v, now)
        ]
        windows += due[:rechecks]
    order = {"new": 0, "gap": 1, "recheck": 2}
    return sorted(windows, key=lambda w: (order[w.why], -w.start))


def note(
    verified: Iterable[Verified], window: Window, began: int, width: int
) -> tuple[Verified, tuple[int, ...]] | None:
    """What to store after `window` was read completely, starting at `began`: the span, and the starts it replaces.

    A span ends at the latest when its reading began. It is joined to an adjacent span of the same cell, so a recent
    window that moves leaves one span per cell, not one per run. None if the window is in the future or within a longer
    span.
    """
    start, end, at = window.start, min(window.end, began), began
    verified = list(verified)
    longer = any(v.start <= start and end <= v.end and end - start < v.end - v.start for v in verified)
    if end <= start or longer:
        return None
    replaced = []
    cell = start // width
    for old in sorted(verified, key=lambda v: v.start):
        if start <= old.start and old.end <= end:
            replaced.append(old.start)
        elif old.start // width == cell and old.start < start <= old.end and old.end <= end:
            replaced.append(old.start)
            start, at = old.start, min(at, old.at)
    return Verified(start, end, at), tuple(s for s in replaced if s != start)


def split(window: Window, pieces: int) -> list[Window]:
    """The window in `pieces` of about equal width, the newest first."""
    edges = [window.start + (window.end - window.start) * n // pieces for n in range(pieces + 1)]
    return [Window(a, b, window.why) for a, b in pairwise(edges)][::-1]
