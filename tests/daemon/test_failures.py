"""Rows 21 to 23 of what has gone wrong for others: runs that pile up, hangs that hold a lock, a database in trouble.

The daemon's jobs against the sandbox in virtual time, so that hours of waiting cost nothing.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from syncer.config import Settings
from syncer.config.load import settings_from
from syncer.daemon import file_maintenance
from syncer.locks import Locks
from syncer.sandbox import World
from syncer.sync import jobs
from syncer.sync.env import Env
from syncer.sync.registry import RESOURCES, JobSpec
from syncer.sync.run import Run
from tests.daemon.timeless import NOW, Log, Process, Time, live
from tests.office import LOGIN, unpaced

MINUTE, HOUR = 60.0, 3600.0
DIRECTORY = "/v3/contact/get"

#: All jobs that are on by default.
JOBS = [resource.job for resource in RESOURCES if not resource.optional]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    url = "http://127.0.0.1:1"
    telecmi = {
        "base_url": url,
        **LOGIN,
        "voicemails": {"every": "30m", "since": "1d"},
        "push": {"every": "10m"},
    }
    raw = {"telecmi": {"main": telecmi}, "smartflo": {"main": {"base_url": url, "token": "sandbox-token"}}}
    return unpaced(settings_from(raw, tmp_path, {}))


@dataclass
class House:
    """A daemon at work, and what it is heard to do."""

    time: Time
    process: Process
    world: World
    log: Log
    begun: list[tuple[float, str]]  #: when (monotonic) each run began, and of which job
    hangs: set[str]  #: jobs whose runs never end by themselves

    def runs(self, since: float) -> Counter[str]:
        return Counter(job for at, job in self.begun if at >= since)

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.process.settings.database.path, timeout=5)) as conn, conn:
            return conn.execute(statement).fetchall()

    def free(self, job: str) -> bool:
        """Whether another process could take the job's lock now."""
        return Locks(self.process.settings.database.path, "somebody else").held_by(f"{job}.main") is None


async def until(true: Callable[[], bool]) -> None:
    """Wait until it is so, for three hours at most."""
    async with asyncio.timeout(3 * HOUR):
        while not true():
            await asyncio.sleep(1)


def inside(settings: Settings, body: Callable[[House], Coroutine[Any, Any, None]]) -> None:
    """Let a daemon run for a while, then do `body`, then end it."""

    async def whole(time: Time) -> None:
        world = World(clock=lambda: NOW.timestamp() + time.elsewhere())
        world.seed(contacts=30, voicemails=3, smartflo=5, user_contacts=3)
        log, begun, hangs = Log(), list[tuple[float, str]](), set[str]()

        async def run_job(env: Env, spec: JobSpec) -> Run:
            begun.append((time.time(), spec.job))
            if spec.job in hangs:
                await asyncio.Event().wait()
            return await jobs.run_job(env, spec)

        process = Process(settings, world, random.Random(3), log, run_job=run_job)
        await process.start()
        try:
            await asyncio.sleep(20 * MINUTE)
            await body(House(time, process, world, log, begun, hangs))
            assert process.tasks_alive()
        finally:
            await process.stop()

    live(whole, NOW)


# -- row 21: the scheduler drops or piles up runs --------------------------------------------------------


def test_failures_21_two_hours_of_sleep_are_made_up_for_by_one_run_each(settings: Settings) -> None:
    async def body(house: House) -> None:
        house.time.suspend(hours=2)
        awake = house.time.time()
        await asyncio.sleep(35)  # less than the rhythm of any job
        assert house.runs(awake) == dict.fromkeys(JOBS, 1)
        assert [
            round(jump["seconds"] / 60) for jump in house.log.said("the clock was set; the schedule goes on")
        ] == [120]
        await asyncio.sleep(HOUR)
        assert house.runs(awake)["telecmi-contacts"] in (4, 5)  # and every 15 minutes again

    inside(settings, body)


