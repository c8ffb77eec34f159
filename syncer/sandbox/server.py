"""Serves the sandbox on loopback, and can close a connection in the middle of an answer.

`app` is the application.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import struct
import threading
from asyncio import BaseTransport
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from syncer.sandbox.app import create_app
from syncer.sandbox.broken import DROP
from syncer.sandbox.world import World


class Protocol(H11Protocol):
    """uvicorn's HTTP/1.1 that lets the application close the connection during an answer."""

    def connection_made(self, transport: BaseTransport) -> None:
        """Give each request the function that closes its connection."""
        super().connection_made(transport)  # type: ignore[arg-type]
        inner = self.app

        def close(reset: bool) -> None:
            if reset:
                # No lingering: the peer gets a reset in place of an orderly end.
                made: socket.socket = transport.get_extra_info("socket")
                made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.transport.abort()
            else:
                self.transport.close()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            scope.setdefault("extensions", {})[DROP] = close
            await inner(scope, receive, send)

        self.app = app


class _Server(uvicorn.Server):
    """uvicorn's server that reports when it listens."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then report it."""
        await super().startup(sockets)
        self._ready()


def _server(world: World, ready: Callable[[], None]) -> _Server:
    config = uvicorn.Config(
        create_app(world),
        http=Protocol,
        ws="none",
        lifespan="off",
        loop="asyncio",
        log_config=None,
        log_level="critical",
        access_log=False,
        date_header=False,
        server_header=False,
        timeout_graceful_shutdown=1,
        timeout_keep_alive=60,
    )
    return _Server(config, ready)


def _listen(port: int) -> socket.socket:
    # asyncio turns Nagle's delay off (40 ms an answer) only where the protocol is named.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError:
        listener.close()
        raise
    return listener


def serve(port: int, world: World, *, on_ready: Callable[[int], None]) -> None:
    """Serve on 127.0.0.1 until SIGTERM or SIGINT; port 0 is any free one.

    Calls `on_ready` with the port once requests are taken. Raises `OSError` when the port is not free.
    """
    with contextlib.closing(_listen(port)) as listener:
        bound = int(listener.getsockname()[1])
        server = _server(world, lambda: on_ready(bound))

        def stop(_number: int, _frame: FrameType | None) -> None:
            server.should_exit = True

        # uvicorn raises a caught signal again when it is done; these handlers make that harmless.
        kept: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            kept = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            server.run(sockets=[listener])
        finally:
            for number, handler in kept.items():
                signal.signal(number, handler)


@contextlib.contextmanager
def running(world: World, port: int = 0) -> Iterator[str]:
    """Serve from a thread of this process within the block, at the base URL that it yields."""
    with contextlib.closing(_listen(port)) as listener:
        ready = threading.Event()
        server = _server(world, ready.set)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        if not ready.wait(10):
            raise RuntimeError("the sandbox did not start within 10 s")
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(10)
