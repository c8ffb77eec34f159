"""The client that makes every call: request budget, deadlines, retries of reads, error mapping.

The adapter's `check` decides what an answer means; `transport` holds the connections. The retry loop is our own
because it has to follow `Retry-After`, know whether a request was sent, and log no arguments.
"""

from __future__ import annotations

import asyncio
import math
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import httpx

from syncer.core.retry import MOST_HALVINGS, backoff, halvings_left, parse_http_date, parse_retry_after
from syncer.errors import BadAnswerError, RemoteError, TransientError
from syncer.remote.proxy import proxy_for
from syncer.remote.receive import receive, skip
from syncer.remote.response_errors import AnswerCheck, broken, misshapen, raise_for_status
from syncer.remote.transport import connect
from syncer.remote.wire import Answer, Call, NotJson, encode, read_body

#: The most attempts of a read, and the time limit for all of them, in seconds.
TRIES = 4
GIVE_UP_AFTER = 40.0
#: A longer `Retry-After`, in seconds, is left to the next run.
LONGEST_PAUSE = 20.0
#: The time limit of an attempt after the run's patience is used up, in seconds.
LAST_CHANCE = 3.0

#: A download into a sink may exceed the time limit while it averages this many bytes a second.
SLOWEST = 16_000

#: Counts the requests of one run and its tasks. `ApiClient.requests` counts those of all jobs of the account.
request_counter: ContextVar[list[int] | None] = ContextVar("request_counter", default=None)

#: Called with the source, the call's name and the answer, before the answer is checked. Applies to this task and the
#: tasks that it starts.
response_hook: ContextVar[Callable[[str, str, Answer], None] | None] = ContextVar(
    "response_hook", default=None
)

#: The monotonic time at which the run of this task has to end.
_deadline: ContextVar[float | None] = ContextVar("syncer_deadline", default=None)

#: The end of the message if the request was certainly not sent.
UNSENT = "nothing was sent"

#: Failures after which the vendor has certainly not received anything.
_NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.InvalidURL,
    httpx.CookieConflict,
)
#: Everything that httpx can raise, including errors of ssl and of invalid headers that it does not wrap.
_TRANSPORT = (
    httpx.HTTPError,
    httpx.InvalidURL,
    httpx.CookieConflict,
    httpx.StreamError,
    OSError,
    UnicodeError,
)


@dataclass(slots=True)
class _Failed:
    """A failed attempt."""

    error: RemoteError
    again: bool  #: whether a read may be repeated


@dataclass(slots=True)
class _Try:
    """The state of one attempt."""

    close: bool  #: it asks the vendor to close the connection after the answer
    connecting: bool = False  #: nothing was sent yet
    endless: bool = False  #: the answer has started and has no length: only a closed connection ends it
    socket: Any = None  #: httpcore's stream, once the vendor or a proxy has accepted the connection

    async def trace(self, event: str, info: dict[str, Any]) -> None:
        """Follow the connection pool (httpx's extension `trace`)."""
        if event.endswith(".started"):
            if event.startswith("connection."):
                self.connecting = True
            elif event == "http11.send_request_headers.started":
                # The request for a proxy's tunnel is not the request itself.
                self.connecting = info["request"].method == b"CONNECT"
        elif event == "connection.connect_tcp.complete":
            self.socket = info["return_value"]

    async def give_up(self) -> None:
        """Close a connection whose handshake was cut off: httpcore does not when a deadline cancels it."""
        if self.connecting and self.socket is not None:
            await self.socket.aclose()


