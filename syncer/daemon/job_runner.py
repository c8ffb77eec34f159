"""Runs all workers of one config: starts them, wakes them by alarms and edits, and stops them.

A new config gets a new job runner. `service` keeps what outlives it: the database, the pages.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from syncer.core.due import time_left
from syncer.core.normalise import utc_text
from syncer.core.push import LONGEST_RETRY
from syncer.daemon.attention import Attention
from syncer.daemon.schedule import Monotonic, Schedule
from syncer.daemon.worker import SharedLogin, Worker, WorkerContext
from syncer.errors import StoreError, SyncerError
from syncer.locks import Locks
from syncer.logs import Edges
from syncer.store.db import home
from syncer.store.db.connection import Connection
from syncer.store.write import runs
from syncer.sync import jobs, registry
from syncer.sync.env import Env, Store
from syncer.sync.registry import JobSpec, resolve
from syncer.sync.run import Run

#: How long a run may continue after the shutdown started, and how long it may take to stop, in seconds.
GRACE, STOPPING = 3.0, 3.0

RunJob = Callable[[Env, JobSpec], Awaitable[Run]]


class JobRunner:
    """The running workers of one config's enabled jobs."""

    def __init__(
        self,
        env: Env,
        locks: Locks,
        edges: Edges,
        *,
        mono: Monotonic,
        finished: Callable[[Worker], Awaitable[None]],
        attention: Attention,
        chatty: bool = False,
        run_job: RunJob = jobs.run_job,
    ) -> None:
        self.env = env
        self.schedule = Schedule(env.clock, mono)
        self.edges = edges
        self._attention = attention
        self._home = home.place_of(env.settings.database.path)
        self._due: dict[Worker, str | None] = {}  #: when the next item to be sent is due
        #: They run for ever. If one ends, that is a bug.
        self.tasks: list[asyncio.Task[None]] = []
        context = WorkerContext(
            locks=locks,
            edges=edges,
            log=env.log,
            mono=mono,
            now=env.now,
            rand=env.clock.rand,
            reschedule=self.schedule.reschedule,
            finished=finished,
            save_pause=self._save_pause,
            chatty=chatty,
        )
        logins: dict[str, SharedLogin] = {}
        self.workers = [
            Worker(
                spec,
                context,
                run_job=partial(run_job, env, spec),
                deadline=env.sources[spec.label].deadline,
                credentials=_login(spec, logins),
            )
            for spec in registry.specs(env.settings)
            if spec.enabled
        ]
        self._senders = [
            (w, resolve(w.spec.resource.next_due)) for w in self.workers if w.spec.resource.next_due
        ]
        env.progress = self._progress
        self._not_late: dict[Worker, int] = {}  #: how many runs had started when the clock was last set
        for worker in self.workers:
            self.schedule.add(worker.name, worker.spec.every.total_seconds(), worker.wake)

    def start(self) -> None:
        """Start all workers. Each job runs at once."""
        self.tasks = [asyncio.create_task(w.work(), name=w.name) for w in self.workers]
        for worker in self.workers:
            if worker.spec.resource.listen is not None:
                listening = resolve(worker.spec.resource.listen)
                source = self.env.sources[worker.spec.label]
                task = asyncio.create_task(listening(source, worker.request), name=f"{worker.name} listens")
                self.tasks.append(task)
        self.schedule.start()

    @property
    def idle(self) -> bool:
        """Whether no run is under way."""
        return not any(worker.running for worker in self.workers)

    async def stop(self, hurry: asyncio.Event | None = None) -> bool:
        """Stop: running jobs get `GRACE` seconds, or until `hurry`, and then stop at their next wait.

        Returns whether all of them stopped.
        """
        self.schedule.stop()
        for worker in self.workers:
            worker.close()
        waits: set[asyncio.Task[Any]] = {asyncio.create_task(self._until_idle())}
        if hurry is not None:
            waits.add(asyncio.create_task(hurry.wait()))
        await asyncio.wait(waits, timeout=GRACE, return_when=asyncio.FIRST_COMPLETED)
        for task in (*waits, *self.tasks):
            task.cancel()
        if self.tasks:
            await asyncio.wait(self.tasks, timeout=STOPPING)
        return all(task.done() for task in self.tasks)

    async def _until_idle(self) -> None:
        for worker in self.workers:
            await worker.idle.wait()

    async def check(self, done: Worker | None = None) -> None:
        """Start what is due to be sent, and note when the next item is due.

        After a run of a sending worker (`done`), only its next retry is considered. Also reads what waits for a
        person, and resumes workers whose credentials a person's run has proven good. Raises StoreError.
        """
        await self._attention.refresh(self.env)
        away = await self.env.store.read(home.elsewhere, self._home)
        for worker, due in self._senders:
            if away is not None and worker.spec.resource.only_at_home:
                self._due[worker] = None  # otherwise, each run of another job would wake it for nothing
                continue
            fresh, self._due[worker] = await self.env.store.read(due, worker.spec.account, self.env.now())
            if fresh and worker is not done:
                worker.request()
        for worker in self.workers:
            if worker.paused:
                state = await self.env.store.read(runs.load_job, worker.spec.job, worker.spec.account)
                if state.paused_until is None:
                    worker.resume()

    def check_clock(self) -> None:
        """Notice that the wall clock was set: the schedule goes on, and no job is late before it has run again."""
        if jump := self.schedule.check_clock():
            self._not_late = {worker: worker.runs + worker.running for worker in self.workers}
            self.env.log.info("the clock was set; the schedule goes on", seconds=round(jump))

    @property
    def ran(self) -> set[tuple[str, str]]:
        """Job and account of those that have run since the start, and since the clock was last set."""
        return {
            (worker.spec.job, worker.spec.account)
            for worker in self.workers
            if worker.runs > self._not_late.get(worker, 0)
        }

    def wake_due(self) -> None:
        """Start the workers with something due to be sent."""
        now = self.env.now()
        for worker, due in self._due.items():
            if due is not None and not worker.running and not time_left(due, now, LONGEST_RETRY):
                self._due[worker] = None  # once; after the run, `check` sets the next time
                worker.request()

    def ring(self, label: str) -> None:
        """The account's doorbell rang: pull its voicemails and calls at once."""
        for worker in self.workers:
            if worker.spec.label == label and worker.spec.resource.rings:
                worker.request()

    def _progress(self, label: str, account: str, done: int, total: int | None) -> None:
        del done, total
        for worker in self.workers:
            if worker.spec.account == account and label.startswith(worker.spec.job):
                worker.progress()

    async def _save_pause(self, specs: list[JobSpec], seconds: float) -> None:
        until = utc_text(self.env.now() + timedelta(seconds=seconds))

        def save(conn: Connection) -> None:
            for spec in specs:
                state = runs.load_job(conn, spec.job, spec.account)
                state.paused_until = until
                runs.save_job(conn, spec.job, spec.account, state)

        await self.env.store.write(save)


