"""Pulls TeleCMI's four lists of call records, each in its own time windows."""

from __future__ import annotations

from datetime import datetime

from syncer.core.model import Page
from syncer.errors import AuthError, RemoteError
from syncer.remote.telecmi import CALLS
from syncer.store.db.mirrors import TELECMI_CALLS
from syncer.sync.pull_windows import pull_windows, sample_span
from syncer.sync.run import Run
from syncer.sync.vendors import Sample, TelecmiSource
from syncer.sync.windowed_list import CLOCKS_DIFFER, WindowedList

_WORDS = {
    "answered": "answered calls",
    "missed": "missed calls",
    "out_answered": "answered outgoing calls",
    "out_missed": "unanswered outgoing calls",
}


class TelecmiCallList(WindowedList):
    """One of an account's four lists."""

    mirror = TELECMI_CALLS
    asked = 20
    ahead = CLOCKS_DIFFER
    counts = True
    doubted = 1  # a list that is empty by mistake must not close callbacks

    def __init__(self, run: Run, source: TelecmiSource, kind: str) -> None:
        super().__init__(run, source.account.calls)
        self.source = source
        self.kind = kind
        self.name = f"{TELECMI_CALLS.name}.{kind}"
        self.what = _WORDS[kind]
        self.scope = {"kind": kind}

    async def fetch(self, start: int, end: int, page: int) -> Page:
        """See `WindowedList`."""
        return await self.source.client.fetch_calls_page(self.kind, start, end, page)


async def pull_calls(run: Run, source: TelecmiSource) -> None:
    """Pull each list. If one fails, the others are still pulled."""
    failed: RemoteError | None = None
    for kind in CALLS:
        try:
            await pull_windows(TelecmiCallList(run, source, kind))
        except AuthError:
            raise
        except RemoteError as error:
            if not error.sent:
                raise  # the vendor cannot be reached
            failed = failed or error
    if failed is not None:
        raise failed


async def first_page(source: TelecmiSource, sample: Sample, now: datetime) -> Page:
    """The first page, for `doctor`."""
    return await source.client.fetch_calls_page("missed", *sample_span(source.account.calls, sample, now), 1)
