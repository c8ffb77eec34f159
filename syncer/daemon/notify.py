"""Notifies systemd of the daemon's state (sd_notify(3)). Outside of systemd nothing is sent."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping

from syncer.logs import scrub


class Notifier:
    """The socket in `$NOTIFY_SOCKET`. Abstract ones begin with `@`."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._status = ""
        self.watchdog = _watchdog(
            environ
        )  #: seconds between notifications of the watchdog; None: there is none

    def send(self, *lines: str) -> bool:
        """Send these assignments in one message. Returns whether it was delivered."""
        if not self._address:
            return False
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
                channel.setblocking(False)  # a manager that is stuck must not make us stuck
                channel.sendto("\n".join(lines).encode(), self._address)
        except OSError:
            return False
        return True

    def status(self, text: str) -> None:
        """Set the text that `systemctl status` shows. Sent only when it has changed."""
        if text != self._status:
            self._status = text
            self.send(f"STATUS={_line(text)}")

    def ready(self) -> None:
        """The start, or a reload, is complete."""
        self.send("READY=1", f"STATUS={_line(self._status)}")

    def reloading(self) -> None:
        """A reload has begun."""
        self.send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The shutdown has begun."""
        self.send("STOPPING=1", "STATUS=stopping: waiting for running jobs to reach a safe point")

    def alive(self) -> None:
        """Keep the watchdog from restarting the daemon."""
        self.send("WATCHDOG=1")


def _line(text: str) -> str:
    return scrub(text).replace("\n", " ")


def _watchdog(environ: Mapping[str, str]) -> float | None:
    """Half of the watchdog's timeout, as sd_watchdog_enabled(3) advises."""
    text, owner = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not text.isdecimal() or int(text) == 0 or (owner and owner != str(os.getpid())):
        return None
    return int(text) / 1_000_000 / 2
