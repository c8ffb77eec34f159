"""Time, as an argument: the system's clock, or a test's.

Nothing else reads the wall clock; deadlines elsewhere use the monotonic one.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What the cycles know of time and chance."""

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
    """The real one."""

    def now(self) -> datetime:
        """The wall clock, aware, UTC."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        import asyncio  # late: whoever only looks at the mirror asks for the time and never waits

        await asyncio.sleep(seconds)

    def rand(self) -> float:
        """A number in [0, 1)."""
        import random

        return random.random()  # noqa: S311 - spreads retries, guards nothing
