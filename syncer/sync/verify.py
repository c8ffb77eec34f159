"""Compares the mirror with upstream, row by row, without writing to it.

Upstream is read completely into a temporary copy of the database. The differences are what changes there, or would
change without a limit or a person's decision. Edits that are not pushed yet are listed separately: they are not errors
of the mirror.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from syncer.config import Settings, TelecmiAccount, Windowed
from syncer.core.windows import AHEAD
from syncer.store.read import feed, verify_diff
from syncer.store.read.verify_diff import Difference
from syncer.sync import registry, telecmi_contacts
from syncer.sync.env import Env, Progress, no_progress
from syncer.sync.jobs import on_a_copy, run_job, scan
from syncer.sync.registry import JobSpec
from syncer.sync.run import Run

#: Deletions need two complete listings.
COMPLETE_READS = 2

#: How often a drifting list is read.
MOST_READS = 4


@dataclass(frozen=True, slots=True)
class VerifyResult:
    """The result for one job."""

    job: str
    account: str
    outcome: str  #: `ok`: upstream was read completely; else the outcome of the run
    problem: str  #: why it is not `ok`
    rows: int  #: rows that upstream showed
    differences: list[Difference] = field(default_factory=list)  #: what a sync would fix
    held: list[Difference] = field(default_factory=list)  #: what a sync would hold for a person
    kept: list[Difference] = field(default_factory=list)  #: what stays locally by a person's decision
    waiting: list[Difference] = field(default_factory=list)  #: local edits that are not upstream yet
    unreadable: int = 0  #: upstream rows that cannot be parsed and compared
    unlisted: list[str] = field(default_factory=list)
    """Voicemails and calls that upstream no longer lists: they are kept for good."""
    error: Exception | None = None

    @property
    def same(self) -> bool:
        """Whether it is proven that nothing differs, except rows of the past that are kept by design."""
        differs = self.differences or self.held or self.kept or self.waiting or self.unreadable
        return self.outcome == "ok" and not differs


async def verify(
    settings: Settings,
    chosen: Sequence[JobSpec],
    *,
    progress: Progress = no_progress,
) -> list[VerifyResult]:
    """Read upstream completely and report what differs. Raises what opening the database raises."""

    async def work(env: Env) -> list[VerifyResult]:
        await scan(env)  # finds edits that no trigger saw
        return [await _verify(env, spec) for spec in chosen if spec.resource.tables]

    return await on_a_copy(settings, work, progress=progress)


async def _verify(env: Env, spec: JobSpec) -> VerifyResult:
    store, tables = env.store, spec.resource.tables
    before = await store.read(feed.last_seq)
    env.shown = shown = set[str]()
    run, complete = await _read(env, spec)
    outcome, problem = run.outcome, run.problem
    if not run.is_unproven and run.error is None:
        proven = complete >= COMPLETE_READS
        outcome, problem = ("ok", "") if proven else ("incomplete", _moving(run))
    differences = await store.read(verify_diff.logged, before)
    held = await store.read(verify_diff.held_back, spec.job, spec.account, None)
    kept = await store.read(verify_diff.held_back, spec.job, spec.account, "rejected")
    if outcome == "ok":
        listed = {
            (one.table_name, one.row_id) for one in (*differences, *held, *kept) if one.kind == "delete"
        }
        missed = await store.read(verify_diff.missed, tables, spec.account)
        differences += [one for one in missed if (one.table_name, one.row_id) not in listed]
    waiting, unlisted = [], []
    if spec.job == registry.CONTACTS:
        assert isinstance(spec.config, TelecmiAccount)
        waiting = await store.read(verify_diff.waiting, telecmi_contacts.policy_of(spec.config))
    if spec.resource.lists and outcome == "ok":
        unlisted = await _unlisted(env, spec, shown)
    return VerifyResult(
        spec.job,
        spec.account,
        outcome,
        problem,
        run.seen,
        differences,
        held,
        kept,
        waiting,
        len(run.set_aside),
        unlisted,
        run.error,
    )


async def _read(env: Env, spec: JobSpec) -> tuple[Run, int]:
    """Read the job's lists until two reads were complete. Returns the last run, and how many were complete."""
    complete = 0
    for _ in range(MOST_READS):
        run = await run_job(env, spec, full=True, person=True)
        if run.error is not None or run.is_unproven:
            break
        complete += int(run.certificate is None or run.certificate.complete)
        if complete == COMPLETE_READS:
            break
    return run, complete


def _moving(run: Run) -> str:
    reason = run.certificate.reason if run.certificate else "nothing was read"
    return f"the lists changed while they were read, so that absence proves nothing: {reason}"


async def _unlisted(env: Env, spec: JobSpec, shown: set[str]) -> list[str]:
    """Rows within the windows that upstream did not list. Timestamps of voicemails may be hours in the future."""
    job, now = spec.settings, env.now()
    assert isinstance(job, Windowed)
    since = job.begin(now)
    span = (int(since.timestamp() * 1000) + AHEAD, int(now.timestamp() * 1000))
    (table,) = spec.resource.tables
    return await env.store.read(verify_diff.unlisted, table, spec.account, *span, shown)
