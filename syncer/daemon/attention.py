"""Logs what begins to wait for a person, once, and keeps what waits now for the pages and systemd.

What counts is read in `store/read/attention`; where it is shown is left to `service` and `pages`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from syncer.store.read import attention
from syncer.store.read.attention import Waiting
from syncer.sync.env import Env


class Attention:
    """What waits for a person, as of the last look; `changed` is called when that is something else."""

    def __init__(self, log: Any, changed: Callable[[], None] = lambda: None) -> None:
        self.waiting: tuple[Waiting, ...] = ()
        self._log = log
        self._changed = changed

    async def look(self, env: Env) -> None:
        """Look at the database. Raises StoreError."""
        waiting = await env.store.read(attention.load)
        if await env.store.read(attention.has_news):
            begun, ended = await env.store.write(attention.report, env.stamp())
            for one in begun:
                self._log.warning("waits for a person", what=str(one), see=one.command)
            for one in ended:
                self._log.info("no longer waits for a person", what=str(one))
        if waiting != self.waiting:
            self.waiting = waiting
            self._changed()
