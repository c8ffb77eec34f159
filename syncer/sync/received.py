"""Learns which of a voicemail's two stamps is right, and lets `received_at` follow what was learned.

What proves what is decided in `core/received.py`.
"""

from __future__ import annotations

from functools import reduce

from syncer.core.received import RECENT, SLACK, StampSource, prove, weigh
from syncer.store.write import received
from syncer.store.write.received import ClockState
from syncer.sync.run import Run


async def learn(run: Run, known: ClockState, *, now: int, ahead: int | None, verified: int | None) -> None:
    """Weigh what the newest windows showed, once all of them were read, and bring older rows in line.

    Updates `known`. `now` is by our clock, in epoch milliseconds, and `ahead` how far the vendor's runs ahead
    of it (None: it does not tell). `verified` is when these windows were read whole, None if they were not.
    """
    server = now + (ahead or 0)
    # By the vendor's clock, as are its stamps: ours may be wrong.
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
    """Let `received_at` of the account's rows, or of those that changed since, go by `clock`."""
    after: int | None = 0
    while after is not None:
        after, rows = await run.env.store.read(received.corrections, run.account, clock, after, changed_since)
        if rows:
            await run.env.store.write(received.correct, rows)
