"""Reads one time window of a list until its count and rows agree, and checks that wide windows are not cut short.

`pull_windows.py` decides which windows are read and records them.
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
from syncer.remote.rows import Announce
from syncer.store.db.connection import Connection
from syncer.store.db.mirrors import Mirror
from syncer.store.write import runs
from syncer.store.write.mirror import count_between
from syncer.store.write.reconciler import BLOCK
from syncer.sync import pull
from syncer.sync.pager import read_listing
from syncer.sync.run import Run

#: How far in the future the newest window ends if the list's timestamps can be trusted, in milliseconds.
CLOCKS_DIFFER = 5 * 60_000

#: The most reads of one window in one run.
MOST_READS = 5

#: A window that is refused is halved, but not below this width.
NARROWEST = HOUR

#: How many windows one run reads again in parts, to check whether the vendor cuts wide ones short.
CHECKS = 4

#: After this many such windows with rows in both halves, it does not.
CONCLUSIVE = 3

#: Windows that are read in each run are checked like this at most this often.
CHECK_EVERY = timedelta(hours=6)


def epoch_ms(moment: datetime) -> int:
    """Epoch milliseconds, by the vendor's clock."""
    return int(moment.timestamp() * 1000)


@dataclass(frozen=True, slots=True)
class Shown:
    """What a window showed, in one or more reads."""

    certificate: Certificate
    names: set[str]
    began: int  #: epoch ms, by our clock or the vendor's, whichever is behind
    error: RemoteError | None
    nothing: bool  #: not one row came
    fingerprint: str  #: of the last read
    wrote: int  #: rows that were written for it


def _all_shown(certificate: Certificate, names: set[str]) -> bool:
    total = certificate.total_first
    steady = total == certificate.total_last and not certificate.unreadable
    return steady and total == len(names) > 0


