"""The daemon's alarms: when each job is due next, independent of changes of the wall clock.

Workers decide what an alarm does, and when the next one is due.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from apscheduler.executors.asyncio import AsyncIOExecutor
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger

from syncer.clock import Clock

#: If the wall clock moves this much against the monotonic one, in seconds, somebody has set it.
JUMP = 2.0

#: The monotonic clock, in seconds.
Monotonic = Callable[[], float]


class Alarm(BaseTrigger):  # type: ignore[misc]  # the library ships no types
    """Rings every `every` seconds of the monotonic clock.

    It only ever returns one time, the next one. The library's own interval computes every time that was skipped when
    the clock was set a year ahead.
    """

    def __init__(self, every: float, first: float, mono: Monotonic) -> None:
        self._every = every
        self._mono = mono
        self._due = mono() + first

    @property
    def remaining(self) -> float:
        """Seconds until it rings; 0 if it is overdue."""
        return max(0.0, self._due - self._mono())

    def reschedule(self, seconds: float) -> None:
        """Ring in this many seconds instead."""
        self._due = self._mono() + seconds

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime:
        """The next time on the wall clock. With `previous`, it has just rung."""
        if previous is not None:
            self._due = self._mono() + self._every
        return now + timedelta(seconds=self.remaining)


class _Executor(AsyncIOExecutor):  # type: ignore[misc]  # the library ships no types
    """Lets a started action finish. The library's own executor cancels it, and logs an error."""

    def shutdown(self, wait: bool = True) -> None:
        """Do nothing: actions end soon."""


class Schedule:
    """Alarms by name. Actions are coroutine functions that end soon: they only wake a worker."""

    def __init__(self, clock: Clock, mono: Monotonic) -> None:
        self._clock = clock
        self._mono = mono
        self._alarms: dict[str, Alarm] = {}
        self._offset = self._gap()
        self._scheduler = AsyncIOScheduler(
            executors={"default": _Executor()},
            timezone=UTC,  # not the machine's zone, with its days of 23 and 25 hours
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        )

    def add(
        self, name: str, every: float, action: Callable[[], Awaitable[None]], *, first: float = 0.0
    ) -> None:
        """Call `action` in `first` seconds and then every `every` seconds."""
        alarm = Alarm(every, first, self._mono)
        self._alarms[name] = alarm
        self._scheduler.add_job(
            action, trigger=alarm, id=name, next_run_time=self._clock.now() + timedelta(seconds=first)
        )

    def start(self) -> None:
        """Start the alarms, in the running event loop."""
        self._scheduler.start()

    def reschedule(self, name: str, seconds: float) -> None:
        """Let this alarm ring in this many seconds instead."""
        alarm = self._alarms[name]
        alarm.reschedule(seconds)
        self._set(name, alarm)

    def remaining(self, name: str) -> float:
        """Seconds until this alarm rings."""
        return self._alarms[name].remaining

    def when(self, name: str) -> datetime:
        """The time on the wall clock at which this alarm rings."""
        when = self._scheduler.get_job(name).next_run_time
        assert isinstance(when, datetime)
        return when

    def check_clock(self) -> float:
        """Check whether the wall clock was set, and correct the alarms.

        Returns by how many seconds it was set, or 0. After a jump forward (the machine slept), alarms that are due by
        the wall clock ring once, now. After a jump back, each alarm rings when it would have rung.
        """
        jump = self._gap() - self._offset
        if abs(jump) < JUMP:
            return 0.0
        self._offset += jump
        if jump < 0:
            for name, alarm in self._alarms.items():
                self._set(name, alarm)
        elif self._scheduler.running:
            self._scheduler.wakeup()
        return jump

    def stop(self) -> None:
        """Stop all alarms. Actions that were already started finish."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    def _set(self, name: str, alarm: Alarm) -> None:
        when = self._clock.now() + timedelta(seconds=alarm.remaining)
        self._scheduler.modify_job(name, next_run_time=when)

    def _gap(self) -> float:
        return self._clock.now().timestamp() - self._mono()