def test_failures_21_a_job_that_hangs_is_reported_once_ended_and_run_once(settings: Settings) -> None:
    job = "telecmi-contacts"

    async def body(house: House) -> None:
        house.hangs.add(job)
        began = house.time.time()
        await asyncio.sleep(3 * HOUR)
        # It was ended and started again at growing intervals. No run was skipped, and no two ran at the same time.
        assert house.runs(began)[job] in (3, 4)
        [alert] = house.log.said("failing", job)
        assert "a run was ended: no progress for 600 s" in alert["problem"]
        worker = next(one for one in house.process.runner.workers if one.spec.job == job)
        assert worker.problem == alert["problem"]  # what `systemctl status` shows
        # The others never noticed.
        assert house.runs(began)["smartflo-contacts"] in (17, 18, 19)
        assert {one["job"] for one in house.log.said("failing")} == {job}

        house.hangs.clear()
        await until(lambda: not worker.problem)
        await asyncio.sleep(60)
        assert house.free(job)
        recovered = [at for at, name in house.begun if name == job][-1]
        assert house.runs(recovered)[job] == 1  # one for all that were missed
        assert len(house.log.said("recovered", job)) == 1

    inside(settings, body)


def test_failures_21_a_job_that_hangs_leaves_its_lock_to_others_when_it_is_ended(settings: Settings) -> None:
    job = "smartflo-contacts"

    async def body(house: House) -> None:
        house.hangs.add(job)
        await until(lambda: not house.free(job))
        held = house.time.time()
        await until(lambda: house.free(job))
        assert house.time.time() - held < 12 * 60

    inside(settings, body)


# -- row 22: a hang without end, holding the lock -----------------------------------------------------------


def test_failures_22_one_byte_every_30_s_ends_at_the_deadline_and_the_lock_is_free(
    settings: Settings,
) -> None:
    job = "telecmi-contacts"

    async def body(house: House) -> None:
        house.world.faults.add(
            {"path": DIRECTORY, "kind": "drip", "seconds": 30.0, "at_most": 1e9, "times": None}
        )
        before = house.sql("SELECT count(*) FROM telecmi_contacts WHERE deleted_at IS NULL")
        await until(lambda: not house.free(job))
        held = house.time.time()
        await until(lambda: house.free(job))
        assert house.time.time() - held < 60  # every call ends after 30 s, all tries of a read after 40
        [(error,)] = house.sql(f"SELECT error FROM sync_runs WHERE job = '{job}' ORDER BY id DESC LIMIT 1")
        assert "no complete answer within" in error
        assert house.sql("SELECT count(*) FROM telecmi_contacts WHERE deleted_at IS NULL") == before
        house.world.faults.clear()
        await asyncio.sleep(HOUR)
        assert house.log.said("recovered", job)

    inside(settings, body)


# -- row 23: a database that somebody holds, or that has no room -----------------------------------------


