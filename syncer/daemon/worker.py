"""Runs one job of one account in the daemon: when woken, it takes the job's lock and runs the job once.

`intervals` computes the pauses.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from syncer.daemon import intervals
from syncer.errors import AuthError, SyncerError, TransientError
from syncer.locks import Locks
from syncer.logs import Edges
from syncer.sync.registry import JobSpec
from syncer.sync.run import Run

#: How often a worker tries again to get a lock that another process has, in seconds.
LOCK_STEP = 2.0

#: How long a run may take to stop before the watchdog is no longer notified, in seconds.
LATE = 60.0


@dataclass(slots=True, eq=False)
class SharedLogin:
    """A login that several jobs of an account may share, and its refusals in a row."""

    key: str  #: `telecmi.main login`
    refusals: int = 0
    until: float = 0.0  #: on the monotonic clock: it is not used before
    saved: bool = False  #: the pause is also stored, so a person's `sync` can end it
    members: list[Worker] = field(default_factory=list)


@dataclass(slots=True)
class WorkerContext:
    """What every worker needs from the daemon."""

    locks: Locks
    edges: Edges
    log: Any
    mono: Callable[[], float]
    now: Callable[[], datetime]
    rand: Callable[[], float]
    #: Sets the alarm of this name to ring in this many seconds.
    reschedule: Callable[[str, float], None]
    #: Called after each run.
    finished: Callable[[Worker], Awaitable[None]]
    #: Stores that these jobs pause for this many seconds.
    save_pause: Callable[[list[JobSpec], float], Awaitable[None]]
    chatty: bool = False  #: the log is on a terminal
    #: The time limits of a run, and of a run without progress, in seconds.
    limits: tuple[float, float] = (intervals.LONGEST_RUN, intervals.LONGEST_SILENCE)
    lock_step: float = LOCK_STEP
    late: float = LATE


class Worker:
    """Runs one job, one run at a time, until it is cancelled."""

    def __init__(
        self,
        spec: JobSpec,
        context: WorkerContext,
        *,
        run_job: Callable[[], Awaitable[Run]],
        deadline: Callable[[float], AbstractAsyncContextManager[None]],
        credentials: SharedLogin,
    ) -> None:
        self.spec = spec
        self.name = spec.lock
        self.sends = spec.resource.next_due is not None  #: it is woken when something is to be sent
        self.failures = 0  #: runs in a row that an error ended
        self.problem = ""  #: why it is not healthy; "" if it is
        self.runs = 0
        self.idle = asyncio.Event()  #: set while no run is under way
        self.idle.set()
        self._context = context
        self._run_job = run_job
        self._deadline = deadline
        self._credentials = credentials
        self._wake = asyncio.Event()
        self._not_before = context.mono()
        self._closing = False
        self._limit: asyncio.Timeout | None = None
        self._ends_by = 0.0
        self._silence = 0.0
        self._bug = ""
        self._log = context.log.bind(job=spec.job, account=spec.label)
        credentials.members.append(self)

    @property
    def running(self) -> bool:
        """Whether a run is in progress, or its result is being handled."""
        return not self.idle.is_set()

    async def wake(self) -> None:
        """The alarm rings: run, unless a run is already in progress."""
        if not self.running:
            self._wake.set()

    def request(self) -> None:
        """There is something to send or to fetch: run at once, or right after the current run."""
        self._wake.set()

    def progress(self) -> None:
        """The current run made progress: restart its time limit."""
        if self._limit is not None and not self._limit.expired():
            loop = asyncio.get_running_loop()
            self._limit.reschedule(min(loop.time() + self._silence, self._ends_by))

    @property
    def late(self) -> bool:
        """Whether the current run should have ended long ago."""
        limit = self._limit.when() if self._limit is not None else None
        return limit is not None and asyncio.get_running_loop().time() > limit + self._context.late

    @property
    def paused(self) -> bool:
        """Whether it pauses after refused credentials, and the pause is stored."""
        shared = self._credentials
        return shared.saved and shared.until > self._context.mono() and not self.running

    def schedule_next(self, seconds: float, *, edits_wait: float = 0.0) -> None:
        """Set the next run in this many seconds. An edit starts one after `edits_wait` seconds."""
        self._not_before = self._context.mono() + edits_wait
        self._context.reschedule(self.name, seconds)

    def _schedule_after(self, took: float, retry_after: float | None = None) -> None:
        wait = intervals.until_next(
            self.spec.every.total_seconds(),
            took,
            self.failures,
            self._context.rand(),
            retry_after=retry_after,
        )
        self.schedule_next(wait, edits_wait=intervals.after_edit(wait, self.failures, retry_after))

    def resume(self) -> None:
        """Continue, because a person's run showed that the credentials are good."""
        self._not_before = self._context.mono()
        self._wake.set()

    def close(self) -> None:
        """Start no further run."""
        self._closing = True

    async def work(self) -> None:
        """Wait to be woken, run, and pause, for ever."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._closing:
                continue
            early = self._not_before - self._context.mono()
            if early > 0:
                self._context.reschedule(self.name, early)
                continue
            try:
                await self._turn()
            except SyncerError as error:  # what `run_job` could not record: locks, the disk
                self._failed(error, str(error))
                self._schedule_after(0.0)
                await self._context.finished(self)

    async def _turn(self) -> None:
        handle = await self._lock()
        self.idle.clear()
        try:
            began = self._context.mono()
            try:
                run = await self._run_once()
            finally:
                self._limit = None
                self._context.locks.release(handle)
            self.runs += 1
            took = self._context.mono() - began
            if run is not None:
                await self._handle_result(run, took)
            else:
                self._schedule_after(took)
            await self._context.finished(self)
        finally:
            self.idle.set()

    async def _lock(self) -> int:
        """Get the job's lock. Another process (a `sync`) may have it for a while."""
        locks, reported = self._context.locks, False
        while (handle := locks.try_acquire(self.name)) is None:
            if not reported:
                self._log.debug("waiting for another process", holder=locks.holder(self.name))
                reported = True
            await asyncio.sleep(self._context.lock_step * (0.5 + self._context.rand()))
        return handle

    async def _run_once(self) -> Run | None:
        """One run within its limits; None if it was ended, or ended by a bug."""
        whole, self._silence = self._context.limits
        now = asyncio.get_running_loop().time()
        # The run's calls end first, so it can record its end. It is cancelled only after that.
        self._ends_by = now + whole + self._silence / 10
        limit = asyncio.timeout(self._silence * 1.1)
        try:
            async with limit:
                self._limit = limit
                async with self._deadline(whole):
                    run = await self._run_job()
        except SyncerError:
            raise
        except Exception as bug:  # noqa: BLE001 - logged below with its traceback; the daemon continues
            if isinstance(bug, TimeoutError) and limit.expired():
                text = f"a run was ended: no progress for {self._silence:.0f} s, or too long in all"
                self._failed(TransientError(self.spec.label, self.spec.job, text), text)
                return None
            self.failures += 1
            self.problem = f"a bug ended its run ({type(bug).__name__}); the log says where"
            if self._bug != repr(type(bug)):  # logged once, not with each run
                self._bug = repr(type(bug))
                self._log.exception("a bug ended this run, and the daemon goes on; please report these lines")
            return None
        self._bug = ""
        return run

    async def _handle_result(self, run: Run, took: float) -> None:
        self._log_result(run, took)
        match run.error:
            case None:
                self.failures = 0
                if run.outcome == "ok":
                    # Without sending, the vendor was not called. (`run.requests` counts the whole account.)
                    self._succeeded(proven=not self.sends or run.seen > 0)
                else:
                    self._failed(None, run.problem)
                self._schedule_after(took)
            case AuthError() as refusal:
                self._failed(refusal, str(refusal))
                await self._pause(refusal)
            case error:
                retry_after = error.retry_after if isinstance(error, TransientError) else None
                self._failed(error, run.problem or str(error))
                self._schedule_after(took, retry_after)
        left = self._credentials.until - self._context.mono()
        if left > 0:  # also if this run started before the pause: its end has overwritten the stored pause
            self.schedule_next(left, edits_wait=left)
            await self._context.save_pause([self.spec], left)

    def _log_result(self, run: Run, took: float) -> None:
        changed = run.added or run.changed or run.removed
        say = self._log.info if changed or self._context.chatty else self._log.debug
        say(
            "run finished",
            outcome=run.outcome,
            seconds=round(took, 2),
            requests=run.requests,
            seen=run.seen,
            added=run.added,
            changed=run.changed,
            removed=run.removed,
        )

    def _succeeded(self, *, proven: bool) -> None:
        """The run succeeded. `proven`: the vendor was called, so it accepted the credentials."""
        self.problem = ""
        edges = self._context.edges
        for kind in ("failed", "incomplete"):
            edges.recovered((self.name, kind), self._log, "recovered")
        if proven:
            shared = self._credentials
            shared.refusals, shared.until, shared.saved = 0, 0.0, False
            edges.recovered(shared.key, self._log, "the credentials are accepted again")

    def _failed(self, error: SyncerError | None, why: str) -> None:
        self.problem = why
        edges = self._context.edges
        match error:
            case AuthError():
                self.failures += 1  # `_pause` logs it once for all jobs of the login
            case None:
                edges.failing((self.name, "incomplete"), self._log, "incomplete", problem=why)
            case _:
                self.failures += 1
                edges.failing((self.name, "failed"), self._log, "failing", problem=why)

    async def _pause(self, refusal: AuthError) -> None:
        """Pause the login, with all jobs that use it."""
        context, shared = self._context, self._credentials
        if shared.until > context.mono():  # another job of this login was refused during this run
            return
        shared.refusals += 1
        locked_for = None
        if refusal.locked_until is not None:
            locked_for = (refusal.locked_until - context.now()).total_seconds()
        seconds = intervals.pause(shared.refusals, locked_for)
        shared.until = context.mono() + seconds
        context.edges.failing(
            shared.key,
            self._log,
            "the credentials were refused: its jobs pause; correct them, then restart or reload the service",
            problem=str(refusal),
            minutes=round(seconds / 60),
        )
        shared.saved = False
        for worker in shared.members:
            worker.schedule_next(seconds, edits_wait=seconds)
        await context.save_pause([worker.spec for worker in shared.members], seconds)
        shared.saved = True
