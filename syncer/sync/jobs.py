"""Runs the jobs that `registry` declares: one job, or a whole `sync`, on the database or on a copy of it."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from syncer.clock import Clock, SystemClock
from syncer.config import Settings
from syncer.errors import AuthError, SchemaError, StoreBusyError, StoreError
from syncer.locks import Locks
from syncer.store.db import copies, home
from syncer.store.db.connection import Database
from syncer.store.read import feed
from syncer.store.write import scan as scanning
from syncer.store.write.forget import copy_key
from syncer.sync import telecmi_contacts
from syncer.sync.env import Env, Progress, build, no_progress
from syncer.sync.open_database import SCHEMA_LOCK, is_outdated, open_database, upgrade_apart
from syncer.sync.registry import JobSpec, prepare, resolve
from syncer.sync.run import Run, perform

T = TypeVar("T")

#: How long failing calls of one account may delay a `sync`, in seconds, so it ends within 45.
PATIENCE = 30.0


async def run_job(env: Env, spec: JobSpec, *, full: bool = False, person: bool = False) -> Run:
    """Run one job of one account once. Its errors are recorded in the run and not raised."""
    source = env.sources[spec.label]

    async def work(run: Run) -> None:
        if spec.resource.only_at_home:
            away = await env.store.read(home.elsewhere, home.place_of(env.settings.database.path))
            if away is not None:
                run.incomplete(away)
                return
        await resolve(spec.resource.run)(run, source)

    run = Run(env, spec.job, spec.account, source.api, full=full, person=person)
    await perform(run, work)
    return run


async def scan(env: Env) -> int:
    """Scan every account whose directory is mirrored. Returns how much was corrected."""
    corrected = 0
    accounts = [account for account in env.settings.telecmi if account.contacts.enabled]
    for account in accounts:
        policy = telecmi_contacts.policy_of(account)
        only = len(accounts) == 1
        if await env.store.read(partial(scanning.needed, only_account=only), policy):
            found = await env.store.write(partial(scanning.scan, only_account=only), policy, env.stamp())
            if found:
                env.log.warning(
                    "the scan corrected the queue",
                    account=policy.account,
                    edits=found.edits,
                    inserts=found.inserts,
                    deletes=found.deletes,
                )
            corrected += found.edits + found.inserts + found.deletes
    return corrected


async def run_all(env: Env, chosen: Sequence[JobSpec], *, full: bool, person: bool) -> list[Run]:
    """Run the jobs of each account in order, accounts in parallel, and then the jobs of targets.

    For a person, failing calls of one account may take `PATIENCE` in total. After that, each of its jobs gets one
    short attempt. So a vendor that hangs does not delay the others, and the pass ends.
    """
    await scan(env)
    done: dict[JobSpec, Run] = {}

    async def run_account(label: str) -> None:
        for spec in chosen:
            if spec.label == label:
                done[spec] = run = await run_job(env, spec, full=full, person=person)
                if isinstance(run.error, StoreError) and not isinstance(run.error, StoreBusyError):
                    return  # the file is full or damaged: no further jobs

    if person:
        for source in env.sources.values():
            source.set_patience(PATIENCE)
    for last in (False, True):
        labels = dict.fromkeys(spec.label for spec in chosen if spec.resource.last is last)
        async with asyncio.TaskGroup() as tasks:
            for label in labels:
                tasks.create_task(run_account(label))
    return [done[spec] for spec in chosen if spec in done]


async def sync(
    settings: Settings,
    chosen: Sequence[JobSpec],
    *,
    who: str = "syncer sync",
    full: bool = False,
    progress: Progress = no_progress,
) -> list[Run]:
    """One pass now, for a person. Takes all locks first; otherwise raises LockedError without doing anything."""
    prepare(settings, chosen)
    locks = Locks(settings.database.path, who, settings.database.group)
    async with locks.hold([spec.lock for spec in chosen]):
        if settings.path is not None and is_outdated(settings):
            await upgrade_apart(settings.path)
        async with locks.hold([SCHEMA_LOCK]):
            db = open_database(settings)
        # In another thread, so pages keep coming while rows are written.
        with db, ThreadPoolExecutor(1, thread_name_prefix="database") as executor:
            async with aclosing(build(settings, db, SystemClock(), executor=executor)) as env:
                env.progress = progress
                return await run_all(env, chosen, full=full, person=True)


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
    """Find out what a `sync` would change, without changing anything on either side.

    The pulls run on a copy of the database, and the changes of the copy are what would change. The push looks up and
    decides, but sends nothing.
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
    clock: Clock | None = None,
) -> T:
    """Do `work` on a temporary copy of the database."""
    with tempfile.TemporaryDirectory(prefix="syncer-copy-", ignore_cleanup_errors=True) as folder:
        copy = Path(folder) / "copy.db"
        if settings.database.path.exists():
            with Database(settings.database.path, create=False, checkpoints=False) as original:
                copies.backup(original, copy)
            copy_key(settings.database.path, copy)
        with open_database(settings, path=copy) as db:
            async with aclosing(build(settings, db, clock or SystemClock())) as env:
                env.progress = progress
                for source in env.sources.values():
                    source.set_patience(PATIENCE)
                return await work(env)


async def _plan(env: Env, spec: JobSpec, *, full: bool) -> Planned:
    before = await env.store.read(feed.last_seq)
    run = await run_job(env, spec, full=full, person=True)
    lines = list(run.plan) or await env.store.read(feed.summary, before)
    return Planned(spec.job, spec.account, run.outcome, run.problem, lines, run.error)


def exit_code(done: Sequence[Run | Planned]) -> int:
    """78 for a schema of a newer version, 77 if credentials were refused, 1 if something failed or is held, else 0."""
    if any(isinstance(run.error, SchemaError) for run in done):
        return 78
    if any(isinstance(run.error, AuthError) for run in done):
        return 77
    return 0 if all(run.outcome == "ok" for run in done) else 1
