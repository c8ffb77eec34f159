"""The list of resources, and how a run of one, or a `sync` of many, is put together.

A further vendor is one file in `remote/` and one entry in `_RUNS`. When jobs run is left to the
daemon, what is printed to the command line.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar

from syncer.clock import Clock, SystemClock
from syncer.config import Settings
from syncer.core.cursor import parse
from syncer.cycle import directory, push, smartflo, userlist, voicemails
from syncer.cycle.env import Env, Progress, SmartfloSource, TelecmiSource, build, no_progress
from syncer.cycle.run import Run, perform
from syncer.errors import AuthError, StoreBusyError, StoreError, UsageError
from syncer.locks import Locks
from syncer.store import feed, runs, schema
from syncer.store import scan as scanning
from syncer.store.connect import Database
from syncer.store.forget import copy_key
from syncer.store.runs import JobRow

T = TypeVar("T")

#: In the order in which one `sync` runs them, per account.
JOBS = (voicemails.JOB, directory.JOB, userlist.JOB, push.JOB, smartflo.JOB)

#: How long failing calls of one account may hold up a `sync`, in seconds, so that it ends within 45.
PATIENCE = 30.0

#: The lock under which the schema is changed.
SCHEMA_LOCK = "schema"

_TELECMI_RUNS: dict[str, Callable[[Run, TelecmiSource], Awaitable[None]]] = {
    voicemails.JOB: voicemails.pull_voicemails,
    directory.JOB: directory.pull_directory,
    userlist.JOB: userlist.pull_user_contacts,
    push.JOB: push.push_changes,
}
_SMARTFLO_RUNS: dict[str, Callable[[Run, SmartfloSource], Awaitable[None]]] = {
    smartflo.JOB: smartflo.pull_smartflo,
}


@dataclass(frozen=True, slots=True)
class JobSpec:
    """One job of one account, as the config has it."""

    job: str
    account: str  #: the account's name
    label: str  #: `telecmi.main`
    provider: str
    every: timedelta
    enabled: bool


def specs(settings: Settings) -> tuple[JobSpec, ...]:
    """All jobs of all accounts, in the order in which a `sync` runs them."""
    out = []
    for telecmi in settings.telecmi:
        for job, of in (
            (voicemails.JOB, telecmi.voicemails),
            (directory.JOB, telecmi.contacts),
            (userlist.JOB, telecmi.user_contacts),
            (push.JOB, telecmi.push),
        ):
            enabled = of.enabled and (job != push.JOB or telecmi.contacts.enabled)
            out.append(JobSpec(job, telecmi.name, telecmi.label, "telecmi", of.every, enabled))
    for flo in settings.smartflo:
        of_flo = flo.contacts
        out.append(JobSpec(smartflo.JOB, flo.name, flo.label, "smartflo", of_flo.every, of_flo.enabled))
    return tuple(out)


def select(all_specs: Sequence[JobSpec], names: Sequence[str], account: str | None) -> tuple[JobSpec, ...]:
    """The enabled jobs that a person named: all of them, some, or those of one account.

    Raises UsageError for a job or account that does not exist, or that the config switched off.
    """
    for name in names:
        if name not in JOBS:
            raise UsageError(f"there is no job {name!r}; the jobs are {', '.join(JOBS)}")
    if account is not None and not any(account in (s.account, s.label) for s in all_specs):
        known = ", ".join(dict.fromkeys(s.label for s in all_specs))
        raise UsageError(f"there is no account {account!r}; the config has {known}")
    named = [s for s in all_specs if not names or s.job in names]
    chosen = tuple(s for s in named if account is None or account in (s.account, s.label))
    enabled = tuple(s for s in chosen if s.enabled)
    if names and not enabled:
        raise UsageError(f"{', '.join(names)}: the config switches it off, or has no account for it")
    return enabled


def lock_name(spec: JobSpec) -> str:
    """The lock under which this job of this account runs."""
    return f"{spec.job}.{spec.account}"


def open_database(
    settings: Settings, *, migrate: bool = True, checkpoints: bool = True, path: Path | None = None
) -> Database:
    """Open the database, bring it to this version, and write down the jobs of the config.

    Raises StoreError, SchemaError.
    """
    db = Database(path or settings.database.path, group=settings.database.group, checkpoints=checkpoints)
    try:
        if migrate:
            schema.upgrade(db)
            register(db, settings)
    except BaseException:
        db.close()
        raise
    return db


def register(db: Database, settings: Settings) -> None:
    """Write down the jobs and accounts of the config, where they differ from what is there."""
    jobs = [
        JobRow(s.job, s.account, s.provider, s.enabled, max(1, int(s.every.total_seconds())))
        for s in specs(settings)
    ]
    accounts = [(a.name, a.contacts.enabled, a.push.deletes) for a in settings.telecmi]
    with db.read() as conn:
        done = runs.is_registered(conn, jobs, accounts)
    if not done:
        with db.write() as conn:
            runs.register(conn, jobs, accounts)


async def run_job(env: Env, spec: JobSpec, *, full: bool = False, person: bool = False) -> Run:
    """Run one job of one account once; its errors end in the run's record, and go no further."""
    source = (env.telecmi if spec.provider == "telecmi" else env.smartflo)[spec.account]

    async def body(run: Run) -> None:
        if isinstance(source, TelecmiSource):
            await _TELECMI_RUNS[spec.job](run, source)
        else:
            await _SMARTFLO_RUNS[spec.job](run, source)

    run = Run(env, spec.job, spec.account, source.door, full=full, person=person)
    return await perform(run, body)


