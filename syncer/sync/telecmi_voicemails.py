"""Pulls TeleCMI's voicemails, and learns which of their two timestamps is right."""

from __future__ import annotations

from datetime import datetime

from syncer.core.model import Page
from syncer.store.db.mirrors import VOICEMAILS
from syncer.store.write.received import ClockState
from syncer.store.write.received import load as load_clocks
from syncer.sync import received
from syncer.sync.pull_windows import pull_windows, sample_span
from syncer.sync.run import Run
from syncer.sync.vendors import Sample, TelecmiSource
from syncer.sync.windowed_list import WindowedList, epoch_ms


class VoicemailList(WindowedList):
    """All voicemails of an account."""

    name = VOICEMAILS.name
    what = "voicemails"
    mirror = VOICEMAILS

    def __init__(self, run: Run, source: TelecmiSource, clocks: ClockState) -> None:
        super().__init__(run, source.account.voicemails)
        self.source = source
        self.clocks = clocks  #: which timestamp `received_at` is taken from

    async def fetch(self, start: int, end: int, page: int) -> Page:
        """See `WindowedList`."""
        clock = self.clocks.evidence.clock
        return await self.source.client.fetch_voicemails_page(start, end, page, clock)

    async def rows_changed(self) -> None:
        """See `WindowedList`."""
        await received.follow(self.run, self.clocks.evidence.clock, self.run.at)

    async def newest_read(self, verified: int | None) -> None:
        """See `WindowedList`."""
        now = epoch_ms(self.run.env.now())
        await received.learn(self.run, self.clocks, now=now, ahead=self.ahead_of_us, verified=verified)


async def pull_voicemails(run: Run, source: TelecmiSource) -> None:
    """One pull of all windows that are due."""
    clocks = await run.env.store.read(load_clocks, source.account.name)
    await pull_windows(VoicemailList(run, source, clocks))


async def first_page(source: TelecmiSource, sample: Sample, now: datetime) -> Page:
    """The first page, for `doctor`."""
    span = sample_span(source.account.voicemails, sample, now)
    return await source.client.fetch_voicemails_page(*span, 1)