class ApiClient:
    """All calls of one account: one budget, one connection pool, one error mapping.

    `timeout` limits a whole attempt including the body, not a pause between bytes. Waiting for the budget does not
    count. Tests pass `sleep`, `rand` and `now`.
    """

    def __init__(
        self,
        *,
        source: str,
        base_url: str,
        requests_per_second: float,
        concurrency: int,
        timeout: float,
        ca_file: Path | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        rand: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        give_up_after: float = GIVE_UP_AFTER,
    ) -> None:
        self.source = source
        self.base_url = base_url.rstrip("/")
        self.timeout = timeout
        self.sleep = sleep
        self.now = now
        self.requests = 0  #: requests made so far, including repeated ones
        self.server_date: datetime | None = None  #: the `Date` of the newest answer that had one
        self.waits = 0.0  #: seconds of waiting for the budget
        #: How many more seconds failing calls may delay a run in total. After that, a call gets one attempt of a few
        #: seconds: calls that work still do, and five jobs against a hanging vendor wait no longer than one.
        self.patience = math.inf
        self._rand = rand
        self._give_up_after = give_up_after
        self.concurrency = concurrency
        self._slots = asyncio.Semaphore(concurrency)
        self._gap = 1 / requests_per_second  #: seconds from one request to the next; 0: no budget
        self._turn = asyncio.Lock()
        self._last = float("-inf")  #: when the last request was scheduled
        self._halvings = 0  #: how often the rate was halved,
        self._halved_at = float("-inf")  #: and when it was last
        self._close = False  #: connections are closed, because the vendor does not end its answers otherwise
        self._proxy = None if transport else proxy_for(self.base_url, os.environ)
        #: Used without a client of httpx, which would add cookies, redirects and netrc.
        self.transport = transport or connect(
            source, self.base_url, ca_file=ca_file, connections=concurrency, proxy=self._proxy
        )

    def __repr__(self) -> str:
        return f"ApiClient({self.source})"

    async def aclose(self) -> None:
        """Close the connections. No call may follow."""
        await self.transport.aclose()

    @asynccontextmanager
    async def deadline(self, seconds: float) -> AsyncIterator[None]:
        """All calls made inside end within `seconds`; otherwise they fail.

        Applies to this task and those it starts. The shorter of two nested deadlines counts.
        """
        mine = _clock() + seconds
        outer = _deadline.get()
        token = _deadline.set(mine if outer is None else min(outer, mine))
        try:
            yield
        finally:
            _deadline.reset(token)

    async def call(self, call: Call, check: AnswerCheck | None = None) -> Answer:
        """Make the call and return its answer, which `check` accepted.

        Raises RemoteError only. Reads are tried up to four times within 40 s, writes once. After a write,
        TransientError means that it was not sent or not processed, OutcomeUnknownError that it may have been
        applied.
        """
        check = check or partial(raise_for_status, self.source)
        spent = 0.0
        tries = 1 if call.write or self.patience <= 0 else TRIES
        attempt = 1
        while True:
            await self._wait_for_turn(call)
            began = _clock()
            try:
                got = await self._attempt(call, check, self._limit(call, spent))
            finally:
                self._slots.release()
            if isinstance(got, Answer):
                self.patience += spent  # it succeeded in the end, so the vendor is not failing
                return got
            pause = self._pause(attempt, got.error) if got.again and attempt < tries else None
            lost = _clock() - began + (pause or 0.0)
            spent += lost
            self.patience -= lost
            if pause is None or self.patience <= 0 or spent >= self._give_up_after:
                raise got.error from None
            await self.sleep(pause)
            attempt += 1

    def _limit(self, call: Call, spent: float) -> float:
        limit = self.timeout if call.write else min(self.timeout, self._give_up_after - spent)
        return min(limit, max(self.patience, LAST_CHANCE))

    def _pause(self, attempt: int, error: RemoteError) -> float | None:
        """Seconds until the next attempt, or None if it would come too late or the vendor asks for too long a wait."""
        pause = backoff(attempt, self._rand())
        if isinstance(error, TransientError) and error.retry_after is not None:
            if error.retry_after > LONGEST_PAUSE:
                return None
            pause = max(pause, error.retry_after)
        end = _deadline.get()
        return pause if end is None or _clock() + pause < end else None

    async def _wait_for_turn(self, call: Call) -> None:
        """Take a slot, which the caller releases, and wait for the budget."""
        began = _clock()
        try:
            async with asyncio.timeout_at(_deadline.get()):
                await self._slots.acquire()
                try:
                    if self._gap:
                        await self._wait_for_budget()
                except BaseException:
                    self._slots.release()
                    raise
        except TimeoutError:
            raise self._out_of_time(call) from None
        finally:
            self.waits += _clock() - began

    async def _wait_for_budget(self) -> None:
        async with self._turn:
            now = _clock()
            gap = self._gap * 2 ** halvings_left(self._halvings, now - self._halved_at)
            turn = max(self._last + gap, now)
            if turn > now:
                await asyncio.sleep(turn - now)
            self._last = turn  # not the current time: delays of a busy event loop would add up

    def _slow_down(self, began: float) -> None:
        """Halve the rate for a while: a request that started at `began` was refused because of load.

        Only once for all requests that were in flight together.
        """
        if began > self._halved_at:
            now = _clock()
            left = halvings_left(self._halvings, now - self._halved_at)
            self._halvings, self._halved_at = min(left + 1, MOST_HALVINGS), now

    def _out_of_time(self, call: Call) -> TransientError:
        return TransientError(self.source, call.name, "the run's time was up before this could be sent")

    async def _attempt(self, call: Call, check: AnswerCheck, limit: float) -> Answer | _Failed:
        """One attempt. Failures are returned, because an error raised here would have httpx's exception, which
        contains the URL, as its context."""
        end = _deadline.get()
        if end is not None:
            limit = min(limit, end - _clock())
        if limit <= 0:
            return _Failed(self._out_of_time(call), again=False)
        self.requests += 1
        counter = request_counter.get()
        if counter is not None:
            counter[0] += 1
        began = _clock()
        this = _Try(close=self._close)
        try:
            async with asyncio.timeout(limit) as timer:
                answer = await self._exchange(call, this, _extending(timer, began + limit, end))
        except TimeoutError:
            if this.endless:
                # The next request asks to close the connection. If that does not help, later ones do not ask.
                self._close = not this.close
            return self._unsent_or_unsure(
                call, not this.connecting, f"no complete answer within {limit:.3g} s"
            )
        except _TRANSPORT as caught:
            if _head_too_large(caught):
                return _Failed(
                    misshapen(self.source, call, "the head of the answer is over 100 KiB"), again=False
                )
            sent = not isinstance(caught, _NEVER_SENT) and not this.connecting
            return self._unsent_or_unsure(call, sent, self._words(caught))
        hook = response_hook.get()
        if hook is not None:
            hook(self.source, call.name, answer)
        if answer.status == 407 and (call.sink is None or not isinstance(answer.body, dict)):
            return self._unsent_or_unsure(call, False, "the proxy refused (407)")
        try:
            check(call, answer)
        except RemoteError as error:
            again = isinstance(error, TransientError)
            if not error.sent:
                self._slow_down(began)
            elif isinstance(error, BadAnswerError) and isinstance(answer.body, NotJson):
                again = answer.ok and not answer.body.refused and call.sink is None
            return _Failed(error, again)
        return answer

    async def _exchange(self, call: Call, this: _Try, received: Callable[[int], None]) -> Answer:
        """Send one request and read its answer. `received` is called with the number of bytes that a sink has."""
        headers = httpx.Headers(_HEADERS)
        if call.json is not None:
            headers["Content-Type"] = "application/json"
        if this.close:
            headers["Connection"] = "close"
        headers.update(call.headers)
        request = httpx.Request(
            call.method,
            _address(self.base_url + call.path),
            params=call.params,
            headers=headers,
            content=None if call.json is None else encode(call.json),
            extensions={"trace": this.trace},
        )
        try:
            response = await self.transport.handle_async_request(request)
        except BaseException:
            await this.give_up()
            raise
        response.request = request
        named = response.headers
        this.endless = not {"content-length", "transfer-encoding"} & named.keys()
        sink = call.sink if response.status_code == 200 else None
        raw = bytearray()
        try:
            stream = aiter(response.stream)  # type: ignore[arg-type]  # of an asynchronous transport
            if call.status_only:
                await skip(stream)
            else:
                raw = await receive(stream, named, sink, received)
        finally:
            await response.aclose()
        date = parse_http_date(named.get("date"))
        self.server_date = date or self.server_date
        asked = named.get("retry-after")
        return Answer(
            status=response.status_code,
            body=read_body(raw, named.get("content-encoding", ""), named.get("content-type")),
            server_date=date,
            retry_after=None if asked is None else parse_retry_after(asked, date or self.now()),
        )

    def _words(self, error: BaseException) -> str:
        if isinstance(error, httpx.ProxyError):
            status = str(error)[:3]  # the rest is the proxy's text
            return "the proxy refused" + (f" ({status})" if status.isdecimal() else "")
        if self._proxy is not None and isinstance(error, httpx.ConnectError):
            return f"no connection through the proxy in {self._proxy.variable}"
        return _WORDS.get(type(error).__name__, "the connection broke")

    def _unsent_or_unsure(self, call: Call, sent: bool, text: str) -> _Failed:
        if not sent:
            return _Failed(TransientError(self.source, call.name, f"{text}; {UNSENT}"), again=True)
        return _Failed(broken(self.source, call, text), again=not call.unsure_once)


