"""Which jobs are reported as late: those that fail for too long, and none because the clock was set or the machine slept."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime
from pathlib import Path

from syncer.config.load import settings_from
from syncer.logs import get_logger
from syncer.sandbox import World
from syncer.store.db.read_only import raw
from tests.daemon.timeless import NOW, Process, Time, live
from tests.office import LOGIN, unpaced

OFF = {"enabled": False}
ACCOUNT = {**LOGIN, "base_url": "http://127.0.0.1:1", "user_contacts": OFF, "push": OFF}


def julianday(text: str | None) -> float | None:
    """SQLite's own, by the clock of the test."""
    if text is None:
        return None
    moment = datetime.now(UTC) if text == "now" else datetime.fromisoformat(text)
    return moment.timestamp() / 86400 + 2440587.5


def test_a_clock_that_was_set_makes_no_job_late_and_a_vendor_that_fails_does(tmp_path: Path) -> None:
    config = {
        "telecmi": {"main": ACCOUNT},
        "notify": {"desk": {"webhook": "http://127.0.0.1:1/", "on": ["stale", "recovered"]}},
    }
    settings = unpaced(settings_from(config, tmp_path, {}))
    reported: list[list[str]] = []

    async def day(time: Time) -> None:
        world = World(clock=lambda: NOW.timestamp() + time.elsewhere())
        process = Process(settings, world, random.Random(1), get_logger())
        await process.start()
        with process.db.read() as conn:
            raw(conn).create_function("julianday", 1, julianday)
        await asyncio.sleep(1000)
        time.suspend(hours=9)
        await asyncio.sleep(60)
        time.set_clock(days=400)
        await asyncio.sleep(60)
        with process.db.read() as conn:
            reported.append([row[0] for row in conn.exec_driver_sql("SELECT event FROM outbox")])
        world.faults.add({"match": {"path": "/v3/contact/get"}, "kind": "http", "status": 503, "times": None})
        await asyncio.sleep(4 * 900)
        with process.db.read() as conn:
            reported.append([row[0] for row in conn.exec_driver_sql("SELECT event FROM outbox")])
        await process.stop()

    live(day, NOW)
    assert reported == [[], ["stale"]]