def test_failures_23_a_reader_held_open_stops_nobody_and_its_log_is_cut_after_it(settings: Settings) -> None:
    async def body(house: House) -> None:
        db = house.process.db
        with closing(sqlite3.connect(settings.database.path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM sync_runs").fetchall()
            since = house.time.time()
            with closing(sqlite3.connect(settings.database.path, isolation_level=None)) as other:
                other.execute("PRAGMA wal_autocheckpoint = 0")
                other.execute("CREATE TABLE ballast (x)")
                for _ in range(20):
                    other.execute("INSERT INTO ballast VALUES (zeroblob(1000000))")
                other.execute("DROP TABLE ballast")
            house.sql("UPDATE telecmi_contacts SET company = 'Example' WHERE id = 3")
            await asyncio.sleep(HOUR)
            assert house.runs(since)["telecmi-contacts"] in (3, 4)
            assert house.sql("SELECT state FROM change_queue") == [("done",)]
            assert file_maintenance.wal_size(db) > file_maintenance.LARGE_WAL
            reader.execute("ROLLBACK")
        await asyncio.sleep(300)
        assert file_maintenance.wal_size(db) <= file_maintenance.LARGE_WAL
        assert house.log.said("failing") == []

    inside(settings, body)


def test_failures_23_a_second_writer_is_waited_for_and_reported(settings: Settings) -> None:
    async def body(house: House) -> None:
        house.process.db.pragma("PRAGMA busy_timeout = 5")  # real time, but not much of it
        with closing(sqlite3.connect(settings.database.path, isolation_level=None)) as writer:
            writer.execute("BEGIN IMMEDIATE")
            writer.execute("UPDATE telecmi_contacts SET company = 'Example' WHERE id = 3")
            await asyncio.sleep(30 * MINUTE)
            told = house.log.said("failing", "telecmi-push")
            assert len(told) == 1 and "is held by another program" in told[0]["problem"]
            writer.execute("COMMIT")
        await asyncio.sleep(45 * MINUTE)
        assert house.sql("SELECT state FROM change_queue") == [("done",)]
        assert len(house.log.said("recovered", "telecmi-push")) == 1
        assert house.sql("SELECT count(*) FROM sync_runs WHERE finished_at IS NULL") == [(0,)]
        assert house.sql("PRAGMA integrity_check") == [("ok",)]

    inside(settings, body)


def test_failures_23_a_full_disk_is_reported_once_and_survived(settings: Settings) -> None:
    async def body(house: House) -> None:
        [(pages,)] = house.process.db.pragma("PRAGMA page_count")
        house.process.db.pragma(f"PRAGMA max_page_count = {pages + 2}")
        for n in range(400):
            house.world.contact_insert(
                {"phone_no": f"9192001{n:05}", "first_name": "Asha", "last_name": "Example"}
            )
        await asyncio.sleep(HOUR)
        told = house.log.said("failing", "telecmi-contacts")
        assert len(told) == 1 and "is full" in told[0]["problem"]
        assert house.sql("PRAGMA integrity_check") == [("ok",)]
        house.process.db.pragma("PRAGMA max_page_count = 1000000")
        await asyncio.sleep(75 * MINUTE)
        assert house.sql("SELECT count(*) FROM telecmi_contacts WHERE phone_no LIKE '9192001%'") == [(400,)]
        assert len(house.log.said("recovered", "telecmi-contacts")) == 1
        assert house.sql("PRAGMA integrity_check") == [("ok",)]

    inside(settings, body)


# -- and one that the soak found -------------------------------------------------------------------------


def test_an_outage_that_follows_refused_credentials_is_met_with_patience(settings: Settings) -> None:
    """The pause is over, and nothing has shown yet that the credentials are good again."""

    async def body(house: House) -> None:
        house.world.faults.add({"path": "/*", "kind": "bad_token", "times": None})
        await asyncio.sleep(30 * MINUTE)
        assert house.sql("SELECT count(*) FROM sync_jobs WHERE paused_until IS NOT NULL") == [(5,)]
        house.world.faults.clear()
        house.world.faults.add({"path": "/*", "kind": "http", "status": 502, "times": None})
        await asyncio.sleep(HOUR)  # the pause is over
        since = house.time.time()
        await asyncio.sleep(HOUR)
        for job, most in (("telecmi-contacts", 4), ("smartflo-contacts", 6), ("telecmi-push", 6)):
            assert house.runs(since)[job] <= most, job
        house.world.faults.clear()
        await asyncio.sleep(2 * HOUR)
        assert (
            len(house.log.said("the credentials are accepted again")) == 3
        )  # secret and login, and Smartflo's
        assert not any(worker.problem for worker in house.process.runner.workers)

    inside(settings, body)


@pytest.mark.parametrize("ahead", [{"days": 60}, {"hours": 5, "minutes": 30}])
def test_a_pause_lasts_as_long_as_it_should_when_the_clock_was_ahead(
    settings: Settings, ahead: dict[str, float]
) -> None:
    async def body(house: House) -> None:
        house.time.set_clock(**ahead)
        house.world.faults.add({"path": "/*", "kind": "bad_token", "times": None})
        await until(
            lambda: house.sql("SELECT count(*) FROM sync_jobs WHERE paused_until IS NOT NULL") == [(5,)]
        )
        house.world.faults.clear()
        house.time.set_clock(**{name: -value for name, value in ahead.items()})
        began = house.time.time()
        await asyncio.sleep(5 * MINUTE)
        assert not house.runs(began), "nobody asks during the pause"
        await asyncio.sleep(40 * MINUTE)
        assert set(house.runs(began)) == set(JOBS)
        assert not any(worker.problem for worker in house.process.runner.workers)

    inside(settings, body)
