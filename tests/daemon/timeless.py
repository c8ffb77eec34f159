"""The daemon's jobs and maintenance against the sandbox in virtual time: days pass in seconds.

The event loop jumps to the next timer when nothing else is to be done, and the wall clock goes along.
Only sockets, signals and the watchdog are left out; the database is a real file.
"""

from __future__ import annotations

import asyncio
import random
import selectors
import threading
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import httpx
import time_machine

from syncer.clock import SystemClock
from syncer.config import Settings
from syncer.daemon.attention import Attention
from syncer.daemon.job_runner import JobRunner, Watch
from syncer.daemon.maintenance import Maintenance
from syncer.daemon.worker import Worker
from syncer.locks import Locks
from syncer.logs import Edges
from syncer.sandbox import World, create_app
from syncer.sync import env as environment
from syncer.sync import jobs
from syncer.sync.env import Env
from syncer.sync.open_database import open_database
from syncer.sync.registry import JobSpec
from syncer.sync.run import Run

T = TypeVar("T")

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)

#: How often the daemon of a test looks at the database, in (virtual) seconds; the real one does so more often.
STEP = 30.0


class _Selector(selectors.DefaultSelector):  # type: ignore[misc,valid-type]  # which class it is, the system says
    """Instead of waiting, time passes; unless a thread is at work, which takes its own time."""

    pass_: Callable[[float], None]

    def select(self, timeout: float | None = None) -> list[Any]:
        found: list[Any] = super().select(0)
        if found or timeout == 0:
            self.pass_(1e-6)  # work takes time, too
            return found
        if any(thread.name == "backup" for thread in threading.enumerate()):
            return list(super().select(0.01))
        assert timeout is not None, "everybody waits, and nothing will ever happen"
        self.pass_(timeout)
        return []


class Time(asyncio.SelectorEventLoop):
    """A loop whose clock moves only in jumps from one timer to the next."""

    def __init__(self, travel: Any) -> None:
        selector = _Selector()
        super().__init__(selector)
        self._passed = 0.0
        self._slept = 0.0
        self._travel = travel
        self._clock_resolution = 1e-6
        selector.pass_ = self._pass

    def time(self) -> float:
        """Virtual seconds, monotonic."""
        return self._passed

    def _pass(self, seconds: float) -> None:
        self._passed += seconds
        self._travel.shift(seconds)

    def elsewhere(self) -> float:
        """Seconds since the beginning on a clock that nobody sets and that never sleeps: the vendors'."""
        return self._passed + self._slept

    def suspend(self, **span: float) -> None:
        """The machine sleeps: the wall clock goes on, the monotonic one does not (so on Linux)."""
        self._slept += timedelta(**span).total_seconds()
        self.set_clock(**span)

    def set_clock(self, **span: float) -> None:
        """Somebody sets the wall clock, forward or back."""
        self._travel.shift(timedelta(**span))


def live(body: Callable[[Time], Coroutine[Any, Any, T]], start: datetime) -> T:
    """Run `body` in virtual time that begins at `start`."""
    with time_machine.travel(start, tick=False) as travel:
        loop = Time(travel)
        try:
            return loop.run_until_complete(body(loop))
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()


class Clock(SystemClock):
    """The wall clock of the loop, with chance from a seed."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def rand(self) -> float:
        return self._rng.random()


@dataclass
class Log:
    """Keeps what was said, with the job that it was said of."""

    lines: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    bound: dict[str, Any] = field(default_factory=dict)

    def bind(self, **values: Any) -> Log:
        return Log(self.lines, self.bound | values)

    def __getattr__(self, level: str) -> Callable[..., None]:
        def say(event: str, **values: Any) -> None:
            self.lines.append((level, event, self.bound | values))

        return say

    def said(self, event: str, job: str | None = None) -> list[dict[str, Any]]:
        return [
            values for _, said, values in self.lines if said == event and job in (None, values.get("job"))
        ]

    def at(self, level: str) -> list[str]:
        return [event for said, event, _ in self.lines if said == level]


class Process:
    """What `service` puts together, without what belongs to the process: one life of the daemon."""

    def __init__(
        self,
        settings: Settings,
        world: World,
        rng: random.Random,
        log: Any,
        *,
        run_job: Callable[[Env, JobSpec], Awaitable[Run]] = jobs.run_job,
    ) -> None:
        self.settings = settings
        self._run_job = run_job
        self.edges = Edges()
        self.locks = Locks(settings.database.path, "the daemon of a test")
        self._world = world
        self._clock = Clock(rng)
        self._log = log

    async def start(self) -> None:
        """As the service does after its first lock."""
        loop = asyncio.get_running_loop()
        self.db = open_database(self.settings)
        transport = httpx.ASGITransport(create_app(self._world))
        self.env = environment.build(self.settings, self.db, self._clock, transport=transport)
        self.env.log = self._log
        self.runner = JobRunner(
            self.env,
            self.locks,
            self.edges,
            mono=loop.time,
            finished=self._finished,
            attention=Attention(self._log),
            run_job=self._run_job,
        )
        self.maintenance = Maintenance(self.runner, self.locks, self.edges, self._log, loop.time)
        self.watch = Watch(loop.time, self.edges, self._log)
        self.maintenance.start()
        self.runner.start()
        self._looking = asyncio.create_task(self._look())

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(STEP)
            await self.watch.poll(self.runner)

    async def _finished(self, worker: Worker) -> None:
        await self.runner.check(worker if worker.sends else None)
        await self.maintenance.ping()

    async def stop(self) -> None:
        """SIGTERM."""
        self._looking.cancel()
        assert await self.runner.stop()
        await self.maintenance.close()
        await self.env.aclose()
        self.db.close()

    async def fall(self) -> None:
        """The process is gone in the middle of whatever it did; its locks are given back."""
        self.runner.schedule.stop()
        tasks = [self._looking, *self.runner.tasks]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await self.maintenance.close()
        await self.env.aclose()
        self.db.close()

    def tasks_alive(self) -> bool:
        """Whether no task has ended that should not end."""
        return not any(task.done() for task in (self._looking, *self.runner.tasks))
