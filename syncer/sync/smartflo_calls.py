"""Pulls Smartflo's call records in time windows."""

from __future__ import annotations

from datetime import datetime

from syncer.core.model import Page
from syncer.store.db.mirrors import SMARTFLO_CALLS
from syncer.sync.pull_windows import pull_windows, sample_span
from syncer.sync.run import Run
from syncer.sync.vendors import Sample, SmartfloSource
from syncer.sync.windowed_list import CLOCKS_DIFFER, WindowedList


class SmartfloCallList(WindowedList):
    """All calls of an account."""

    name = SMARTFLO_CALLS.name
    what = "calls"
    mirror = SMARTFLO_CALLS
    asked = 100
    ahead = CLOCKS_DIFFER
    counts = True
    doubted = 1

    def __init__(self, run: Run, source: SmartfloSource) -> None:
        super().__init__(run, source.account.calls)
        self.source = source

    async def fetch(self, start: int, end: int, page: int) -> Page:
        """See `WindowedList`."""
        return await self.source.client.fetch_calls_page(start, end, page)


async def pull_calls(run: Run, source: SmartfloSource) -> None:
    """One pull of all windows that are due."""
    await pull_windows(SmartfloCallList(run, source))


async def first_page(source: SmartfloSource, sample: Sample, now: datetime) -> Page:
    """The first page, for `doctor`."""
    limit = 1 if sample is Sample.LITTLE else 100
    span = sample_span(source.account.calls, sample, now)
    return await source.client.fetch_calls_page(*span, 1, limit=limit)
