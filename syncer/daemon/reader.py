"""A read-only connection in a thread of its own, for queries that must not delay the daemon's loop or its jobs.

Each query has a time limit, which includes its wait for the thread. This is a plain thread with a queue: on a busy
machine, the slowest percent of lookups takes 3 ms with it and 7 ms with a `ThreadPoolExecutor`, whose locks wake both
threads more often.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from syncer.errors import StoreBusyError, StoreError
from syncer.store.db.read_only import CACHE_KB, Reader, ReadOnlyDatabase

T = TypeVar("T")


class ThreadedReader:
    """One connection, opened at the first query and again after an error."""

    def __init__(
        self, name: str, mono: Callable[[], float] = time.monotonic, *, cache_kb: int = CACHE_KB
    ) -> None:
        self._name = name
        self._mono = mono
        self._cache_kb = cache_kb
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._db: ReadOnlyDatabase | None = None  # of the thread
        self._end = 0.0  # when the current query has to be answered

    async def ask(self, path: Path, query: Callable[[Reader], T], limit: float) -> T:
        """Run the query. Raises StoreError, also after `limit` seconds."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        end = self._mono() + limit

        def work() -> None:
            found, problem = None, None
            try:
                found = self._answer(path, query, end)
            except Exception as error:  # noqa: BLE001 - raised again where it is awaited
                problem = error
            with contextlib.suppress(RuntimeError):  # the loop has ended, so nothing waits for it
                loop.call_soon_threadsafe(_settle, answer, found, problem)

        if self._thread is None:
            # A daemon thread, so the end of the program does not wait for it.
            self._thread = Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        self._work.put(work)
        try:
            # SQLite gives up by itself. This is for a disk that does not answer.
            async with asyncio.timeout(limit + 1.0):
                return await answer
        except TimeoutError:
            raise StoreBusyError(_LATE) from None

    def close(self) -> None:
        """End the thread after the current query."""
        self._work.put(None)

    # -- in the thread

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()
        self._forget()

    def _answer(self, path: Path, query: Callable[[Reader], T], end: float) -> T:
        self._end = end
        if self._late():
            raise StoreBusyError(_LATE)
        try:
            if self._db is None:
                self._db = ReadOnlyDatabase(path, busy_timeout=1.0, cache_kb=self._cache_kb)
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


def _settle(answer: asyncio.Future[T], found: Any, problem: Exception | None) -> None:
    if answer.done():
        return  # nothing waits for it any more
    if problem is not None:
        answer.set_exception(problem)
    else:
        answer.set_result(found)


_LATE = "the database did not answer in time"
