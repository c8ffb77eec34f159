"""The doorbell of an account: a vendor's webhook makes its voicemail and calls jobs due at once.

Nothing that the request says is trusted or stored, so that a forged ring costs one pull and no more. What rings is
left to `web`, what is then pulled to the jobs.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable, Mapping
from typing import Final

from syncer.core.secret import Secret

#: At most one pull in so many seconds, however often it rings.
GAP: Final = 10.0


class Doorbell:
    """Rings for the accounts that have a key."""

    def __init__(
        self, keys: Callable[[], Mapping[str, Secret]], wake: Callable[[str], None], *, gap: float = GAP
    ) -> None:
        self._keys = keys  #: by label, of the config in force
        self._wake = wake
        self._gap = gap
        self._next: dict[str, float] = {}  #: label -> when it may be woken again, by the loop's clock
        self._waiting: dict[str, asyncio.TimerHandle] = {}

    def ring(self, label: str, key: str) -> bool:
        """Wake the account's jobs, at the latest when the gap has passed; whether the key is the right one."""
        secret = self._keys().get(label)
        right = hmac.compare_digest(
            (secret.reveal() if secret else "").encode(), key.encode("utf-8", "replace")
        )
        if not right or not secret:
            return False
        loop = asyncio.get_running_loop()
        if label in self._waiting:
            return True
        wait = self._next.get(label, 0.0) - loop.time()
        if wait <= 0:
            self._now(label)
        else:
            self._waiting[label] = loop.call_later(wait, self._now, label)
        return True

    def close(self) -> None:
        """Wake nobody any more."""
        for handle in self._waiting.values():
            handle.cancel()
        self._waiting.clear()

    def _now(self, label: str) -> None:
        self._waiting.pop(label, None)
        self._next[label] = asyncio.get_running_loop().time() + self._gap
        self._wake(label)