_HEADERS = httpx.Headers(
    {"User-Agent": "syncer", "Accept": "application/json", "Accept-Encoding": "gzip, deflate"}
)

#: The parsed addresses of calls.
_address = lru_cache(maxsize=64)(httpx.URL)

#: httpx failures in words. Their own text may contain the URL.
_WORDS = {
    "ConnectError": "no connection (refused, unreachable, or its certificate is not trusted)",
    "ConnectTimeout": "no connection in time",
    "PoolTimeout": "no free connection in time",
    "UnsupportedProtocol": "base_url is not an http or https address",
    "InvalidURL": "base_url is not an address",
    "ReadTimeout": "no answer in time",
    "WriteTimeout": "the request could not be sent in time",
    "LocalProtocolError": "the request cannot be written as HTTP",
}


def _head_too_large(error: BaseException | None) -> bool:
    """Whether the parser gave up on an endless head (h11 reports the status that a server would send)."""
    while error is not None:
        if getattr(error, "error_status_hint", None) == 431:
            return True
        error = error.__cause__ or error.__context__
    return False


def _extending(timer: asyncio.Timeout, first: float, last: float | None) -> Callable[[int], None]:
    """Extend `timer`, which is at `first`, as bytes come in, up to `last`."""

    def received(size: int) -> None:
        if not timer.expired():
            when = first + size / SLOWEST
            timer.reschedule(when if last is None else min(when, last))

    return received


def _clock() -> float:
    return asyncio.get_running_loop().time()
