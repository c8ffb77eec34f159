"""A read-only connection in a thread of its own, for questions that must not delay the daemon's loop or its jobs.

Each question has a limit of time, its wait for the thread included.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from syncer.errors import StoreBusyError, StoreError
from syncer.store.db.read_only import Reader, ReadOnlyDatabase

T = TypeVar("T")


class ThreadedReader:
    """One connection, opened when it is first needed and again after an error."""

    def __init__(self, name: str, mono: Callable[[], float] = time.monotonic) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._mono = mono
        self._db: ReadOnlyDatabase | None = None  # of the thread
        self._end = 0.0  # when the question under way has to be answered

    async def ask(self, path: Path, query: Callable[[Reader], T], limit: float) -> T:
        """What the query finds; StoreError, also after `limit` seconds."""
        end = self._mono() + limit
        work = asyncio.get_running_loop().run_in_executor(self._executor, self._answer, path, query, end)
        try:
            # SQLite gives up by itself; this is for a disk that does not answer.
            async with asyncio.timeout(limit + 1.0):
                return await work
        except TimeoutError:
            raise StoreBusyError(_LATE) from None

    def _answer(self, path: Path, query: Callable[[Reader], T], end: float) -> T:
        self._end = end
        if self._late():
            raise StoreBusyError(_LATE)
        try:
            if self._db is None:
                self._db = ReadOnlyDatabase(path, busy_timeout=1.0)
                self._db.interrupt_when(self._late)
            with self._db.read() as conn:
                return query(conn)
        except StoreError:
            self._forget()
            raise

    def _late(self) -> bool:
        return self._mono() > self._end

    def _forget(self) -> None:
        if self._db is not None:
            self._db.close()
            self._db = None

    def close(self) -> None:
        """Answer no more; what is under way ends by its limit."""
        self._executor.submit(self._forget)
        self._executor.shutdown(wait=False)


_LATE = "the database did not answer in time"