class WindowedList(ABC):
    """One run's view of a list that is read in time windows."""

    name: str  #: its name in the table `windows`, certificates and notes
    what: str  #: its rows, for people: "voicemails"
    mirror: Mirror
    scope: Mapping[str, str] = MappingProxyType({})  #: the columns that select the rows of this list
    asked: int = 10  #: rows per page that are requested
    ahead: int = AHEAD  #: how far in the future the newest window ends, in milliseconds
    counts: bool = (
        False  #: the vendor counts the rows of the whole window, so an equal count means nothing new
    )
    doubted: int = 3  #: an empty list is doubtful if the mirror has at least this many rows

    def __init__(self, run: Run, job: Windowed) -> None:
        self.run = run
        self.job = job
        self.width = 0
        self.known = 0  #: rows that the mirror has in the windows that were read
        self.shown = 0  #: rows that the windows showed
        self.rows = 0
        self.volatile: Counter[str] = Counter()
        self.unsaved: list[tuple[Window, int, int]] = []  #: read, but not yet believed
        self.checks = 0  #: windows that were checked for being cut short
        self.cut = False  #: one was cut short: the rest has to be planned again
        self.read: list[Certificate] = []  #: one per window
        self.ahead_of_us: int | None = None  #: milliseconds of the vendor's clock; None: unknown

    @abstractmethod
    async def fetch(self, start: int, end: int, page: int) -> Page:
        """A page (from 1) of the rows that the vendor dates from `start` to `end`, in epoch milliseconds."""

    def count_known(self, conn: Connection, window: Window) -> int:
        """How many rows of a window the mirror has."""
        return count_between(conn, self.mirror, self.run.account, window.start, window.end, self.scope)

    async def rows_changed(self) -> None:  # noqa: B027 - most lists have nothing to do
        """Called after existing rows were written."""

    async def newest_read(self, verified: int | None) -> None:
        """Called after the newest windows were read. `verified`: when (epoch ms), if they were read completely."""
        del verified

    async def list_window(self, window: Window) -> Shown:
        """Read one window, again if its count and rows disagree.

        Two equal reads have shown everything, and so have several that together showed as many rows as the vendor
        counts.
        """
        run = self.run
        names: set[str] = set()
        before: tuple[int, int | None, int | None] | None = None
        wrote = 0
        for _ in range(MOST_READS):
            moments = [run.env.now()]
            reconciler = pull.new_reconciler(run, self.mirror, self.name, self.scope)
            offset = pull.known_offset(run, self.name)
            walk = Walk(Paging.NUMBERED, has_total=True, offset=offset, asked=self.asked)
            fetch = partial(self._fetch_page, window, names, moments)
            certificate, error = await read_listing(run, reconciler, walk, fetch)
            said = (certificate.distinct, certificate.total_first, certificate.total_last)
            agreed = said == before and certificate.distinct == len(names)
            if certificate.verdict is Proof.DRIFTED and (agreed or _all_shown(certificate, names)):
                certificate = replace(certificate, verdict=Proof.COMPLETE, reason="")
                self._learn_offset(certificate)
            if run.env.shown is not None:
                run.env.shown |= names
            if reconciler.deferred:
                # Rows of the past do not turn blank: the stored values stay.
                await run.env.store.write(reconciler.write_deferred, frozenset())
            if reconciler.changed:
                await self.rows_changed()
            pull.count(run, reconciler)
            pull.learn_copies(run, reconciler, is_full=certificate.complete)
            self.volatile.update(reconciler.volatile)
            self.rows += reconciler.rows
            wrote += reconciler.wrote
            if certificate.verdict is not Proof.DRIFTED:
                break
            before = said
        return Shown(
            certificate, names, epoch_ms(min(moments)), error, walk.rows == 0, walk.fingerprint, wrote
        )

    async def no_news(self, window: Window) -> Shown | None:
        """Read only the first page of a window, if the vendor's count then equals the rows of the mirror; else None.

        This misses a new row if another one was deleted. Windows are read fully again as they age.
        """
        run, names, moments = self.run, set[str](), [self.run.env.now()]
        page = await self._fetch_page(window, names, moments, 1)
        if page.total is None or page.set_aside:
            return None
        reconciler = pull.new_reconciler(run, self.mirror, self.name, self.scope)
        await run.env.store.read(reconciler.compare, page.rows)
        if len(reconciler.pending) > BLOCK:
            return None
        if reconciler.pending:
            await run.env.store.apply(reconciler.write)
        pull.count(run, reconciler)
        known = await run.env.store.read(self.count_known, window)
        if known != page.total or reconciler.deferred or len(names) != len(page.rows):
            run.seen -= reconciler.rows  # they will be read again
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

    async def verify_window(self, window: Window, shown: Shown | None = None) -> Shown | None:
        """What a window showed, if that is everything. Raises the error that ended it early."""
        run = self.run
        shown = shown or await self.list_window(window)
        certificate = shown.certificate
        self.read.append(certificate)
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
                    run.incomplete(
                        f"a window was read again and its count still differs: {certificate.reason}"
                    )
            case _:
                assert_never(certificate.verdict)
        return None  # not verified: recent windows are read again anyway

    async def _fetch_page(
        self,
        window: Window,
        names: set[str],
        moments: list[datetime],
        position: Position,
        _: Announce | None = None,
    ) -> Page:
        assert isinstance(position, int)
        # One millisecond early: it is not documented which ends of a window belong to it.
        page = await self.fetch(max(0, window.start - 1), window.end, position)
        if page.server_date is not None:
            self.ahead_of_us = epoch_ms(page.server_date) - epoch_ms(self.run.env.now())
            moments.append(page.server_date)
        names.update(row.key for row in page.rows)
        return page

    def _learn_offset(self, certificate: Certificate) -> None:
        """Notice a vendor that always counts more rows than it lists, so its count is ignored."""
        run, over = self.run, (certificate.total_first or 0) - certificate.distinct
        if over <= 0 or pull.known_offset(run, self.name) is not None:
            return
        run.state.notes.setdefault("offset", {})[self.name] = {"value": over, "times": 2}
        run.notice(
            f"the vendor counts {over} more {self.what} than it lists; its count is left out from now on"
        )

    def note_widest(self, refused: Window) -> None:
        """Remember a width that the vendor accepts, so greater ones are not tried each time."""
        notes, width = self.run.state.notes, max(NARROWEST, (refused.end - refused.start) // 2)
        if "widest_ms" not in notes:
            self.run.notice(
                f"the vendor refuses windows of {self.what} of this width; narrower ones are used"
            )
        notes["widest_ms"] = min(width, notes.get("widest_ms", width))

    # -- are wide windows cut short? --------------------------------------------------------

    def _check_due(self, window: Window) -> bool:
        """Whether to read a window again in parts: a few per run, until it is known whether wide windows are cut."""
        notes, width = self.run.state.notes, window.end - window.start
        if self.checks >= CHECKS or width <= NARROWEST or 2 * width <= self.width:
            return False
        if self.width <= notes.get("whole_ms", 0):
            return False
        last = notes.get("checked_at")
        return window.why != "new" or last is None or has_passed(CHECK_EVERY, last, self.run.env.now())

    async def is_cut(self, window: Window, names: set[str]) -> bool:
        """Whether the vendor silently cuts a wide window short.

        Then its halves show rows that it lacks even when it is read again. The greatest width that is not cut is
        remembered, and wider windows that were read count as unread.
        """
        if not self._check_due(window):
            return False
        run, notes = self.run, self.run.state.notes
        self.checks += 1
        notes["checked_at"] = run.at
        seen, pieces, width = set(names), 1, window.end - window.start
        both = False
        while width // pieces > NARROWEST:
            parts = [await self.list_window(part) for part in windows.split(window, 2 * pieces)]
            if not all(part.certificate.complete for part in parts):
                return False  # nothing was learned; the window itself was read completely
            found = set().union(*(part.names for part in parts))
            both = both or (pieces == 1 and all(part.names for part in parts))
            if found <= seen:
                break
            if pieces == 1 and found <= seen | (await self.list_window(window)).names:
                return False  # new rows came in the meantime
            seen |= found
            pieces *= 2
        if pieces > 1:
            if "widest_ms" not in notes:
                run.notice(
                    f"the vendor silently truncates wide windows of {self.what}; narrower ones are used"
                )
            notes["widest_ms"] = max(NARROWEST, width // pieces)
            notes.pop("checked", None)
            await run.env.store.write(runs.drop_windows, run.account, self.name)
            self.unsaved.clear()
            self.cut = True
        elif both:
            notes["checked"] = notes.get("checked", 0) + 1
            if notes["checked"] >= CONCLUSIVE:
                notes["whole_ms"] = self.width
                del notes["checked"]
        return self.cut
