"""Threads for the page, one to read and one to write, so that no query delays the daemon's event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from syncer.config import Settings
from syncer.daemon.reader import ThreadedReader
from syncer.errors import StoreBusyError
from syncer.store.db.connection import Database
from syncer.store.db.read_only import Reader

T = TypeVar("T")

#: Time limits for a page and for an action, in seconds. They include the wait for the thread.
READING: Final = 5.0
WRITING: Final = 8.0

#: How long an action waits for other writers, in seconds.
_LOCKS: Final = 4.0

#: Lists and searches read an index once, so a larger cache makes neither faster.
_CACHE_KB: Final = 2000


class Work:
    """Runs queries and actions. `settings` returns the current config."""

    def __init__(self, settings: Callable[[], Settings], mono: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._mono = mono
        self._reader = ThreadedReader("page", mono, cache_kb=_CACHE_KB)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="page-write")

    async def read(self, query: Callable[[Reader], T]) -> T:
        """Run a query in the reading thread. Raises StoreError."""
        return await self._reader.ask(self._settings().database.path, query, READING)

    async def write(self, work: Callable[[Database], T]) -> T:
        """Run an action in the writing thread, on a connection of its own. Raises SyncerError.

        The daemon notices the commit like that of any other program.
        """
        end = self._mono() + WRITING
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(WRITING + 2.0):
                return await loop.run_in_executor(self._writer, self._write, work, end)
        except TimeoutError:
            raise StoreBusyError("the database did not answer in time: look whether it was done") from None

    def _write(self, work: Callable[[Database], T], end: float) -> T:
        if self._mono() > end - _LOCKS:
            raise StoreBusyError("the database did not answer in time: nothing was changed")
        config = self._settings().database
        with Database(
            config.path, group=config.group, create=False, busy_timeout=_LOCKS, checkpoints=False
        ) as db:
            return work(db)

    def begin(self, work: Callable[[], object]) -> None:
        """Start something in the writing thread. Nobody waits for it, and errors are ignored."""
        self._writer.submit(work)

    async def alone(self, work: Callable[[], T]) -> T:
        """Run something short that waits for the disk in the writing thread."""
        return await asyncio.get_running_loop().run_in_executor(self._writer, work)

    def close(self) -> None:
        """Start nothing more. What is running ends by its time limit."""
        self._reader.close()
        self._writer.shutdown(wait=False, cancel_futures=True)
