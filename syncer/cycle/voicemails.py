"""Pulls TeleCMI's voicemails, window by window; each window is verified, and told so, on its own."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

from syncer.core import cursor, windows
from syncer.core.listing import Certificate, Walk, worst
from syncer.core.model import Page, Paging, Position, Verdict
from syncer.core.windows import HOUR, Window
from syncer.cycle import mirrors
from syncer.cycle.env import TelecmiSource
from syncer.cycle.run import Run
from syncer.errors import RejectedError
from syncer.store import counting, mirror, runs
from syncer.store.connect import Connection
from syncer.store.tables import VOICEMAILS

JOB = "telecmi-voicemails"

#: Most old windows that one run reads again.
RECHECKS = 10

#: How often one window is read at most, in one run.
MOST_READS = 5

#: A window that is refused is cut in two, but not below this.
NARROWEST = HOUR

#: So many voicemails that we know and that no window shows any more make an empty list doubtful.
DOUBTED = 3

#: For so long; then it is believed that the vendor has cleared them away.
DOUBTED_FOR = timedelta(days=1)


@dataclass(slots=True)
class _Reading:
    """What the windows of one run came to, taken together."""

    run: Run
    source: TelecmiSource
    width: int
    known: int = 0  #: voicemails that the mirror has in the windows read
    shown: int = 0  #: voicemails that the windows showed
    rows: int = 0
    volatile: Counter[str] = field(default_factory=Counter)
    widest: int | None = None  #: a width that the vendor did not refuse, where it refused a greater one
    unsaved: list[tuple[Window, int, int]] = field(default_factory=list)  #: read, but not yet believed
    read: list[Certificate] = field(default_factory=list)  #: one a window


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


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


async def pull_voicemails(run: Run, source: TelecmiSource) -> None:
    """Read what is recent, then what was never read, then what is due to be read again."""
    account, store = source.account, run.env.store
    job = account.voicemails
    now = run.env.now()
    since = now - job.since if isinstance(job.since, timedelta) else job.since
    verified = await store.read(runs.load_windows, account.name)
    width = min(int(job.window.total_seconds() * 1000), run.state.notes.get("widest_ms", 2**62))
    plan = windows.plan(
        now=_ms(now),
        since=_ms(since),
        width=width,
        overlap=int(job.overlap.total_seconds() * 1000),
        verified=verified,
        rechecks=RECHECKS,
        full=run.full,
    )
    reading = _Reading(run, source, width)
    run.windowed = True
    try:
        for at, window in enumerate(plan):
            if window.why == "gap" and len(plan) > 3:
                run.env.progress(f"{JOB} windows", run.account, at, len(plan))
            await _read_window(reading, window)
    finally:
        if reading.read:
            run.listings[VOICEMAILS.name] = _together(reading.read)
    mirrors.learn_volatile(run, VOICEMAILS.name, reading.volatile, reading.rows)
    await _judge_emptiness(reading)


async def _read_window(reading: _Reading, window: Window) -> None:
    """Read one window; one whose count and rows disagree is read again, and told.

    Two readings that agree in all they say have shown what there is, and so have several that showed
    as many voicemails as the vendor counts, taken together. A window that the vendor refuses (nobody
    says how wide one may be) is read in halves.
    """
    run = reading.run
    names: set[str] = set()
    before: tuple[int, int | None, int | None] | None = None
    for _ in range(MOST_READS):
        began = _ms(run.env.now())
        tracker = mirrors.new_tracker(run, VOICEMAILS)
        offset = mirrors.known_offset(run, VOICEMAILS.name)
        walk = Walk(Paging.NUMBERED, has_total=True, offset=offset, asked=10)
        fetch = partial(_fetch, reading.source, window, names)
        certificate, error = await mirrors.read_rows(run, tracker, walk, fetch)
        if isinstance(error, RejectedError) and walk.rows == 0 and window.end - window.start > NARROWEST:
            for half in windows.halves(window):
                await _read_window(reading, half)
            _note_widest(reading, window)
            return
        said = (certificate.distinct, certificate.total_first, certificate.total_last)
        agreed = said == before and certificate.distinct == len(names)
        if certificate.verdict is Verdict.DRIFTED and (agreed or _all_shown(certificate, names)):
            certificate = replace(certificate, verdict=Verdict.COMPLETE, reason="")
            _learn_offset(run, certificate)
        if run.env.shown is not None:
            run.env.shown |= names
        reading.volatile.update(tracker.volatile)
        reading.rows += tracker.rows
        if tracker.waiting:
            # a voicemail never turns blank: what was known of it stays
            await run.env.store.write(mirror.settle_put_off, tracker, mirror.no_blanks)
        if certificate.verdict is not Verdict.DRIFTED:
            break
        before = said
    reading.read.append(certificate)
    if error is not None:
        raise error
    if certificate.verdict is Verdict.PARTIAL:
        run.incomplete(f"a window could not be read whole: {certificate.reason}")
        return
    if certificate.verdict is Verdict.DRIFTED:
        run.log.info("a window's count and rows disagree", reason=certificate.reason)
        if window.why == "gap":
            run.incomplete(f"a window was read again and does not add up: {certificate.reason}")
        return  # not verified: what is recent is read again in any case
    reading.shown += len(names)
    known = 0 if names else await run.env.store.read(_known, run.account, window)
    reading.known += known
    if known and not reading.shown:
        reading.unsaved.append((window, began, len(names)))
    else:
        await _save(reading, window, began, len(names))


async def _fetch(source: TelecmiSource, window: Window, names: set[str], position: Position) -> Page:
    assert isinstance(position, int)
    # One millisecond early: nobody says which ends of a window belong to it.
    page = await source.client.fetch_voicemails_page(max(0, window.start - 1), window.end, position)
    names.update(row.key for row in page.rows)
    return page


def _learn_offset(run: Run, certificate: Certificate) -> None:
    """The vendor counts more than there is, steadily: so an empty window is believed to be empty."""
    over = (certificate.total_first or 0) - certificate.distinct
    if over <= 0 or mirrors.known_offset(run, VOICEMAILS.name) is not None:
        return
    run.state.notes.setdefault("offset", {})[VOICEMAILS.name] = {"value": over, "times": 2}
    run.notice(f"the vendor counts {over} more voicemails than it lists; its count is left out from now on")


def _all_shown(certificate: Certificate, names: set[str]) -> bool:
    total = certificate.total_first
    steady = total == certificate.total_last and not certificate.unreadable
    return steady and total == len(names) > 0


def _known(conn: Connection, account: str, window: Window) -> int:
    return counting.count_between(conn, VOICEMAILS, account, "time", window.start, window.end)


async def _save(reading: _Reading, window: Window, began: int, rows: int) -> None:
    run = reading.run

    def save(conn: Connection) -> None:
        # The width asked for, so that the halves of a cell are joined again.
        noted = windows.note(runs.load_windows(conn, run.account), window, began, reading.width)
        if noted is not None:
            runs.save_window(conn, run.account, *noted, rows)

    await run.env.store.write(save)


def _note_widest(reading: _Reading, refused: Window) -> None:
    """Remember a width that is not refused, so that it is not tried anew each time."""
    width = max(NARROWEST, (refused.end - refused.start) // 2)
    reading.widest = min(reading.widest or width, width)
    if reading.run.state.notes.get("widest_ms") is None:
        reading.run.notice("the vendor refuses voicemail windows of this width; narrower ones are asked for")
    reading.run.state.notes["widest_ms"] = reading.widest


async def _judge_emptiness(reading: _Reading) -> None:
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
        believed = run.env.now() - cursor.parse(since) >= DOUBTED_FOR
        if not believed:
            run.incomplete(
                f"the vendor lists no voicemails where the mirror has {reading.known}; they are kept"
            )
    if believed:
        for window, began, rows in reading.unsaved:
            await _save(reading, window, began, rows)
