"""httpx's requests over aiohttp's connections: the same interface, at a third of the cost of a call.

httpx's own pool spends more time on a request than the wire does once a dozen are in flight. This
is a transport and no more: requests in, answers out, aiohttp's failures named as httpx names them.
It tells whether a request had a connection when it failed, which is what a caller has to know of a
write. Budgets, deadlines and retries are left to `http.py`.
"""

from __future__ import annotations

import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import aiohttp
import httpx

#: The name of the extension of a request that is told when it waits for a connection, and when it has one.
CONNECTING = "syncer.connecting"

#: That of the request which is being sent in this task.
_connecting: ContextVar[Callable[[bool], None] | None] = ContextVar("connecting", default=None)

#: How long an idle connection is kept, in seconds.
_KEEP = 5.0

#: What aiohttp raises -> what httpx would. The first that fits counts, so the narrower stand first.
#: Not one of the right-hand side may say "never sent" of what may have been.
_NAMES: tuple[tuple[type[Exception], type[httpx.TransportError]], ...] = (
    (aiohttp.ClientProxyConnectionError, httpx.ProxyError),
    (aiohttp.ClientHttpProxyError, httpx.ProxyError),
    (aiohttp.ClientConnectorError, httpx.ConnectError),  # also names that cannot be resolved, and TLS
    (aiohttp.ConnectionTimeoutError, httpx.ConnectTimeout),
    (aiohttp.ServerTimeoutError, httpx.ReadTimeout),
    (aiohttp.ServerDisconnectedError, httpx.RemoteProtocolError),
    (aiohttp.InvalidURL, httpx.UnsupportedProtocol),
    (aiohttp.NonHttpUrlClientError, httpx.UnsupportedProtocol),
    (aiohttp.ClientPayloadError, httpx.ReadError),
    (aiohttp.ClientResponseError, httpx.RemoteProtocolError),
    (aiohttp.ClientError, httpx.ReadError),
    (aiohttp.http.HttpProcessingError, httpx.RemoteProtocolError),
    (OSError, httpx.ReadError),
    (ValueError, httpx.LocalProtocolError),  # a header or address that cannot be written
)


@contextmanager
def _named() -> Iterator[None]:
    """Raise httpx's errors for aiohttp's, without its texts, which may quote the address."""
    try:
        yield
    except tuple(kind for kind, _ in _NAMES) as error:
        if isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ClientError):
            raise  # the caller's own deadline
        name = next(name for kind, name in _NAMES if isinstance(error, kind))
    else:
        return
    raise name("the connection failed")


class Transport(httpx.AsyncBaseTransport):
    """Connections of one account, made when the first request goes out, in the loop that it goes out in."""

    def __init__(self, tls: ssl.SSLContext | bool, *, connections: int, trust_env: bool) -> None:
        self._tls = tls
        self._connections = connections
        self._trust_env = trust_env
        self._session: aiohttp.ClientSession | None = None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            connector = _Connector(limit=self._connections, ssl=self._tls, keepalive_timeout=_KEEP)
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=self._trust_env,
                request_class=_Request if sys.version_info < (3, 12) else aiohttp.ClientRequest,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
                auto_decompress=False,
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            )
        return self._session

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request; its body is read by the caller. Raises httpx's errors only."""
        told = _connecting.set(request.extensions.get(CONNECTING))
        try:
            with _named():
                answer = await self._open().request(
                    request.method,
                    str(request.url),
                    data=request.content or None,
                    headers=[
                        (name.decode("latin-1"), value.decode("latin-1"))
                        for name, value in request.headers.raw
                    ],
                    allow_redirects=False,
                )
        finally:
            _connecting.reset(told)
        return httpx.Response(
            answer.status,
            headers=answer.raw_headers,
            stream=_Body(answer),
            extensions={"http_version": b"HTTP/1.1"},
        )

    async def aclose(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()


class _Body(httpx.AsyncByteStream):
    """The body of an answer, as it comes."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _named():
            async for chunk in self._answer.content.iter_any():
                yield chunk

    async def aclose(self) -> None:
        """Give the connection back; one whose answer was not read to its end is closed."""
        self._answer.release()


class _Request(aiohttp.ClientRequest):
    """Writes its body at once, as far as nothing has to be waited for; what is left is done in a task.

    As aiohttp does by itself from Python 3.12 on. On 3.11 it leaves all of it to a task: then requests that
    are made ready in one turn of the loop go out together at its end, are answered together, and wait for
    each other in every turn from then on.
    """

    def write_bytes(self, *args: Any, **kw: Any) -> Coroutine[Any, Any, None]:
        """What is left of the writing."""
        return begun(super().write_bytes(*args, **kw))


def begun(work: Coroutine[Any, Any, None]) -> Coroutine[Any, Any, None]:
    """Run a coroutine up to the first thing that it has to wait for; returns what is left of it."""
    try:
        first = work.send(None)
    except StopIteration:
        return _nothing()
    return _rest(work, first)


async def _nothing() -> None:
    """All is written."""


async def _rest(work: Coroutine[Any, Any, None], first: object) -> None:
    await _Resumed(work, first)


class _Resumed(Awaitable[None]):
    """A coroutine that has begun, and waits for something."""

    def __init__(self, work: Coroutine[Any, Any, None], first: object) -> None:
        self._work = work
        self._first = first

    def __await__(self) -> Generator[Any, Any, None]:
        waits_for = self._first
        while True:
            try:
                try:
                    sent = yield waits_for
                except BaseException as error:  # noqa: BLE001 - it is what the work waited for that failed
                    waits_for = self._work.throw(error)
                else:
                    waits_for = self._work.send(sent)
            except StopIteration:
                return


class _Connector(aiohttp.TCPConnector):
    """Tells a request's `CONNECTING` when it waits for a connection, and when one is its own.

    aiohttp's own traces tell the same at twenty other moments as well, for a tenth of what a call costs.
    """

    async def connect(self, *args: Any, **kw: Any) -> Any:
        """A connection for one request."""
        tell = _connecting.get()
        if tell is not None:
            tell(True)
        connection = await super().connect(*args, **kw)
        if tell is not None:
            tell(False)
        return connection