async def scan(env: Env) -> int:
    """The reconciliation scan over every account whose directory is mirrored; how much it mended."""
    mended = 0
    accounts = [s for s in env.telecmi.values() if s.account.contacts.enabled]
    for source in accounts:
        policy = directory.policy_of(source)
        only = len(accounts) == 1
        if await env.store.read(partial(scanning.needed, only_account=only), policy):
            found = await env.store.write(partial(scanning.scan, only_account=only), policy, env.stamp())
            if found:
                env.log.warning(
                    "the scan mended the queue",
                    account=policy.account,
                    edits=found.edits,
                    inserts=found.inserts,
                    deletes=found.deletes,
                )
            mended += found.edits + found.inserts + found.deletes
    return mended


async def run_all(env: Env, chosen: Sequence[JobSpec], *, full: bool, person: bool) -> list[Run]:
    """Run the jobs of each account one after the other, the accounts beside each other.

    For a person, failing calls of one account may take `PATIENCE` in all; after that each of its
    jobs has one short try. So a vendor that hangs holds nobody else up, and the pass still ends.
    """
    await scan(env)
    done: dict[JobSpec, Run] = {}

    async def run_account(label: str) -> None:
        for spec in chosen:
            if spec.label == label:
                done[spec] = run = await run_job(env, spec, full=full, person=person)
                if isinstance(run.error, StoreError) and not isinstance(run.error, StoreBusyError):
                    return  # nothing more is written into a file that is full or damaged

    if person:
        for door in env.doors():
            door.set_patience(PATIENCE)
    async with asyncio.TaskGroup() as tasks:
        for label in dict.fromkeys(spec.label for spec in chosen):
            tasks.create_task(run_account(label))
    return [done[spec] for spec in chosen if spec in done]


async def sync(
    settings: Settings,
    chosen: Sequence[JobSpec],
    *,
    who: str = "syncer sync",
    full: bool = False,
    progress: Progress = no_progress,
    clock: Clock | None = None,
) -> list[Run]:
    """One pass now, for a person. Takes all locks first; LockedError if it cannot, having done nothing."""
    locks = Locks(settings.database.path, who)
    async with locks.hold([lock_name(spec) for spec in chosen]):
        async with locks.hold([SCHEMA_LOCK]):
            db = open_database(settings)
        # A thread of its own: pages go on coming while rows are written.
        executor = ThreadPoolExecutor(1, thread_name_prefix="database")
        try:
            env = build(settings, db, clock or SystemClock(), executor=executor)
            env.progress = progress
            try:
                return await run_all(env, chosen, full=full, person=True)
            finally:
                await env.aclose()
        finally:
            executor.shutdown()
            db.close()


@dataclass(frozen=True, slots=True)
class Planned:
    """What one job would do."""

    job: str
    account: str
    outcome: str
    problem: str
    lines: list[str] = field(default_factory=list)
    error: Exception | None = None


async def dry_run(
    settings: Settings,
    chosen: Sequence[JobSpec],
    *,
    full: bool = False,
    progress: Progress = no_progress,
    clock: Clock | None = None,
) -> list[Planned]:
    """Say what a `sync` would change, and change nothing on either side.

    The pulls run for real, into the copy; what changed there is what would change. The push looks
    and decides, and sends nothing.
    """

    async def work(env: Env) -> list[Planned]:
        env.plan_only = True
        await scan(env)
        return [await _plan(env, spec, full=full) for spec in chosen]

    return await on_a_copy(settings, work, progress=progress, clock=clock)


async def on_a_copy(
    settings: Settings,
    work: Callable[[Env], Awaitable[T]],
    *,
    progress: Progress,
    clock: Clock | None,
) -> T:
    """Do `work` on a copy of the database that is thrown away afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="syncer-copy-"))
    try:
        copy = folder / "copy.db"
        if settings.database.path.exists():
            with Database(settings.database.path, create=False, checkpoints=False) as original:
                schema.backup(original, copy)
            copy_key(settings.database.path, copy)
        db = open_database(settings, path=copy)
        try:
            env = build(settings, db, clock or SystemClock())
            env.progress = progress
            for door in env.doors():
                door.set_patience(PATIENCE)
            try:
                return await work(env)
            finally:
                await env.aclose()
        finally:
            db.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _plan(env: Env, spec: JobSpec, *, full: bool) -> Planned:
    before = await env.store.read(feed.last_seq)
    run = await run_job(env, spec, full=full, person=True)
    lines = list(run.plan) or await env.store.read(feed.summary, before)
    return Planned(spec.job, spec.account, run.outcome, run.problem, lines, run.error)


def exit_code(done: Sequence[Run | Planned]) -> int:
    """77 when credentials were refused, 1 when something failed or is held, else 0."""
    if any(isinstance(run.error, AuthError) for run in done):
        return 77
    return 0 if all(run.outcome == "ok" for run in done) else 1


def paused_until(env: Env, state: runs.JobState) -> bool:
    """Whether a job is to be left alone for now."""
    return state.paused_until is not None and parse(state.paused_until) > env.now()
