"""Sends a notification: by a signed webhook, a command, or an address of Apprise.

One try each. `sync` and `core/notifications.py` decide what is sent, and when it is tried again.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import logging
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from syncer.errors import ConfigError, RejectedError, TransientError
from syncer.remote.client import ApiClient
from syncer.remote.wire import Answer, Call, encode, split_address

#: The time limit of one try, in seconds.
TIMEOUT: Final = 15.0

#: The variables of our environment that a command gets. None of them can contain our secrets.
_ENVIRONMENT: Final = (
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "TMPDIR",
)


@dataclass(frozen=True, slots=True)
class Message:
    """One notification, ready to be sent."""

    id: str  #: the same at each try
    body: Mapping[str, Any]  #: the JSON
    title: str  #: for people
    text: str


class Sender(Protocol):
    """A way to a target."""

    async def send(self, message: Message) -> None:
        """Send it once. Raises RemoteError when the target did not take it."""


def sign(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """The header `webhook-signature` (Standard Webhooks, symmetric): HMAC-SHA256 over id, time and body."""
    signed = b".".join((message_id.encode(), str(timestamp).encode(), body))
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


class Webhook:
    """Posts JSON to an address. It often contains a key, so no message quotes it."""

    def __init__(self, api: ApiClient, url: str, key: bytes | None, now: Callable[[], float]) -> None:
        self._path = split_address(url)[1]
        self._api = api
        self._key = key
        self._now = now

    async def send(self, message: Message) -> None:
        """Post it. Any 2xx means success."""
        timestamp = int(self._now())
        headers = {"webhook-id": message.id, "webhook-timestamp": str(timestamp)}
        if self._key is not None:
            headers["webhook-signature"] = sign(self._key, message.id, timestamp, encode(message.body))
        call = Call(
            "webhook", "POST", self._path, json=message.body, headers=headers, write=True, status_only=True
        )
        await self._api.call(call, self._raise_for_error)

    def _raise_for_error(self, call: Call, answer: Answer) -> None:
        if not answer.ok:
            text = f"it answered HTTP {answer.status}"
            raise RejectedError(self._api.source, call.name, text, code=answer.status)


class Command:
    """Runs a program without a shell, with the JSON on its standard input. Exit status 0 means success."""

    def __init__(
        self, source: str, command: tuple[str, ...], environ: Mapping[str, str], *, timeout: float = TIMEOUT
    ) -> None:
        self._source = source
        self._timeout = timeout
        self._command = command
        self._environ = {name: environ[name] for name in _ENVIRONMENT if name in environ}

    async def send(self, message: Message) -> None:
        """Run it once. It and its children are killed after `timeout` seconds."""
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                env=self._environ | {"SYNCER_EVENT_ID": message.id},
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            raise self._failed(f"it cannot be run ({error.strerror})") from None
        try:
            async with asyncio.timeout(self._timeout):
                await process.communicate(encode(message.body) + b"\n")
        except TimeoutError:
            raise self._failed(f"it did not end within {self._timeout:.3g} s, and was killed") from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        if process.returncode:
            how = (
                f"exit status {process.returncode}"
                if process.returncode > 0
                else f"signal {-process.returncode}"
            )
            raise self._failed(f"it ended with {how}")

    def _failed(self, text: str) -> TransientError:
        return TransientError(self._source, "command", text, sent=True)


class AppriseAddress:
    """A service that Apprise supports. The library is optional, so it is imported late."""

    def __init__(self, source: str, address: str) -> None:
        import apprise

        # It logs addresses, which contain passwords.
        logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
        self._source = source
        self._apprise = apprise.Apprise()
        if not self._apprise.add(address):
            raise ConfigError(
                [f"{source}.apprise is not an address that Apprise knows; see its list of services."]
            )

    async def send(self, message: Message) -> None:
        """Send title and text."""
        try:
            async with asyncio.timeout(2 * TIMEOUT):
                taken = await self._apprise.async_notify(title=message.title, body=message.text)
        except TimeoutError:
            raise TransientError(self._source, "apprise", "no answer in time", sent=True) from None
        if not taken:
            raise TransientError(self._source, "apprise", "the service did not take it", sent=True)
