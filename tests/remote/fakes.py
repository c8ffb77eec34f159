"""A vendor in a function, a clock that moves by sleeping, and a socket that misbehaves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from syncer.remote.client import ApiClient

BASE = "https://vendor.example"
NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)


@dataclass
class Clock:
    """Wall time that only sleeping moves."""

    now: datetime = NOW
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> datetime:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += timedelta(seconds=seconds)
        await asyncio.sleep(0)


Handler = Callable[[httpx.Request], httpx.Response | Awaitable[httpx.Response]]


@dataclass
class Vendor:
    """Answers from a script, whose last answer repeats. Raises an exception in it. Remembers requests."""

    script: list[Any]
    requests: list[httpx.Request] = field(default_factory=list)

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        step = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if callable(step) and not isinstance(step, type):
            step = step(request)
        if isinstance(step, BaseException):
            raise step
        assert isinstance(step, httpx.Response)
        return httpx.Response(step.status_code, headers=step.headers, content=step.content)

    @property
    def paths(self) -> list[str]:
        return [request.url.path for request in self.requests]

    def sent(self, index: int) -> Any:
        return json.loads(self.requests[index].content)


def answer(body: object, status: int = 200, **headers: str) -> httpx.Response:
    """JSON by one of the vendors."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, content=json.dumps(body).encode(), headers=named)


def page_of(text: str | bytes, status: int = 200, **headers: str) -> httpx.Response:
    """A body that is not JSON."""
    return httpx.Response(status, content=text, headers={k.replace("_", "-"): v for k, v in headers.items()})


def api(handler: Any, clock: Clock | None = None, **changes: Any) -> ApiClient:
    """A client of a vendor in a function; nothing waits for real."""
    clock = clock or Clock()
    settings: dict[str, Any] = {
        "source": "telecmi.main",
        "base_url": BASE,
        "requests_per_second": 10_000.0,
        "concurrency": 4,
        "timeout": 5.0,
        "rand": lambda: 0.0,
        "sleep": clock.sleep,
        "now": clock,
        "transport": httpx.MockTransport(handler),
    } | changes
    return ApiClient(**settings)


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(serve: Serve) -> AsyncIterator[str]:
    """A real server on loopback that does to each connection what `serve` says; gives its address."""

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    server = await asyncio.start_server(one, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


def real(base_url: str, **changes: Any) -> aclosing[ApiClient]:
    """A client of a vendor on a socket, which is closed at the end."""
    return aclosing(api(None, base_url=base_url, transport=None, **changes))


def saying(content: bytes) -> Serve:
    """Answers a request with this, and closes the connection."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(content)
        await writer.drain()

    return serve


async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await read_request(reader)
    await asyncio.sleep(3600)


async def read_request(reader: asyncio.StreamReader) -> None:
    """The whole request, head and body."""
    head = await reader.readuntil(b"\r\n\r\n")
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            await reader.readexactly(int(value))
