"""Calls the address of a monitoring service, which raises an alarm when the calls stop."""

from __future__ import annotations

from syncer.core.secret import Secret
from syncer.errors import BadAnswerError, TransientError
from syncer.remote.client import ApiClient
from syncer.remote.wire import Answer, Call, split_address

#: The time limit of a call, in seconds.
TIMEOUT = 10.0


class Pinger:
    """One address. It often contains a key, so no message quotes it."""

    def __init__(self, url: Secret) -> None:
        origin, path = split_address(url.reveal())
        self._call = Call(name="ping_url", method="GET", path=path)
        self._api = ApiClient(
            source="monitor",
            base_url=origin,
            requests_per_second=1.0,
            concurrency=1,
            timeout=TIMEOUT,
        )

    async def ping(self) -> None:
        """Call it. Any 2xx is a success. Raises RemoteError."""
        await self._api.call(self._call, self._raise_for_error)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._api.aclose()

    def _raise_for_error(self, call: Call, answer: Answer) -> None:
        if answer.ok:
            return
        text = f"the monitoring service answered HTTP {answer.status}"
        if answer.status >= 500 or answer.status in (408, 425, 429):
            raise TransientError("monitor", call.name, text, retry_after=answer.retry_after, sent=True)
        raise BadAnswerError("monitor", call.name, f"{text}; check monitor.ping_url")
