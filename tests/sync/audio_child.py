"""Fetches recordings in processes of their own, which are killed at a numbered step or after a time; see `test_audio_kills`.

An order is `{"folder", "url", "kill_at", "kill_after", "hours"}`.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from syncer.config import Settings
from syncer.config.load import settings_from
from syncer.remote.tokens import TokenStore
from syncer.sync import jobs, registry
from syncer.sync.env import build
from syncer.sync.open_database import open_database
from tests.office import LOGIN, VirtualClock, unpaced
from tests.sync.forks import Steps, serve


def settings_of(folder: Path, url: str) -> Settings:
    """One account that keeps recordings."""
    account = {"base_url": url, **LOGIN, "timeout": "2s", "audio": {"enabled": True}}
    raw = {"database": {"url": "sqlite:///mirror.db"}, "telecmi": {"main": account}}
    return unpaced(settings_from(raw, folder, {}))


def work(order: dict[str, Any]) -> None:
    """One life of the program: one run, `hours` from now."""
    settings = settings_of(Path(order["folder"]), order["url"])
    chosen = registry.select(registry.specs(settings), ["telecmi-audio"], None)
    clock = VirtualClock(datetime.now(UTC) + timedelta(hours=order.get("hours", 0)))
    steps = Steps(order.get("kill_at"))

    async def run() -> None:
        with open_database(settings) as db:
            env = build(settings, db, clock, tokens=TokenStore(None))
            env.step = steps
            try:
                await jobs.run_job(env, chosen[0])
            finally:
                await env.aclose()

    asyncio.run(run())


if __name__ == "__main__":
    serve(work)
