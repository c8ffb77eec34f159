"""One run over a list that is read in time windows. Each window is verified and recorded separately.

`core/windows.py` decides which windows to read, and `windowed_list.py` reads one.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import assert_never

from syncer.config import Windowed
from syncer.core import windows
from syncer.core.due import has_passed
from syncer.core.listing import Certificate, worst
from syncer.core.windows import Window
from syncer.errors import RejectedError
from syncer.store.db.connection import Connection
from syncer.store.read import coverage
from syncer.store.write import runs
from syncer.sync import pull
from syncer.sync.vendors import Sample
from syncer.sync.windowed_list import (
    CLOCKS_DIFFER,
    NARROWEST,
    Shown,
    WindowedList,
    epoch_ms,
)

#: The most old windows that one run reads again.
RECHECKS = 10

#: An empty answer is doubted for this long. After that, the vendor is assumed to have deleted the rows.
DOUBTED_FOR = timedelta(days=1)


def _combined(windows_read: list[Certificate]) -> Certificate:
    """One certificate for all windows: the verdict of the one that proves least, and the sums of all counts."""
    found = worst(windows_read)
    assert found is not None

    def total(counted: list[int | None]) -> int | None:
        return None if None in counted else sum(one or 0 for one in counted)

    return replace(
        found,
        pages=sum(one.pages for one in windows_read),
        rows=sum(one.rows for one in windows_read),
        distinct=sum(one.distinct for one in windows_read),
        unreadable=sum(one.unreadable for one in windows_read),
        total_first=total([one.total_first for one in windows_read]),
        total_last=total([one.total_last for one in windows_read]),
    )


async def pull_windows(listing: WindowedList) -> None:
    """Read the recent windows, then those that were never read, then those that are due again."""
    run, job = listing.run, listing.job
    store, now = run.env.store, run.env.now()
    since = job.begin(now)
    run.windowed = True
    try:
        while True:
            noted = await store.read(coverage.load_windows, run.account, listing.name)
            verified = windows.believed(noted, epoch_ms(now))
            if len(verified) < len(noted):
                gone = [span.start for span in noted if span not in verified]
                await store.write(runs.drop_windows, run.account, listing.name, gone)
            listing.width = min(
                int(job.window.total_seconds() * 1000), run.state.notes.get("widest_ms", 2**62)
            )
            plan = windows.plan(
                now=epoch_ms(now),
                since=epoch_ms(since),
                width=listing.width,
                overlap=int(job.overlap.total_seconds() * 1000),
                verified=verified,
                rechecks=RECHECKS,
                full=run.full,
                ahead=listing.ahead,
                sparing=listing.counts,
            )
            await _read_all(listing, plan, epoch_ms(now))
            if not listing.cut:
                break
            listing.cut = False
    finally:
        if listing.read:
            run.listings[listing.name] = _combined(listing.read)
    pull.learn_volatile(run, listing.name, listing.volatile, listing.rows)
    await _save_unsaved(listing)


async def _read_all(listing: WindowedList, plan: list[Window], now: int) -> None:
    run = listing.run
    newest = sum(window.why == "new" for window in plan)  # the new ones come first
    whole = True
    for at, window in enumerate(plan, 1):
        if window.why == "gap" and len(plan) > 3:
            run.env.progress(f"{run.job} windows", run.account, at - 1, len(plan))
        whole = await _read_window(listing, window) and whole
        if listing.cut:
            return
        if at == newest:
            await listing.newest_read(now if whole else None)


async def _read_window(listing: WindowedList, window: Window) -> bool:
    """Read one window and record it. False unless it was read completely.

    A window that the vendor refuses as too wide is read in halves. A span that was read in pieces before is read
    in pieces again.
    """
    stretched = min(listing.ahead, CLOCKS_DIFFER)  # the newest window may end this far in the future
    if window.end - window.start > listing.width + stretched:
        return await _read_in_pieces(listing, window)
    if listing.counts and window.why == "new" and not listing.run.full:  # `verify` reads everything as well
        shown = await listing.no_news(window)
        if shown is not None:
            listing.read.append(shown.certificate)
            listing.shown += len(shown.names)
            await _save(listing, window, shown.began, shown.certificate.distinct)
            return True
    shown = await listing.list_window(window)
    if isinstance(shown.error, RejectedError) and shown.nothing and window.end - window.start > NARROWEST:
        halves = [await _read_window(listing, half) for half in windows.split(window, 2)]
        listing.note_widest(window)
        return all(halves)
    if await listing.verify_window(window, shown) is None or await listing.is_cut(window, shown.names):
        return False
    if window.why == "new" and window.start % listing.width == 0:  # the only window that is read in each run
        await _watch(listing, window, shown)
    listing.shown += len(shown.names)
    known = 0 if shown.names else await listing.run.env.store.read(listing.count_known, window)
    listing.known += known
    if known and not listing.shown:
        listing.unsaved.append((window, shown.began, len(shown.names)))
    else:
        await _save(listing, window, shown.began, len(shown.names))
    return True


async def _read_in_pieces(listing: WindowedList, window: Window) -> bool:
    pieces = windows.cells(window.start, window.end, listing.width)
    read = [await listing.verify_window(Window(*piece, window.why)) for piece in reversed(pieces)]
    whole = [one for one in read if one is not None]
    if len(whole) < len(read):
        return False
    await _save(listing, window, min(one.began for one in whole), sum(len(one.names) for one in whole))
    return True


async def _watch(listing: WindowedList, window: Window, shown: Shown) -> None:
    name, prints = f"{listing.name} {window.start}", listing.run.state.notes.get("prints", {})
    for old in [one for one in prints if one.startswith(f"{listing.name} ") and one < name]:
        del prints[old]
    await pull.watch_quiescence(listing.run, name, shown.fingerprint, shown.wrote)


async def _save(listing: WindowedList, window: Window, began: int, rows: int) -> None:
    run = listing.run

    def save(conn: Connection) -> None:
        # The configured width, so the halves of a cell are joined again.
        noted = windows.note(
            coverage.load_windows(conn, run.account, listing.name), window, began, listing.width
        )
        if noted is not None:
            runs.save_window(conn, run.account, listing.name, *noted, rows)

    await run.env.store.write(save)


async def _save_unsaved(listing: WindowedList) -> None:
    """Record the windows that came empty although the mirror has rows there, unless that may be an outage.

    Nothing is removed in either case, but until the answers are believed the windows do not count as verified.
    """
    run, notes = listing.run, listing.run.state.notes
    key = "empty_since" + listing.name.removeprefix(listing.mirror.name)
    if listing.shown:
        notes.pop(key, None)
    elif listing.known >= listing.doubted:
        since = notes.setdefault(key, run.at)
        if not has_passed(DOUBTED_FOR, since, run.env.now()):
            run.incomplete(
                f"the vendor lists no {listing.what} where the mirror has {listing.known}; they are kept"
            )
            return
    for window, began, rows in listing.unsaved:
        await _save(listing, window, began, rows)


def sample_span(job: Windowed, sample: Sample, now: datetime) -> tuple[int, int]:
    """The span that `doctor` requests, in epoch milliseconds."""
    match sample:
        case Sample.LITTLE:
            begin = now - min(job.window, timedelta(days=1))
        case Sample.PAGE:
            begin = now - job.window
        case Sample.ALL:
            begin = job.begin(now)
        case _:
            assert_never(sample)
    return epoch_ms(begin), epoch_ms(now)
