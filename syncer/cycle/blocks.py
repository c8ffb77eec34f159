"""Writes what differs, in blocks so short that nobody who edits has to wait for one.

A listing hands on page after page; most rows of a quiet one are as the mirror has them, and the few
others are collected, so that a change here and there does not cost a transaction each. What differs,
and how it is written, is the caller's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")
P = TypeVar("P")

#: So many rows are written at once at most, and waited for at most.
LARGEST = 400

#: The fewest that a block is made of, however long they take: a commit costs something, too.
SMALLEST = 50

#: How long a transaction may hold up others, in seconds: what a person at a keyboard does not notice.
SHORT = 0.015

#: What has waited so long is written even if it is little, in seconds.
LONGEST_WAIT = 10.0


class DisturbedError(Exception):
    """Somebody else wrote while a block was judged; nothing of it was written."""


class Blocks(Generic[P, T]):
    """What is still to be written of one listing.

    `sift` looks at pages and gives back what of them differs, in their order; `write` writes a block
    of that in one transaction, and may say how many seconds of its time that held others up. Of more
    than `SMALLEST` rows it may raise DisturbedError: then fewer are tried.
    """

    def __init__(
        self,
        sift: Callable[[Sequence[P]], Awaitable[Sequence[T]]],
        write: Callable[[Sequence[T]], Awaitable[float | None]],
        *,
        now: Callable[[], float] = lambda: asyncio.get_running_loop().time(),
    ) -> None:
        self._sift = sift
        self._write = write
        self._now = now
        self._rows: list[T] = []
        self._since = 0.0
        self._size = LARGEST // 4

    async def take(self, pages: Sequence[P]) -> None:
        """Take pages over; what differs is written now or later, but before `flush` returns."""
        found = await self._sift(pages)
        if found and not self._rows:
            self._since = self._now()
        self._rows += found
        if len(self._rows) >= LARGEST or (self._rows and self._now() - self._since > LONGEST_WAIT):
            await self.flush()

    async def flush(self) -> None:
        """Write all that waits."""
        rows, self._rows = self._rows, []
        at = 0
        while at < len(rows):
            block = rows[at : at + self._size]
            began = self._now()
            try:
                held = await self._write(block)
            except DisturbedError:
                self._size = max(SMALLEST, len(block) // 4)
                continue
            at += len(block)
            self._adapt(len(block), self._now() - began if held is None else held)

    def _adapt(self, rows: int, took: float) -> None:
        """Rows differ in what they cost: a new one is cheap, one that moves changes of the queue is not."""
        fitting = int(rows * SHORT / max(took, 1e-6))
        self._size = max(SMALLEST, min(LARGEST, 2 * self._size, fitting))
