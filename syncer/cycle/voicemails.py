"""Pulls TeleCMI's voicemails, window by window; each window is verified, and told so, on its own."""

from __future__ import annotations

from datetime import datetime, timedelta

from syncer.core import windows
from syncer.core.listing import Walk
from syncer.core.model import Page, Paging, Position, Verdict
from syncer.core.windows import Verified, Window
from syncer.cycle import mirrors
from syncer.cycle.env import TelecmiSource
from syncer.cycle.run import Run
from syncer.store import mirror, runs
from syncer.store.tables import VOICEMAILS

JOB = "telecmi-voicemails"

#: Most old windows that one run reads again.
RECHECKS = 10


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


async def pull_voicemails(run: Run, source: TelecmiSource) -> None:
    """Read what is recent, then what was never read, then what is due to be read again."""
    account, store = source.account, run.env.store
    job = account.voicemails
    now = run.env.now()
    since = now - job.since if isinstance(job.since, timedelta) else job.since
    verified = await store.read(runs.load_windows, account.name)
    plan = windows.plan(
        now=_ms(now),
        since=_ms(since),
        width=int(job.window.total_seconds() * 1000),
        overlap=int(job.overlap.total_seconds() * 1000),
        verified=verified,
        rechecks=RECHECKS,
        full=run.full,
    )
    for at, window in enumerate(plan):
        if window.why == "gap" and len(plan) > 3:
            run.env.progress(f"{JOB} windows", run.account, at, len(plan))
        await _read_window(run, source, window)


async def _read_window(run: Run, source: TelecmiSource, window: Window) -> None:
    """Read one window; one whose count and rows disagree is read once more, and told."""
    for attempt in (1, 2):
        began = _ms(run.env.now())
        tracker = mirrors.new_tracker(run, VOICEMAILS)

        async def fetch(position: Position) -> Page:
            assert isinstance(position, int)
            return await source.client.fetch_voicemails_page(window.start, window.end, position)

        walk = Walk(Paging.NUMBERED, has_total=True)
        certificate, error = await mirrors.read_rows(run, tracker, walk, fetch)
        run.certificate = certificate
        if error is not None:
            raise error
        if certificate.verdict is not Verdict.DRIFTED or attempt == 2:
            break
    if certificate.verdict is Verdict.PARTIAL:
        run.incomplete(f"a window could not be read whole: {certificate.reason}")
        return
    if certificate.verdict is Verdict.DRIFTED:
        run.log.info("a window's count and rows disagree", reason=certificate.reason)
        if window.why == "gap":
            run.incomplete(f"a window was read twice and does not add up: {certificate.reason}")
            return
    if tracker.waiting:
        # a voicemail never turns blank: what was known of it stays
        await run.env.store.write(mirror.settle_put_off, tracker, mirror.no_blanks)
    span = Verified(window.start, min(window.end, began), began)
    await run.env.store.write(runs.save_window, run.account, span, certificate.distinct)
