"""One job of one account in the daemon: woken, it takes the job's lock and runs it once.

How long it then rests is reckoned in `pace`, when it is woken in `schedule` and `watch`.
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
from syncer.sync.jobs import JobSpec
from syncer.sync.run import Run

#: How often a worker looks again for a lock that another process has, in seconds.
LOCK_STEP = 2.0

#: How long a run that was told to end may take over it before the watchdog is let go, in seconds.
LATE = 60.0


@dataclass(slots=True, eq=False)
class SharedLogin:
    """A login that one or more jobs of an account share, and its refusals in a row."""

    key: str  #: `telecmi.main login`
    refusals: int = 0
    until: float = 0.0  #: on the monotonic clock: nobody uses it before
    saved: bool = False  #: the record says so too, so that a person's `sync` can show it to be over
    members: list[Worker] = field(default_factory=list)


@dataclass(slots=True)
class WorkerContext:
    """What every worker needs of the daemon around it."""

    locks: Locks
    edges: Edges
    log: Any
    mono: Callable[[], float]
    now: Callable[[], datetime]
    rand: Callable[[], float]
    #: Let the alarm of this name ring in so many seconds.
    put_off: Callable[[str, float], None]
    #: Told after each run: what is due now, and is all well?
    finished: Callable[[Worker], Awaitable[None]]
    #: Writes down that these jobs pause for so many seconds.
    save_pause: Callable[[list[JobSpec], float], Awaitable[None]]
    chatty: bool = False  #: somebody reads along on a terminal
    #: Seconds that a whole run may take, and seconds that it may take between signs of progress.
    limits: tuple[float, float] = (intervals.LONGEST_RUN, intervals.LONGEST_SILENCE)
    lock_step: float = LOCK_STEP
    late: float = LATE


class Worker:
    """Runs one job, one run at a time, until it is cancelled."""

    def __init__(
        self,
        spec: JobSpec,
        around: WorkerContext,
        *,
        lock: str,
        run_job: Callable[[], Awaitable[Run]],
        deadline: Callable[[float], AbstractAsyncContextManager[None]],
        credentials: SharedLogin,
        sends: bool = False,
    ) -> None:
        self.spec = spec
        self.name = lock
        self.sends = sends  #: what is to be sent wakes it
        self.failures = 0  #: runs in a row that an error ended
        self.problem = ""  #: why it is not well, in words; "" when it is
        self.runs = 0
        self.at_rest = asyncio.Event()  #: set while no run is under way
        self.at_rest.set()
        self._around = around
        self._run_job = run_job
        self._deadline = deadline
        self._credentials = credentials
        self._wake = asyncio.Event()
        self._not_before = around.mono()
        self._closing = False
        self._limit: asyncio.Timeout | None = None
        self._ends_by = 0.0
        self._silence = 0.0
        self._bug = ""
        self._log = around.log.bind(job=spec.job, account=spec.label)
        credentials.members.append(self)

    @property
    def running(self) -> bool:
        """Whether a run is under way, or being taken stock of."""
        return not self.at_rest.is_set()

    async def ring(self) -> None:
        """The alarm: run, unless it is at it already."""
        if not self.running:
            self._wake.set()

    def request(self) -> None:
        """There is something to send, or news: run at once, or right after the run that is under way."""
        self._wake.set()

    def progress(self) -> None:
        """The run under way got somewhere: its silence begins anew."""
        if self._limit is not None and not self._limit.expired():
            loop = asyncio.get_running_loop()
            self._limit.reschedule(min(loop.time() + self._silence, self._ends_by))

    @property
    def late(self) -> bool:
        """Whether a run is under way that should have ended long ago."""
        limit = self._limit.when() if self._limit is not None else None
        return limit is not None and asyncio.get_running_loop().time() > limit + self._around.late

    @property
    def paused(self) -> bool:
        """Whether it waits after refused credentials, and its record says so."""
        shared = self._credentials
        return shared.saved and shared.until > self._around.mono() and not self.running

    def rest(self, seconds: float, *, edits_wait: float = 0.0) -> None:
        """The next run is due in so many seconds; an edit has to wait for `edits_wait` of them."""
        self._not_before = self._around.mono() + edits_wait
        self._around.put_off(self.name, seconds)

    def _rest_after(self, took: float, retry_after: float | None = None) -> None:
        wait = intervals.until_next(
            self.spec.every.total_seconds(),
            took,
            self.failures,
            self._around.rand(),
            retry_after=retry_after,
        )
        self.rest(wait, edits_wait=intervals.after_edit(wait, self.failures, retry_after))

    def resume(self) -> None:
        """A person's run showed that the credentials are good: go on."""
        self._not_before = self._around.mono()
        self._wake.set()

    def close(self) -> None:
        """No further run."""
        self._closing = True

    async def work(self) -> None:
        """Wait to be woken, run, rest; for ever."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._closing:
                continue
            early = self._not_before - self._around.mono()
            if early > 0:
                self._around.put_off(self.name, early)
                continue
            try:
                await self._turn()
            except SyncerError as error:  # what `run_job` could not put into its record: locks, the disk
                self._failed(error, str(error))
                self._rest_after(0.0)
                await self._around.finished(self)

    async def _turn(self) -> None:
        handle = await self._lock()
        self.at_rest.clear()
        try:
            began = self._around.mono()
            try:
                run = await self._run_once()
            finally:
                self._limit = None
                self._around.locks.release(handle)
            self.runs += 1
            took = self._around.mono() - began
            if run is not None:
                await self._take_stock(run, took)
            else:
                self._rest_after(took)
            await self._around.finished(self)
        finally:
            self.at_rest.set()

    async def _lock(self) -> int:
        """The job's lock; another process (a `sync`) may have it for a while."""
        locks, told = self._around.locks, False
        while (handle := locks.try_acquire(self.name)) is None:
            if not told:
                self._log.debug("waiting for another process", holder=locks.holder(self.name))
                told = True
            await asyncio.sleep(self._around.lock_step * (0.5 + self._around.rand()))
        return handle

    async def _run_once(self) -> Run | None:
        """One run within its limits; None when it was ended, or ended itself by a bug."""
        whole, self._silence = self._around.limits
        now = asyncio.get_running_loop().time()
        # The calls of a run end first, which lets it close its record; being cancelled comes after.
        self._ends_by = now + whole + self._silence / 10
        limit = asyncio.timeout(self._silence * 1.1)
        try:
            async with limit:
                self._limit = limit
                async with self._deadline(whole):
                    run = await self._run_job()
        except SyncerError:
            raise
        except Exception as bug:  # noqa: BLE001 - told below with its trace; the daemon outlives it
            if isinstance(bug, TimeoutError) and limit.expired():
                text = f"a run was ended: no progress for {self._silence:.0f} s, or too long in all"
                self._failed(TransientError(self.spec.label, self.spec.job, text), text)
                return None
            self.failures += 1
            self.problem = f"a bug ended its run ({type(bug).__name__}); the log says where"
            if self._bug != repr(type(bug)):  # loudly, but not again with each run
                self._bug = repr(type(bug))
                self._log.exception("a bug ended this run, and the daemon goes on; please report these lines")
            return None
        self._bug = ""
        return run

    async def _take_stock(self, run: Run, took: float) -> None:
        self._tell(run, took)
        match run.error:
            case None:
                self.failures = 0
                if run.outcome == "ok":
                    # Sending nothing asks nobody. (`run.requests` counts those of the whole account.)
                    self._well(proven=not self.sends or run.seen > 0)
                else:
                    self._failed(None, run.problem)
                self._rest_after(took)
            case AuthError() as refusal:
                self._failed(refusal, str(refusal))
                await self._pause(refusal)
            case error:
                retry_after = error.retry_after if isinstance(error, TransientError) else None
                self._failed(error, run.problem or str(error))
                self._rest_after(took, retry_after)
        left = self._credentials.until - self._around.mono()
        if left > 0:  # also where this run began before the pause did: its end wrote over the record
            self.rest(left, edits_wait=left)
            await self._around.save_pause([self.spec], left)

    def _tell(self, run: Run, took: float) -> None:
        changed = run.added or run.changed or run.removed
        say = self._log.info if changed or self._around.chatty else self._log.debug
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

    def _well(self, *, proven: bool) -> None:
        """It went through; `proven` if the vendor was asked for it, and so took the credentials."""
        self.problem = ""
        edges = self._around.edges
        for kind in ("failed", "incomplete"):
            edges.recovered((self.name, kind), self._log, "recovered")
        if proven:
            shared = self._credentials
            shared.refusals, shared.until, shared.saved = 0, 0.0, False
            edges.recovered(shared.key, self._log, "the credentials are accepted again")

    def _failed(self, error: SyncerError | None, why: str) -> None:
        self.problem = why
        edges = self._around.edges
        match error:
            case AuthError():
                self.failures += 1  # told for all jobs of the login at once, by `_pause`
            case None:
                edges.failing((self.name, "incomplete"), self._log, "incomplete", problem=why)
            case _:
                self.failures += 1
                edges.failing((self.name, "failed"), self._log, "failing", problem=why)

    async def _pause(self, refusal: AuthError) -> None:
        """Leave the login alone for a while: all jobs that use it."""
        around, shared = self._around, self._credentials
        if shared.until > around.mono():  # another job of this login was refused while this was under way
            return
        shared.refusals += 1
        locked_for = None
        if refusal.locked_until is not None:
            locked_for = (refusal.locked_until - around.now()).total_seconds()
        seconds = intervals.pause(shared.refusals, locked_for)
        shared.until = around.mono() + seconds
        around.edges.failing(
            shared.key,
            self._log,
            "the credentials were refused: its jobs pause; correct them, then restart or reload the service",
            problem=str(refusal),
            minutes=round(seconds / 60),
        )
        shared.saved = False
        for worker in shared.members:
            worker.rest(seconds, edits_wait=seconds)
        await around.save_pause([worker.spec for worker in shared.members], seconds)
        shared.saved = True
