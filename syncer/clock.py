"""Clocks, passed as arguments: the system's, or a test's.

Nothing else reads the wall clock. Deadlines use the monotonic clock.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Time and random numbers, for runs."""

    def now(self) -> datetime:
        """The wall clock, aware, UTC."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...

    def rand(self) -> float:
        """A number in [0, 1)."""
        ...


class SystemClock:
    """The real clock."""

    def now(self) -> datetime:
        """The wall clock, aware, UTC."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        import asyncio  # imported late: commands that only read need the time, but never wait

        await asyncio.sleep(seconds)

    def rand(self) -> float:
        """A number in [0, 1)."""
        import random

        return random.random()  # noqa: S311 - spreads retries, guards nothing
