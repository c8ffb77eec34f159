"""A copy elsewhere sends nothing, and spends no time on what it does not send."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

from syncer.config.load import settings_from
from syncer.logs import get_logger
from syncer.sandbox import World
from syncer.store.db import home
from tests.daemon.timeless import NOW, Process, Time, live
from tests.office import LOGIN, unpaced


def test_jobs_that_may_not_send_do_not_wake_one_another(tmp_path: Path) -> None:
    config = {
        "telecmi": {"main": {**LOGIN, "base_url": "http://127.0.0.1:1"}},
        "notify": {name: {"webhook": "http://127.0.0.1:1/"} for name in ("desk", "door")},
    }
    settings = unpaced(settings_from(config, tmp_path, {}))
    sent = "SELECT count(*) FROM sync_runs WHERE job IN ('notify', 'telecmi-push')"
    counts: list[int] = []

    async def life(time: Time) -> None:
        world = World(clock=lambda: NOW.timestamp() + time.elsewhere())
        world.seed(contacts=5, voicemails=0, smartflo=0, user_contacts=0)
        process = Process(settings, world, random.Random(1), get_logger())
        await process.start()
        await asyncio.sleep(60)
        with process.db.write() as conn:
            conn.exec_driver_sql("UPDATE home SET path = '/srv/elsewhere.db'")
        with process.db.edit() as conn:
            conn.exec_driver_sql("UPDATE telecmi_contacts SET company = 'Example Ltd' WHERE id = 1")
        world.voicemail_insert(None, 919200000001)
        for _ in range(2):
            with process.db.read() as conn:
                counts.append(conn.exec_driver_sql(sent).scalar_one())
            await asyncio.sleep(1200)
        with process.db.write() as conn:
            home.adopt(conn, home.place_of(settings.database.path))
        await process.runner.check()
        await asyncio.sleep(5)
        with process.db.read() as conn:
            assert conn.exec_driver_sql("SELECT state FROM change_queue").scalar_one() == "done"
        await process.stop()

    live(life, NOW)
    assert counts[1] - counts[0] <= 1200 / 30 + 2 * 1200 / 300 + 5  # each by its own `every`
