"""The daemon and recordings: one that is not published yet is tried again on its own schedule, not on `every`."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from syncer.config.load import settings_from
from syncer.logs import get_logger
from syncer.sandbox import World
from tests.daemon.timeless import NOW, STEP, Process, Time, live
from tests.office import LOGIN, unpaced


async def _at_once(work: Callable[..., Any], *args: Any) -> Any:
    return work(*args)


def requests_of_a_night(tmp_path: Path, world_of: Callable[[World], None], **span: float) -> list[float]:
    """Seconds from the start at which a recording is asked for, by a daemon whose job is due every hour."""
    off = {"enabled": False}
    account = {**LOGIN, "base_url": "http://127.0.0.1:1", "audio": {"enabled": True, "every": "1h"}}
    account |= {"contacts": off, "user_contacts": off, "push": off}
    raw = {"database": {"url": "sqlite:///mirror.db"}, "telecmi": {"main": account}}
    settings = unpaced(settings_from(raw, tmp_path, {}))
    asked: list[float] = []

    async def night(loop: Time) -> None:
        world = World(clock=lambda: (NOW + timedelta(seconds=loop.elsewhere())).timestamp())
        world.voicemail_insert(int((world.now() - 60) * 1000), 919_200_000_003, "a.mp3")
        world_of(world)
        process = Process(settings, world, random.Random(1), get_logger())
        await process.start()
        process.env.in_thread = _at_once
        await asyncio.sleep(timedelta(**span).total_seconds())
        await process.stop()
        asked.extend(r.at - NOW.timestamp() for r in world.requests() if r.path == "/v2/play")

    live(night, NOW)
    return asked


def test_not_published_yet_is_tried_after_30_s_a_minute_five_minutes_and_an_hour(tmp_path: Path) -> None:
    # The sandbox makes sound in a thread, for which virtual time does not wait: here there is none.
    asked = requests_of_a_night(
        tmp_path, lambda world: world.settings.change({"telecmi.audio_after_s": None}), hours=2.5
    )
    assert asked[0] <= 2 * STEP, "a new voicemail does not wait for `every` either"
    gaps = [later - earlier for earlier, later in itertools.pairwise(asked[:5])]
    for gap, least in zip(gaps, (30, 60, 300, 3600), strict=True):
        assert least - 0.01 <= gap <= least + 2 * STEP  # stored to the millisecond


@pytest.mark.parametrize("kind", ["html200", "drop_after"])
def test_a_vendor_that_fails_is_not_asked_more_often(tmp_path: Path, kind: str) -> None:
    def fail(world: World) -> None:
        world.faults.add({"match": {"path": "/v2/play"}, "kind": kind, "times": None})

    asked = requests_of_a_night(tmp_path, fail, hours=12)
    assert 10 <= len(asked) <= 17, asked
