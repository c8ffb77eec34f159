"""Reads one voicemail window of time: until it adds up, and doubting whether wide ones are answered whole.

Which windows are read, and what is noted of them, is `telecmi_voicemails.py`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import assert_never

from syncer.core import windows
from syncer.core.due import has_passed
from syncer.core.listing import Certificate, Walk
from syncer.core.model import Page, Paging, Position, Proof
from syncer.core.windows import HOUR, Window
from syncer.errors import RemoteError
from syncer.store.db.mirrors import VOICEMAILS
from syncer.store.write import runs
from syncer.store.write.received import Known
from syncer.sync import pull, received
from syncer.sync.pager import read_listing
from syncer.sync.run import Run
from syncer.sync.vendors import TelecmiSource

#: How often one window is read at most, in one run.
MOST_READS = 5

#: A window that is refused is cut in two, but not below this.
NARROWEST = HOUR

#: Windows that one run reads a second time in parts, to see whether the vendor cuts wide ones short.
CHECKS = 4

#: So many of them, with voicemails in both halves, settle that it does not.
CONCLUSIVE = 3

#: Windows that are read in each run anyway are checked so at most this often.
CHECK_EVERY = timedelta(hours=6)


@dataclass(slots=True)
class Reading:
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
    checks: int = 0  #: windows that were checked for being cut
    told: bool = False  #: a person was told of a width that the vendor does not take
    cut: bool = False  #: one was: the rest has to be planned anew
    read: list[Certificate] = field(default_factory=list)  #: one a window
    clocks: Known = field(default_factory=Known)  #: which stamp `received_at` is taken from
    ahead: int | None = (
        None  #: milliseconds by which the vendor's clock is ahead of ours; None: it does not tell
    )


def epoch_ms(moment: datetime) -> int:
    """Epoch milliseconds, as the vendor counts."""
    return int(moment.timestamp() * 1000)


@dataclass(frozen=True, slots=True)
class Shown:
    """What a window showed, in one or more readings."""

    certificate: Certificate
    names: set[str]
    began: int  #: epoch ms, by our clock or the vendor's, whichever is behind
    error: RemoteError | None
    nothing: bool  #: not one row came
    fingerprint: str  #: of what the last reading showed
    wrote: int  #: rows that were written for it


async def list_window(reading: Reading, window: Window) -> Shown:
    """Read one window; one whose count and rows disagree is read again.

    Two readings that agree in all they say have shown what there is, and so have several that showed
    as many voicemails as the vendor counts, taken together.
    """
    run = reading.run
    names: set[str] = set()
    before: tuple[int, int | None, int | None] | None = None
    wrote = 0
    for _ in range(MOST_READS):
        moments = [run.env.now()]
        reconciler = pull.new_reconciler(run, VOICEMAILS)
        offset = pull.known_offset(run, VOICEMAILS.name)
        walk = Walk(Paging.NUMBERED, has_total=True, offset=offset, asked=10)
        fetch = partial(_fetch, reading, window, names, moments)
        certificate, error = await read_listing(run, reconciler, walk, fetch)
        said = (certificate.distinct, certificate.total_first, certificate.total_last)
        agreed = said == before and certificate.distinct == len(names)
        if certificate.verdict is Proof.DRIFTED and (agreed or _all_shown(certificate, names)):
            certificate = replace(certificate, verdict=Proof.COMPLETE, reason="")
            _learn_offset(run, certificate)
        if run.env.shown is not None:
            run.env.shown |= names
        if reconciler.deferred:
            # a voicemail never turns blank: what was known of it stays
            await run.env.store.write(reconciler.write_deferred, frozenset())
        if reconciler.changed:
            await received.follow(run, reading.clocks.evidence.clock, run.at)
        pull.count(run, reconciler)
        pull.learn_copies(run, reconciler, is_full=certificate.complete)
        reading.volatile.update(reconciler.volatile)
        reading.rows += reconciler.rows
        wrote += reconciler.wrote
        if certificate.verdict is not Proof.DRIFTED:
            break
        before = said
    return Shown(certificate, names, epoch_ms(min(moments)), error, walk.rows == 0, walk.fingerprint, wrote)


async def verify_window(reading: Reading, window: Window, shown: Shown | None = None) -> Shown | None:
    """What a window showed, when that is all there is; raises the error that broke it off."""
    run = reading.run
    shown = shown or await list_window(reading, window)
    certificate = shown.certificate
    reading.read.append(certificate)
    if shown.error is not None:
        raise shown.error
    match certificate.verdict:
        case Proof.COMPLETE:
            return shown
        case Proof.PARTIAL:
            run.incomplete(f"a window could not be read whole: {certificate.reason}")
        case Proof.DRIFTED:
            run.log.info("a window's count and rows disagree", reason=certificate.reason)
            if window.why == "gap":
                run.incomplete(f"a window was read again and its count still differs: {certificate.reason}")
        case _:
            assert_never(certificate.verdict)
    return None  # not verified: what is recent is read again in any case


async def _fetch(
    reading: Reading, window: Window, names: set[str], moments: list[datetime], position: Position
) -> Page:
    assert isinstance(position, int)
    # One millisecond early: nobody says which ends of a window belong to it.
    page = await reading.source.client.fetch_voicemails_page(
        max(0, window.start - 1), window.end, position, reading.clocks.evidence.clock
    )
    if page.server_date is not None:
        reading.ahead = epoch_ms(page.server_date) - epoch_ms(reading.run.env.now())
        moments.append(page.server_date)
    names.update(row.key for row in page.rows)
    return page


def _learn_offset(run: Run, certificate: Certificate) -> None:
    """The vendor counts more than there is, steadily: so an empty window is believed to be empty."""
    over = (certificate.total_first or 0) - certificate.distinct
    if over <= 0 or pull.known_offset(run, VOICEMAILS.name) is not None:
        return
    run.state.notes.setdefault("offset", {})[VOICEMAILS.name] = {"value": over, "times": 2}
    run.notice(f"the vendor counts {over} more voicemails than it lists; its count is left out from now on")


def _all_shown(certificate: Certificate, names: set[str]) -> bool:
    total = certificate.total_first
    steady = total == certificate.total_last and not certificate.unreadable
    return steady and total == len(names) > 0


def note_widest(reading: Reading, refused: Window) -> None:
    """Remember a width that is not refused, so that it is not tried anew each time."""
    width = max(NARROWEST, (refused.end - refused.start) // 2)
    reading.widest = min(reading.widest or width, width)
    if reading.run.state.notes.get("widest_ms") is None:
        reading.run.notice("the vendor refuses voicemail windows of this width; narrower ones are used")
    reading.run.state.notes["widest_ms"] = reading.widest


# -- is a wide window answered for as a whole? --------------------------------------------------------


def _check_due(reading: Reading, window: Window) -> bool:
    """Whether a window is worth reading again in parts: bounded by run, and done with once it is settled."""
    notes, width = reading.run.state.notes, window.end - window.start
    if reading.checks >= CHECKS or width <= NARROWEST or 2 * width <= reading.width:
        return False
    if reading.width <= notes.get("whole_ms", 0):
        return False
    last = notes.get("checked_at")
    return window.why != "new" or last is None or has_passed(CHECK_EVERY, last, reading.run.env.now())


async def is_cut(reading: Reading, window: Window, names: set[str]) -> bool:
    """Whether the vendor answers for a part of a wide window only, and does not say so.

    Its halves then show voicemails that it lacks, also when it is asked for once more. The width that
    halving no longer adds to is remembered, and what was read in wider windows counts as unread.
    """
    if not _check_due(reading, window):
        return False
    run, notes = reading.run, reading.run.state.notes
    reading.checks += 1
    notes["checked_at"] = run.at
    seen, pieces, width = set(names), 1, window.end - window.start
    both = False
    while width // pieces > NARROWEST:
        parts = [await list_window(reading, part) for part in windows.split(window, 2 * pieces)]
        if not all(part.certificate.complete for part in parts):
            return False  # nothing was learned; the window itself was read whole
        found = set().union(*(part.names for part in parts))
        both = both or (pieces == 1 and all(part.names for part in parts))
        if found <= seen:
            break
        if pieces == 1 and found <= seen | (await list_window(reading, window)).names:
            return False  # some came in meanwhile
        seen |= found
        pieces *= 2
    if pieces > 1:
        reading.told = reading.told or "widest_ms" in notes
        notes["widest_ms"] = max(NARROWEST, width // pieces)
        notes.pop("checked", None)
        if not reading.told:
            reading.told = True
            run.notice("the vendor silently truncates wide voicemail windows; narrower ones are used")
        await run.env.store.write(runs.drop_windows, run.account)
        reading.unsaved.clear()
        reading.cut = True
    elif both:
        notes["checked"] = notes.get("checked", 0) + 1
        if notes["checked"] >= CONCLUSIVE:
            notes["whole_ms"] = reading.width
            del notes["checked"]
    return reading.cut
