"""Alarms with clocks that jump, and the lengths of pauses."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st

from syncer.clock import SystemClock
from syncer.daemon import intervals
from syncer.daemon.schedule import Alarm, Schedule

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)


class Clock(SystemClock):
    """Both clocks, moved by hand."""

    def __init__(self) -> None:
        self.wall = NOW
        self.ticks = 1000.0

    def now(self) -> datetime:
        return self.wall

    def mono(self) -> float:
        return self.ticks

    def pass_(self, seconds: float) -> None:
        """Time passes as it should, on both."""
        self.wall += timedelta(seconds=seconds)
        self.ticks += seconds


def test_an_alarm_names_one_time_and_it_lies_ahead() -> None:
    clock = Clock()
    alarm = Alarm(30.0, 0.0, clock.mono)
    assert alarm.get_next_fire_time(None, clock.now()) == NOW
    # Row 21: a machine that slept for a year has missed a million times; it hears of one.
    late = NOW + timedelta(days=365)
    assert alarm.get_next_fire_time(NOW, late) == late + timedelta(seconds=30)
    assert alarm.get_next_fire_time(late, late) == late + timedelta(seconds=30)


@pytest.mark.anyio
async def test_a_year_forward_rings_each_alarm_once_at_once() -> None:
    rings: list[str] = []

    async def ring() -> None:
        rings.append("ring")

    with time_machine.travel(NOW, tick=True) as travel:
        schedule = Schedule(SystemClock(), asyncio.get_running_loop().time)
        schedule.add("job", 30.0, ring)
        schedule.start()
        await asyncio.sleep(0.1)
        assert rings == ["ring"]  # the first run is now
        travel.shift(timedelta(days=365))
        began = asyncio.get_running_loop().time()
        assert schedule.check_clock() == pytest.approx(365 * 86400, abs=2)
        await asyncio.sleep(0.1)
        assert rings == ["ring", "ring"]
        assert asyncio.get_running_loop().time() - began < 1.0  # the library's own trigger blocks for seconds
        assert schedule.remaining("job") == pytest.approx(30, abs=1)
        assert schedule.check_clock() == 0.0
        schedule.stop()


@pytest.mark.anyio
async def test_an_hour_back_stalls_nothing() -> None:
    rings: list[str] = []

    async def ring() -> None:
        rings.append("ring")

    with time_machine.travel(NOW, tick=True) as travel:
        schedule = Schedule(SystemClock(), asyncio.get_running_loop().time)
        schedule.add("job", 0.4, ring)
        schedule.start()
        await asyncio.sleep(0.1)
        travel.shift(timedelta(hours=-1))
        schedule.check_clock()
        await asyncio.sleep(1.0)
        schedule.stop()
    assert len(rings) >= 3


@pytest.mark.anyio
async def test_after_a_jump_back_each_alarm_rings_when_it_would_have() -> None:
    clock = Clock()

    async def ring() -> None:
        return

    schedule = Schedule(clock, clock.mono)
    schedule.add("soon", 60.0, ring, first=10.0)
    schedule.add("late", 900.0, ring, first=500.0)
    schedule.start()
    clock.pass_(4.0)
    clock.wall -= timedelta(hours=1)
    assert schedule.check_clock() == pytest.approx(-3600)
    assert schedule.when("soon") == clock.now() + timedelta(seconds=6)
    assert schedule.when("late") == clock.now() + timedelta(seconds=496)
    schedule.stop()


@pytest.mark.anyio
async def test_small_steps_of_the_clock_add_up() -> None:
    clock = Clock()
    schedule = Schedule(clock, clock.mono)
    jumps = []
    for _ in range(10):
        clock.wall -= timedelta(seconds=0.5)
        jumps.append(schedule.check_clock())
    assert sum(jumps) == pytest.approx(-4.0)


@pytest.mark.anyio
async def test_an_alarm_can_be_put_off_and_brought_forward() -> None:
    clock = Clock()

    async def ring() -> None:
        return

    schedule = Schedule(clock, clock.mono)
    schedule.add("job", 60.0, ring, first=10.0)
    schedule.start()
    schedule.reschedule("job", 7200.0)
    assert schedule.when("job") == NOW + timedelta(hours=2)
    schedule.reschedule("job", 1.0)
    assert schedule.remaining("job") == 1.0
    schedule.stop()


@given(
    every=st.floats(1, 1e6),
    took=st.floats(0, 1e6),
    failures=st.integers(0, 10_000),
    rand=st.floats(0, 1, exclude_max=True),
)
def test_a_rest_is_never_nothing_and_never_more_than_four_times_every(
    every: float, took: float, failures: int, rand: float
) -> None:
    wait = intervals.until_next(every, took, failures, rand)
    assert every / 10 <= wait <= every * 4 * (1 + intervals.JITTER)
    assert intervals.after_edit(wait, failures) <= wait
    assert intervals.after_edit(wait, 0) == 0.0


def test_failures_double_the_rest_up_to_four_times_every() -> None:
    assert [intervals.until_next(30, 1, n, 0.0) for n in range(5)] == [29, 30, 60, 120, 120]


def test_a_vendor_that_asks_for_patience_gets_it() -> None:
    assert intervals.until_next(30, 1, 1, 0.0, retry_after=600) == 600
    assert intervals.after_edit(600, 1, retry_after=600) == 600
    assert intervals.until_next(30, 1, 1, 0.0, retry_after=1e9) == intervals.LONGEST_PAUSE


def test_refused_credentials_pause_from_a_quarter_of_an_hour_to_six() -> None:
    minutes = [intervals.pause(n) / 60 for n in range(1, 8)]
    assert minutes == [15, 30, 60, 120, 240, 360, 360]
    assert intervals.pause(10_000) == intervals.LONGEST_PAUSE
    assert intervals.pause(1, locked_for=600) == 605
    assert intervals.pause(1, locked_for=-5) == 60  # over already, by our clock


@pytest.mark.anyio
async def test_an_alarm_that_rings_as_the_end_comes_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    begun, gate, rings = asyncio.Event(), asyncio.Event(), list[str]()

    async def ring() -> None:
        begun.set()
        await gate.wait()
        rings.append("ring")

    schedule = Schedule(SystemClock(), asyncio.get_running_loop().time)
    schedule.add("job", 30.0, ring)
    schedule.start()
    async with asyncio.timeout(5):
        await begun.wait()
        schedule.stop()
        gate.set()
        while not rings:
            await asyncio.sleep(0)
    assert [one.getMessage() for one in caplog.records if one.levelname == "ERROR"] == []
