"""Holds the mirror against upstream, row by row, without writing to it.

Upstream is read whole into a copy of the database that is thrown away; what had to change there is
what differs. Edits that still wait to be pushed are told apart: they are no fault of the mirror.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from syncer.clock import Clock
from syncer.config import Settings
from syncer.cycle import directory, push
from syncer.cycle.env import Env, Progress, no_progress
from syncer.cycle.jobs import JobSpec, on_a_copy, run_job
from syncer.cycle.run import Run
from syncer.store import feed, holds
from syncer.store.feed import Entry

#: A deletion is believed by the second complete listing, so each list is read twice.
READS = 2


@dataclass(frozen=True, slots=True)
class Verified:
    """What one job's lists came to."""

    job: str
    account: str
    outcome: str
    problem: str
    rows: int  #: rows that upstream showed
    differences: list[Entry] = field(default_factory=list)
    pending: int = 0  #: local changes that are not upstream yet
    kept: int = 0  #: rows that upstream no longer has and that stay by a person's decision
    error: Exception | None = None


async def verify(
    settings: Settings,
    chosen: Sequence[JobSpec],
    *,
    progress: Progress = no_progress,
    clock: Clock | None = None,
) -> list[Verified]:
    """Read upstream whole and report what differs; raises what opening the database raises."""

    async def work(env: Env) -> list[Verified]:
        return [await _verify(env, spec) for spec in chosen if spec.job != push.JOB]

    return await on_a_copy(settings, work, progress=progress, clock=clock)


async def _verify(env: Env, spec: JobSpec) -> Verified:
    before = await env.store.read(feed.last_seq)
    run: Run | None = None
    for _ in range(READS):
        run = await run_job(env, spec, full=True, person=True)
        if run.outcome != "ok":
            break
    assert run is not None
    differences = await env.store.read(feed.entries, before)
    pending = await env.store.read(feed.pending, spec.account) if spec.job == directory.JOB else 0
    kept = await env.store.read(holds.kept, spec.job, spec.account)
    return Verified(
        spec.job, spec.account, run.outcome, run.problem, run.seen, differences, pending, kept, run.error
    )
