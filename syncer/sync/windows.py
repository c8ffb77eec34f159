"""Reads one window of time of a list: until it adds up, and doubting whether wide ones are answered whole.

Which windows are read, and what is recorded of them, is left to `windowed.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from types import MappingProxyType
from typing import assert_never

from syncer.config import Windowed
from syncer.core import windows
from syncer.core.due import has_passed
from syncer.core.listing import Certificate, Walk
from syncer.core.model import Page, Paging, Position, Proof
from syncer.core.windows import AHEAD, HOUR, Window
from syncer.errors import RemoteError
from syncer.store.db.connection import Connection
from syncer.store.db.mirrors import Mirror
from syncer.store.write import runs
from syncer.store.write.reconciler import BLOCK
from syncer.sync import pull
from syncer.sync.pager import read_listing
from syncer.sync.run import Run

#: Milliseconds by which the newest window of a list whose stamps can be trusted reaches past now.
CLOCKS_DIFFER = 5 * 60_000

#: How often one window is read at most, in one run.
MOST_READS = 5

#: A window that is refused is cut in two, but not below this.
NARROWEST = HOUR

#: Windows that one run reads a second time in parts, to see whether the vendor cuts wide ones short.
CHECKS = 4

#: So many of them, with rows in both halves, settle that it does not.
CONCLUSIVE = 3

#: Windows that are read in each run anyway are checked so at most this often.
CHECK_EVERY = timedelta(hours=6)


class WindowedList(ABC):
    """A list that a vendor answers by spans of time, as one run reads it."""

    name: str  #: in the table `windows`, certificates and notes
    what: str  #: its rows, for a person: "voicemails"
    mirror: Mirror
    scope: Mapping[str, str] = MappingProxyType({})  #: the columns by which its rows are those of this list
    asked: int = 10  #: rows that a page is asked for
    ahead: int = AHEAD  #: milliseconds past now up to which the newest window reaches
    counts: bool = False  #: the vendor's count of a window is that of all its rows: where we have as many, there is no news
    doubted: int = (
        3  #: so many rows that we have and that no window shows any more make an empty list doubtful
    )

    def __init__(self, run: Run, job: Windowed) -> None:
        self.run = run
        self.job = job
        self.width = 0
        self.known = 0  #: rows that the mirror has in the windows read
        self.shown = 0  #: rows that the windows showed
        self.rows = 0
        self.volatile: Counter[str] = Counter()
        self.widest: int | None = (
            None  #: a width that the vendor did not refuse, where it refused a greater one
        )
        self.unsaved: list[tuple[Window, int, int]] = []  #: read, but not yet believed
        self.checks = 0  #: windows that were checked for being cut
        self.reported = False  #: a width that the vendor does not answer for was reported
        self.cut = False  #: one was cut: the rest has to be planned again
        self.read: list[Certificate] = []  #: one a window
        self.ahead_of_us: int | None = (
            None  #: milliseconds by which the vendor's clock is ahead; None: not known
        )

    @abstractmethod
    async def fetch(self, start: int, end: int, page: int) -> Page:
        """A page (from 1) of the rows that the vendor dates from `start` to `end`, in epoch milliseconds."""

    @abstractmethod
    def count_known(self, conn: Connection, window: Window) -> int:
        """How many rows of a window the mirror has."""

    async def rows_changed(self) -> None:  # noqa: B027 - most lists have nothing to do
        """Called after rows that were there already were written."""

    async def newest_read(self, verified: int | None) -> None:
        """Called when the newest windows were read; `verified`: since when, if all of them were read whole."""
        del verified


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


async def list_window(listing: WindowedList, window: Window) -> Shown:
    """Read one window; one whose count and rows disagree is read again.

    Two readings that agree in all they say have shown what there is, and so have several that showed
    as many rows as the vendor counts, taken together.
    """
    run = listing.run
    names: set[str] = set()
    before: tuple[int, int | None, int | None] | None = None
    wrote = 0
    for _ in range(MOST_READS):
        moments = [run.env.now()]
        reconciler = pull.new_reconciler(run, listing.mirror, listing.name, listing.scope)
        offset = pull.known_offset(run, listing.name)
        walk = Walk(Paging.NUMBERED, has_total=True, offset=offset, asked=listing.asked)
        fetch = partial(_fetch, listing, window, names, moments)
        certificate, error = await read_listing(run, reconciler, walk, fetch)
        said = (certificate.distinct, certificate.total_first, certificate.total_last)
        agreed = said == before and certificate.distinct == len(names)
        if certificate.verdict is Proof.DRIFTED and (agreed or _all_shown(certificate, names)):
            certificate = replace(certificate, verdict=Proof.COMPLETE, reason="")
            _learn_offset(listing, certificate)
        if run.env.shown is not None:
            run.env.shown |= names
        if reconciler.deferred:
            # a row of the past never turns blank: what was known of it stays
            await run.env.store.write(reconciler.write_deferred, frozenset())
        if reconciler.changed:
            await listing.rows_changed()
        pull.count(run, reconciler)
        pull.learn_copies(run, reconciler, is_full=certificate.complete)
        listing.volatile.update(reconciler.volatile)
        listing.rows += reconciler.rows
        wrote += reconciler.wrote
        if certificate.verdict is not Proof.DRIFTED:
            break
        before = said
    return Shown(certificate, names, epoch_ms(min(moments)), error, walk.rows == 0, walk.fingerprint, wrote)


async def no_news(listing: WindowedList, window: Window) -> Shown | None:
    """What the first page of a window shows, where the vendor counts no more than we have then; else None.

    A row that came and another that went would be missed; windows are read again in full as they age.
    """
    run, names, moments = listing.run, set[str](), [listing.run.env.now()]
    page = await _fetch(listing, window, names, moments, 1)
    if page.total is None or page.set_aside:
        return None
    reconciler = pull.new_reconciler(run, listing.mirror, listing.name, listing.scope)
    await run.env.store.read(reconciler.compare, page.rows)
    if len(reconciler.pending) > BLOCK:
        return None
    if reconciler.pending:
        await run.env.store.apply(reconciler.write)
    pull.count(run, reconciler)
    known = await run.env.store.read(listing.count_known, window)
    if known != page.total or reconciler.deferred or len(names) != len(page.rows):
        run.seen -= reconciler.rows  # they are read again
        return None
    certificate = Certificate(
        verdict=Proof.COMPLETE,
        reason="",
        pages=1,
        rows=len(page.rows),
        distinct=known,
        unreadable=0,
        total_first=page.total,
        total_last=page.total,
        first_page_same=None,
        ended_by="its count",
    )
    return Shown(
        certificate, names, epoch_ms(min(moments)), None, not page.rows, page.digest, reconciler.wrote
    )


async def verify_window(listing: WindowedList, window: Window, shown: Shown | None = None) -> Shown | None:
    """What a window showed, when that is all there is; raises the error that broke it off."""
    run = listing.run
    shown = shown or await list_window(listing, window)
    certificate = shown.certificate
    listing.read.append(certificate)
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
    listing: WindowedList, window: Window, names: set[str], moments: list[datetime], position: Position
) -> Page:
    assert isinstance(position, int)
    # One millisecond early: nobody says which ends of a window belong to it.
    page = await listing.fetch(max(0, window.start - 1), window.end, position)
    if page.server_date is not None:
        listing.ahead_of_us = epoch_ms(page.server_date) - epoch_ms(listing.run.env.now())
        moments.append(page.server_date)
    names.update(row.key for row in page.rows)
    return page


def _learn_offset(listing: WindowedList, certificate: Certificate) -> None:
    """The vendor counts more than there is, steadily: so an empty window is believed to be empty."""
    run, over = listing.run, (certificate.total_first or 0) - certificate.distinct
    if over <= 0 or pull.known_offset(run, listing.name) is not None:
        return
    run.state.notes.setdefault("offset", {})[listing.name] = {"value": over, "times": 2}
    run.notice(
        f"the vendor counts {over} more {listing.what} than it lists; its count is left out from now on"
    )


def _all_shown(certificate: Certificate, names: set[str]) -> bool:
    total = certificate.total_first
    steady = total == certificate.total_last and not certificate.unreadable
    return steady and total == len(names) > 0


def note_widest(listing: WindowedList, refused: Window) -> None:
    """Remember a width that is not refused, so that it is not tried again each time."""
    width = max(NARROWEST, (refused.end - refused.start) // 2)
    listing.widest = min(listing.widest or width, width)
    if listing.run.state.notes.get("widest_ms") is None:
        listing.run.notice(
            f"the vendor refuses windows of {listing.what} of this width; narrower ones are used"
        )
    listing.run.state.notes["widest_ms"] = listing.widest


# -- is a wide window answered for as a whole? --------------------------------------------------------


def _check_due(listing: WindowedList, window: Window) -> bool:
    """Whether a window is worth reading again in parts: bounded by run, and done with once it is settled."""
    notes, width = listing.run.state.notes, window.end - window.start
    if listing.checks >= CHECKS or width <= NARROWEST or 2 * width <= listing.width:
        return False
    if listing.width <= notes.get("whole_ms", 0):
        return False
    last = notes.get("checked_at")
    return window.why != "new" or last is None or has_passed(CHECK_EVERY, last, listing.run.env.now())


async def is_cut(listing: WindowedList, window: Window, names: set[str]) -> bool:
    """Whether the vendor answers for a part of a wide window only, and does not say so.

    Its halves then show rows that it lacks, also when it is asked for once more. The width that
    halving no longer adds to is remembered, and what was read in wider windows counts as unread.
    """
    if not _check_due(listing, window):
        return False
    run, notes = listing.run, listing.run.state.notes
    listing.checks += 1
    notes["checked_at"] = run.at
    seen, pieces, width = set(names), 1, window.end - window.start
    both = False
    while width // pieces > NARROWEST:
        parts = [await list_window(listing, part) for part in windows.split(window, 2 * pieces)]
        if not all(part.certificate.complete for part in parts):
            return False  # nothing was learned; the window itself was read whole
        found = set().union(*(part.names for part in parts))
        both = both or (pieces == 1 and all(part.names for part in parts))
        if found <= seen:
            break
        if pieces == 1 and found <= seen | (await list_window(listing, window)).names:
            return False  # some came in meanwhile
        seen |= found
        pieces *= 2
    if pieces > 1:
        listing.reported = listing.reported or "widest_ms" in notes
        notes["widest_ms"] = max(NARROWEST, width // pieces)
        notes.pop("checked", None)
        if not listing.reported:
            listing.reported = True
            run.notice(
                f"the vendor silently truncates wide windows of {listing.what}; narrower ones are used"
            )
        await run.env.store.write(runs.drop_windows, run.account, listing.name)
        listing.unsaved.clear()
        listing.cut = True
    elif both:
        notes["checked"] = notes.get("checked", 0) + 1
        if notes["checked"] >= CONCLUSIVE:
            notes["whole_ms"] = listing.width
            del notes["checked"]
    return listing.cut
