"""What leaves the daemon: messages to systemd, and the ping."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import aclosing
from pathlib import Path

import pytest

from syncer.core.secret import Secret
from syncer.daemon.notify import Notifier
from syncer.errors import BadAnswerError, RemoteError
from syncer.logs import register_secret
from syncer.remote.ping import Pinger
from tests.daemon.conftest import Manager, free_port


def test_outside_of_systemd_nobody_is_notified() -> None:
    notify = Notifier({})
    assert not notify.send("READY=1")
    assert notify.watchdog is None


def test_a_manager_that_is_gone_is_no_error(tmp_path: Path) -> None:
    assert not Notifier({"NOTIFY_SOCKET": str(tmp_path / "nobody")}).send("READY=1")


def test_a_status_is_said_when_it_changes_and_holds_no_secret(manager: Manager) -> None:
    register_secret("a-planted-secret")
    notify = Notifier({"NOTIFY_SOCKET": manager.address})
    for _ in range(3):
        notify.status("not well: a-planted-secret\n+919200000000 refused")
    assert manager.heard("STATUS=") == ["STATUS=not well: *** [number] refused"]


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({"WATCHDOG_USEC": "120000000"}, 60.0),
        ({"WATCHDOG_USEC": "120000000", "WATCHDOG_PID": str(os.getpid())}, 60.0),
        ({"WATCHDOG_USEC": "120000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_for_whom_it_is_meant(environ: dict[str, str], seconds: float | None) -> None:
    assert Notifier(environ).watchdog == seconds


class Monitor:
    """A monitoring service that answers each call with the next of these statuses."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.lines: list[str] = []

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", 0, family=socket.AF_INET)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.lines.append(head.decode().splitlines()[0])
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        body = b"OK"
        writer.write(
            b"HTTP/1.1 %d X\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (status, len(body), body)
        )
        await writer.drain()
        writer.close()


@pytest.mark.anyio
async def test_a_ping_calls_the_whole_address() -> None:
    monitor = Monitor(200)
    async with monitor as url, aclosing(Pinger(Secret(f"{url}/ping/invented-key/?create=1"))) as pinger:
        await pinger.ping()
    assert monitor.lines == ["GET /ping/invented-key/?create=1 HTTP/1.1"]


@pytest.mark.anyio
async def test_a_ping_that_fails_names_no_address() -> None:
    async with Monitor(404) as url, aclosing(Pinger(Secret(f"{url}/ping/invented-key"))) as pinger:
        with pytest.raises(BadAnswerError) as caught:
            await pinger.ping()
    async with aclosing(Pinger(Secret(f"http://127.0.0.1:{free_port()}/ping/invented-key"))) as gone:
        with pytest.raises(RemoteError) as refused:
            await asyncio.wait_for(gone.ping(), 30)
    for text in (str(caught.value), repr(caught.value), str(refused.value), repr(refused.value)):
        assert "invented-key" not in text
        assert "127.0.0.1" not in text
