"""Learns which of a voicemail's two timestamps is right, and updates `received_at` accordingly.

`core/received.py` decides what proves what.
"""

from __future__ import annotations

from functools import reduce

from syncer.core.received import RECENT, SLACK, StampSource, prove, weigh
from syncer.store.write import received
from syncer.store.write.received import ClockState
from syncer.sync.run import Run


async def learn(run: Run, known: ClockState, *, now: int, ahead: int | None, verified: int | None) -> None:
    """Evaluate the newest windows after all of them were read, and update older rows.

    Updates `known`. `now` is our clock in epoch milliseconds, and `ahead` how far the vendor's clock is ahead of it
    (None: unknown). `verified` is when these windows were read completely, or None.
    """
    server = now + (ahead or 0)
    # By the vendor's clock, like its timestamps: ours may be wrong.
    since = None if known.verified_ms is None else known.verified_ms + (ahead or 0)
    compares = since is not None and 0 <= server - since < RECENT
    known.newest_row, stamps = await run.env.store.read(
        received.newer, run.account, known.newest_row, None if compares else server + SLACK
    )
    proofs = [prove(one, verified=since, now=server, by_server=ahead is not None) for one in stamps]
    before, known.evidence = known.evidence, reduce(weigh, filter(None, proofs), known.evidence)
    if known.evidence.clock is not before.clock:
        known.follows = False
        run.log.info(
            "received_at of voicemails now follows another timestamp", clock=known.evidence.clock.value
        )
    known.verified_ms = known.verified_ms if verified is None else verified
    await run.env.store.write(received.save, run.account, known)
    if not known.follows:
        await follow(run, known.evidence.clock)
        known.follows = True
        await run.env.store.write(received.save, run.account, known)


async def follow(run: Run, clock: StampSource, changed_since: str = "") -> None:
    """Set `received_at` of the account's rows, or of those that changed since then, from the timestamp `clock`."""
    after: int | None = 0
    while after is not None:
        after, rows = await run.env.store.read(received.corrections, run.account, clock, after, changed_since)
        if rows:
            await run.env.store.write(received.correct, rows)