def _login(spec: JobSpec, logins: dict[str, SharedLogin]) -> SharedLogin:
    """Jobs with the same credentials are paused together if those are refused."""
    key = f"{spec.label} {' '.join(spec.settings.needs)}"
    return logins.setdefault(key, SharedLogin(key))


class Watch:
    """Polls for commits of other programs, changes of the clock, and changes that are now due.

    It also shows that the daemon is alive: `answered` advances only while the loop runs and the database answers.
    """

    #: Seconds between two checks of the write-ahead log's timestamp.
    STEP = 0.5

    #: The database itself is read at every n-th check, and if the timestamp has changed: switching to its thread costs
    #: a hundred times as much as reading the timestamp.
    DATABASE_STEP = 4

    def __init__(self, mono: Monotonic, edges: Edges, log: Any) -> None:
        self.answered = mono()  #: when the database's thread last answered
        self._mono = mono
        self._edges = edges
        self._log = log
        self._version: int | None = None
        self._stamp: tuple[int, int] | None = None
        self._polls = 0

    async def watch(self, runner: Callable[[], JobRunner]) -> None:
        """Poll for ever, for the current job runner."""
        while True:
            await asyncio.sleep(self.STEP)
            await self.poll(runner())

    def reset(self) -> None:
        """Read the database as if it had changed, for a new job runner."""
        self._version = None

    async def poll(self, runner: JobRunner) -> None:
        """Poll once. Errors of the database are logged once, and polling continues.

        Raises StoreError if the file was replaced, because further writes would be lost.
        """
        runner.check_clock()
        store = runner.env.store
        self._polls += 1
        if store.db.replaced():
            await self._require_files(store)
        stamp = _stamp(store.db.path)
        if stamp == self._stamp and self._version is not None and self._polls % self.DATABASE_STEP:
            runner.wake_due()
            return
        try:
            version = await store.call(store.db.checked_version)
            self.answered = self._mono()
            if version != self._version:
                await runner.check()
                self._version = version
            self._stamp = stamp
            runner.wake_due()
        except SyncerError as error:
            self.answered = self._mono()
            self._edges.failing("database", self._log, "the database is in trouble", problem=str(error))
        else:
            self._edges.recovered("database", self._log, "the database works again")

    async def _require_files(self, store: Store) -> None:
        try:
            await store.call(store.db.require_files)
        except StoreError as error:
            raise StoreError(
                f"{error}. The daemon ends, and the next start takes what is there; stop it first another time"
            ) from None


def _stamp(database: Path) -> tuple[int, int] | None:
    """The modification time and size of the write-ahead log, which every commit changes."""
    try:
        found = database.with_name(f"{database.name}-wal").stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
