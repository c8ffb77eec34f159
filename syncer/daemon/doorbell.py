"""The doorbell of an account: a vendor's webhook starts its voicemail and calls jobs at once.

Nothing in the request is trusted or stored, so a forged ring costs no more than one pull. `web` receives the requests.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable, Mapping
from typing import Final

from syncer.core.secret import Secret

#: The least seconds between two pulls, however often it rings.
GAP: Final = 10.0


class Doorbell:
    """The doorbells of all accounts that have a key."""

    def __init__(
        self, keys: Callable[[], Mapping[str, Secret]], wake: Callable[[str], None], *, gap: float = GAP
    ) -> None:
        self._keys = keys  #: by label, of the config in force
        self._wake = wake
        self._gap = gap
        self._next: dict[str, float] = {}  #: by label: when it may be woken again, on the loop's clock
        self._waiting: dict[str, asyncio.TimerHandle] = {}

    def ring(self, label: str, key: str) -> bool:
        """Wake the account's jobs, now or when the gap has passed. Returns whether the key is right."""
        secret = self._keys().get(label)
        right = hmac.compare_digest(
            (secret.reveal() if secret else "").encode(), key.encode("utf-8", "replace")
        )
        if not right or not secret:
            return False
        if label not in self._waiting:
            loop = asyncio.get_running_loop()
            wait = self._next.get(label, 0.0) - loop.time()
            if wait <= 0:
                self._wake_now(label)
            else:
                self._waiting[label] = loop.call_later(wait, self._wake_now, label)
        return True

    def close(self) -> None:
        """Cancel what waits for its gap."""
        for handle in self._waiting.values():
            handle.cancel()
        self._waiting.clear()

    def _wake_now(self, label: str) -> None:
        self._waiting.pop(label, None)
        self._next[label] = asyncio.get_running_loop().time() + self._gap
        self._wake(label)
