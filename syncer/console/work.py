"""Threads for the page: one reads, one writes, each with a limit of time, so that no query delays the daemon's loop."""

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

#: Seconds for a page, and for an action: waiting for the thread included.
READING: Final = 5.0
WRITING: Final = 8.0

#: Seconds that an action waits for other writers.
_LOCKS: Final = 4.0

#: Lists are read from an index, searches go once through one: neither gets faster by more memory.
_CACHE_KB: Final = 2000


class Work:
    """`settings` gives the config in force."""

    def __init__(self, settings: Callable[[], Settings], mono: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._mono = mono
        self._reader = ThreadedReader("page", mono, cache_kb=_CACHE_KB)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="page-write")

    async def read(self, query: Callable[[Reader], T]) -> T:
        """What a query finds. Raises StoreError."""
        return await self._reader.ask(self._settings().database.path, query, READING)

    async def write(self, work: Callable[[Database], T]) -> T:
        """Do this with the database, as a command would: on a connection of its own. Raises SyncerError.

        The daemon notices the commit as it notices any other program's.
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
        """Do something in the background that would otherwise delay the first request; it is no loss if it fails."""
        self._writer.submit(work)

    async def alone(self, work: Callable[[], T]) -> T:
        """Do something short that waits for a disk, apart from the loop."""
        return await asyncio.get_running_loop().run_in_executor(self._writer, work)

    def close(self) -> None:
        """Begin nothing more; what is under way ends by its limit."""
        self._reader.close()
        self._writer.shutdown(wait=False, cancel_futures=True)
