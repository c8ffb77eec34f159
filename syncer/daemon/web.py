"""Serves `/healthz` and `/metrics` from the daemon's own event loop, without touching its signals.

What they say is left to `figures` and `metrics`.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from syncer.config import Http
from syncer.errors import StoreError

#: A page that takes longer is given up, in seconds: the database is held by somebody.
PATIENCE = 15.0


class ListenError(Exception):
    """The address of the pages cannot be had; says which and why."""


#: Whether all is well, and the body that says so.
Health = Callable[[], Awaitable[tuple[bool, dict[str, Any]]]]
Metrics = Callable[[], Awaitable[bytes]]


def listen(http: Http) -> socket.socket:
    """Bind the address of the config; ListenError when it cannot be had."""
    try:
        found = socket.getaddrinfo(
            http.host, http.port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        raise ListenError(
            f"http.listen: {http.host} is no address of this machine ({error.strerror})"
        ) from None
    family, kind, protocol, _, address = found[0]
    # The protocol is named: only then does asyncio turn Nagle's delay off.
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(16)
    except OSError as error:
        listener.close()
        raise ListenError(
            f"http.listen: {http.host}:{http.port} cannot be used ({error.strerror}); "
            "name a free address of this machine, or end the program that has it"
        ) from None
    listener.setblocking(False)
    return listener


def create_app(health: Health, metrics: Metrics) -> Starlette:
    """The two pages."""

    async def healthz(_: Request) -> Response:
        try:
            async with asyncio.timeout(PATIENCE):
                well, body = await health()
        except StoreError as error:
            well, body = False, _failing(str(error))
        except TimeoutError:
            well, body = False, _failing(_BUSY)
        return JSONResponse(body, 200 if well else 503, headers=_FRESH)

    async def figures(_: Request) -> Response:
        try:
            async with asyncio.timeout(PATIENCE):
                page = await metrics()
        except StoreError as error:
            return PlainTextResponse(f"{error}\n", 503, headers=_FRESH)
        except TimeoutError:
            return PlainTextResponse(f"{_BUSY}\n", 503, headers=_FRESH)
        return Response(page, media_type="text/plain; version=0.0.4; charset=utf-8", headers=_FRESH)

    return Starlette(routes=[Route("/healthz", healthz), Route("/metrics", figures)])


def _failing(reason: str) -> dict[str, Any]:
    return {"status": "failing", "reasons": [reason], "attention": [], "jobs": []}


_BUSY = "the database did not answer in time"
_FRESH = {"Cache-Control": "no-store"}


class Server(uvicorn.Server):
    """uvicorn without its signal handlers, and without its ten wake-ups a second."""

    def __init__(self, app: Starlette) -> None:
        config = uvicorn.Config(
            app,
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=1,
            timeout_keep_alive=75,
            limit_concurrency=32,
        )
        super().__init__(config)
        self._end = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The daemon has its own."""
        yield

    async def main_loop(self) -> None:
        """Sleep until the end; the library's own loop keeps a `Date` header that we do not send."""
        await self._end.wait()

    def finish(self) -> None:
        """Answer what is being answered, then end."""
        self.should_exit = True
        self._end.set()
