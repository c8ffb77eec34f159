"""Pulls TeleCMI's voicemails, window by window; each window is verified on its own."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from syncer.core import windows
from syncer.core.due import has_passed
from syncer.core.listing import Certificate, worst
from syncer.core.model import Page
from syncer.core.windows import Window
from syncer.errors import RejectedError
from syncer.store.db.connection import Connection
from syncer.store.db.mirrors import VOICEMAILS
from syncer.store.read import coverage
from syncer.store.write import mirror, runs
from syncer.store.write.received import load as load_clocks
from syncer.sync import pull, registry
from syncer.sync.received import learn
from syncer.sync.run import Run
from syncer.sync.vendors import Sample, TelecmiSource
from syncer.sync.voicemail_windows import (
    NARROWEST,
    Reading,
    Shown,
    epoch_ms,
    is_cut,
    list_window,
    note_widest,
    verify_window,
)

JOB = registry.VOICEMAILS

#: Most old windows that one run reads again.
RECHECKS = 10

#: So many voicemails that we know and that no window shows any more make an empty list doubtful.
DOUBTED = 3

#: For so long; then it is believed that the vendor has cleared them away.
DOUBTED_FOR = timedelta(days=1)


def _together(windows_read: list[Certificate]) -> Certificate:
    """One certificate for all windows: the verdict of the one that proves least, the counts of all."""
    found = worst(windows_read)
    assert found is not None

    def total(told: list[int | None]) -> int | None:
        return None if None in told else sum(one or 0 for one in told)

    return replace(
        found,
        pages=sum(one.pages for one in windows_read),
        rows=sum(one.rows for one in windows_read),
        distinct=sum(one.distinct for one in windows_read),
        unreadable=sum(one.unreadable for one in windows_read),
        total_first=total([one.total_first for one in windows_read]),
        total_last=total([one.total_last for one in windows_read]),
    )


async def pull_voicemails(run: Run, source: TelecmiSource) -> None:
    """Read what is recent, then what was never read, then what is due to be read again."""
    account, store = source.account, run.env.store
    job = account.voicemails
    now = run.env.now()
    since = job.begin(now)
    reading = Reading(run, source, width=0, clocks=await store.read(load_clocks, account.name))
    run.windowed = True
    try:
        while True:
            noted = await store.read(coverage.load_windows, account.name)
            verified = windows.believed(noted, epoch_ms(now))
            if len(verified) < len(noted):
                gone = [span.start for span in noted if span not in verified]
                await store.write(runs.drop_windows, account.name, gone)
            reading.width = min(
                int(job.window.total_seconds() * 1000), run.state.notes.get("widest_ms", 2**62)
            )
            plan = windows.plan(
                now=epoch_ms(now),
                since=epoch_ms(since),
                width=reading.width,
                overlap=int(job.overlap.total_seconds() * 1000),
                verified=verified,
                rechecks=RECHECKS,
                full=run.full,
            )
            await _read_all(reading, plan, epoch_ms(now))
            if not reading.cut:
                break
            reading.cut = False
    finally:
        if reading.read:
            run.listings[VOICEMAILS.name] = _together(reading.read)
    pull.learn_volatile(run, VOICEMAILS.name, reading.volatile, reading.rows)
    await _judge_emptiness(reading)


async def _read_all(reading: Reading, plan: list[Window], now: int) -> None:
    run = reading.run
    newest = sum(window.why == "new" for window in plan)  # they come first
    whole = True
    for at, window in enumerate(plan, 1):
        if window.why == "gap" and len(plan) > 3:
            run.env.progress(f"{JOB} windows", run.account, at - 1, len(plan))
        whole = await _read_window(reading, window) and whole
        if reading.cut:
            return
        if at == newest:
            verified = now if whole else None
            later = epoch_ms(run.env.now())
            await learn(run, reading.clocks, now=later, ahead=reading.ahead, verified=verified)


async def _read_window(reading: Reading, window: Window) -> bool:
    """Read one window, and note that it was; False unless it was read whole.

    One that the vendor refuses as too wide is read in halves, and a span that was read in pieces, or
    when windows could be wider, in pieces again.
    """
    if window.end - window.start > reading.width:
        pieces = windows.cells(window.start, window.end, reading.width)
        read = [await verify_window(reading, Window(*piece, window.why)) for piece in reversed(pieces)]
        whole = [one for one in read if one is not None]
        if len(whole) == len(read):
            await _save(
                reading, window, min(one.began for one in whole), sum(len(one.names) for one in whole)
            )
        return len(whole) == len(read)
    shown = await list_window(reading, window)
    if isinstance(shown.error, RejectedError) and shown.nothing and window.end - window.start > NARROWEST:
        halves = [await _read_window(reading, half) for half in windows.split(window, 2)]
        note_widest(reading, window)
        return all(halves)
    if await verify_window(reading, window, shown) is None or await is_cut(reading, window, shown.names):
        return False
    if (
        window.why == "new" and window.start % reading.width == 0
    ):  # the only one that is asked for in each run
        await _watch(reading.run, f"{VOICEMAILS.name} {window.start}", shown)
    reading.shown += len(shown.names)
    known = 0 if shown.names else await reading.run.env.store.read(_known, reading.run.account, window)
    reading.known += known
    if known and not reading.shown:
        reading.unsaved.append((window, shown.began, len(shown.names)))
    else:
        await _save(reading, window, shown.began, len(shown.names))
    return True


async def _watch(run: Run, name: str, shown: Shown) -> None:
    prints = run.state.notes.get("prints", {})
    for old in [one for one in prints if one.startswith(f"{VOICEMAILS.name} ") and one < name]:
        del prints[old]
    await pull.watch_quiescence(run, name, shown.fingerprint, shown.wrote)


def _known(conn: Connection, account: str, window: Window) -> int:
    return mirror.count_between(conn, VOICEMAILS, account, "time", window.start, window.end)


async def _save(reading: Reading, window: Window, began: int, rows: int) -> None:
    run = reading.run

    def save(conn: Connection) -> None:
        # The width asked for, so that the halves of a cell are joined again.
        noted = windows.note(coverage.load_windows(conn, run.account), window, began, reading.width)
        if noted is not None:
            runs.save_window(conn, run.account, *noted, rows)

    await run.env.store.write(save)


async def _judge_emptiness(reading: Reading) -> None:
    """An answer without voicemails where we know of some may be an outage: believe it after a day.

    Nothing is removed either way, but what was so read is not told to be verified meanwhile.
    """
    run, notes = reading.run, reading.run.state.notes
    if reading.shown or reading.known < DOUBTED:
        if reading.shown:
            notes.pop("empty_since", None)
        believed = True
    else:
        since = notes.setdefault("empty_since", run.at)
        believed = has_passed(DOUBTED_FOR, since, run.env.now())
        if not believed:
            run.incomplete(
                f"the vendor lists no voicemails where the mirror has {reading.known}; they are kept"
            )
    if believed:
        for window, began, rows in reading.unsaved:
            await _save(reading, window, began, rows)


async def first_page(source: TelecmiSource, sample: Sample, now: datetime) -> Page:
    """What `doctor` asks for."""
    job = source.account.voicemails
    match sample:
        case Sample.LITTLE:
            begin = now - min(job.window, timedelta(days=1))
        case Sample.PAGE:
            begin = now - job.window
        case Sample.ALL:
            begin = job.begin(now)
    return await source.client.fetch_voicemails_page(epoch_ms(begin), epoch_ms(now), 1)
