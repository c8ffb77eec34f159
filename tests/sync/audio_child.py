"""Fetches recordings in processes of their own, which are killed at a numbered step or after a time; see `test_audio_kills`.

One interpreter imports everything and forks a child for each line of JSON on its standard input: `{"folder", "url",
"kill_at", "kill_after", "hours"}`. It answers with the signal that ended the child, or 0.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from syncer.config import Settings, settings_from
from syncer.remote.tokens import TokenStore
from syncer.sync import jobs, registry
from syncer.sync.env import build
from syncer.sync.open_database import open_database
from tests.office import LOGIN, VirtualClock, unpaced
from tests.sync.crash_child import Steps


def settings_of(folder: Path, url: str) -> Settings:
    """One account that keeps recordings."""
    account = {"base_url": url, **LOGIN, "timeout": "2s", "audio": {"enabled": True}}
    raw = {"database": {"url": "sqlite:///mirror.db"}, "telecmi": {"main": account}}
    return unpaced(settings_from(raw, folder, {}))


def work(order: dict[str, Any]) -> None:
    """One life of the program: one run, so many hours from now."""
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


def main() -> None:
    """Fork a child for each order; answer with how it ended."""
    gc.disable()  # the children are short-lived, and share this memory as long as nobody walks it
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                work(order)
                code = 0
            finally:
                sys.excepthook(*sys.exc_info()) if code else None
                os._exit(code)
        if after := order.get("kill_after"):
            time.sleep(after)
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        print(json.dumps({"signal": os.WTERMSIG(status), "code": os.WEXITSTATUS(status)}), flush=True)


if __name__ == "__main__":
    main()
