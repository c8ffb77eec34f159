"""Logs when something starts or stops waiting for a person, and keeps what waits for systemd's status.

`store/read/attention` has the queries.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from syncer.store.read import attention
from syncer.store.read.attention import Waiting
from syncer.sync.env import Env


class Attention:
    """What waits for a person, as last read. `changed` is called when it changes."""

    def __init__(self, log: Any, changed: Callable[[], None] = lambda: None) -> None:
        self.waiting: tuple[Waiting, ...] = ()
        self._log = log
        self._changed = changed

    async def refresh(self, env: Env) -> None:
        """Read the database. Raises StoreError."""
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
