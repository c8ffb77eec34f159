"""The web application: `/healthz`, `/metrics`, the doorbell, and other routes at the same address.

`pages` builds the contents, `lookup` answers lookups, and `listener` handles connections.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from syncer.errors import StoreError

#: The time limit of a page, in seconds: another program may be blocking the database.
PATIENCE = 15.0

#: How many pages are built at the same time. The jobs use the same database thread.
AT_ONCE = 2

#: Whether the daemon is healthy, and the body.
Health = Callable[[], Awaitable[tuple[bool, dict[str, Any]]]]
Metrics = Callable[[], Awaitable[bytes]]
#: Rings for an account with a key. Returns whether the key is right.
Ring = Callable[[str, str], bool]


def create_app(
    health: Health, metrics: Metrics, hosts: Collection[str], more: Sequence[BaseRoute] = ()
) -> Starlette:
    """The two pages and `more`, for requests to one of these hosts."""
    turn = asyncio.Semaphore(AT_ONCE)

    async def healthz(_: Request) -> Response:
        try:
            async with asyncio.timeout(PATIENCE), turn:
                well, body = await health()
        except StoreError as error:
            well, body = False, _failing(str(error))
        except TimeoutError:
            well, body = False, _failing(_BUSY)
        return JSONResponse(body, 200 if well else 503, headers=_FRESH)

    async def figures(_: Request) -> Response:
        try:
            async with asyncio.timeout(PATIENCE), turn:
                page = await metrics()
        except StoreError as error:
            return PlainTextResponse(f"{error}\n", 503, headers=_FRESH)
        except TimeoutError:
            return PlainTextResponse(f"{_BUSY}\n", 503, headers=_FRESH)
        return Response(page, media_type="text/plain; version=0.0.4; charset=utf-8", headers=_FRESH)

    return Starlette(
        routes=[Route("/healthz", healthz), Route("/metrics", figures), *more],
        middleware=[Middleware(HostCheck, hosts=hosts)],
    )


def doorbell(ring: Ring) -> Route:
    """The route for a vendor's webhook. Its body is not read."""

    async def answer(request: Request) -> Response:
        known = ring(request.path_params["account"], request.path_params["key"])
        return Response(status_code=204 if known else 404, headers=_FRESH)

    return Route("/doorbell/{account}/{key}", answer, methods=["GET", "POST"])


class HostCheck:
    """Refuses requests with another `Host` (the port does not matter).

    A web page may point its own name at this machine and let a browser read from it (DNS rebinding).
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str]) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 400, or pass the request on."""
        app = self._app
        if scope["type"] == "http" and without_port(Headers(scope=scope).get("host", "")) not in self._hosts:
            app = PlainTextResponse("This Host is not in http.hosts.\n", 400, headers=_FRESH | _INERT)
        await app(scope, receive, send)


def without_port(host: str) -> str:
    """The name or address of a `Host` header, in lower case: `[::1]:9464` is `[::1]`."""
    name, colon, port = host.lower().rpartition(":")
    return name if colon and port.isdecimal() and (":" not in name or name.endswith("]")) else host.lower()


def _failing(reason: str) -> dict[str, Any]:
    return {"status": "failing", "reasons": [reason], "attention": [], "jobs": []}


_BUSY = "the database did not answer in time"
_FRESH = {"Cache-Control": "no-store"}
_INERT = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
