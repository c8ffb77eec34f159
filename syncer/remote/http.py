"""The one door through which every call goes out: budget, deadlines, retry of reads, error mapping.

What an answer means is left to the adapter's judge. Proxies are taken from the environment, as
businesses need them, but never for a loopback address. Own retry loop instead of a library's: it
has to honour `Retry-After`, to know whether a request had been sent, and to log no arguments.
"""

from __future__ import annotations

import asyncio
import ipaddress
import math
import random
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, lru_cache
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from aiolimiter import AsyncLimiter

from syncer.core.retry import backoff, parse_http_date, parse_retry_after
from syncer.errors import BadAnswerError, ConfigError, RemoteError, TransientError
from syncer.remote.judge import Judge, broken, judge_status, misshapen
from syncer.remote.transport import CONNECTING, Transport
from syncer.remote.wire import Answer, Call, NotJson, decode, encode

#: Larger answers are refused: a page of 100 rows is far below.
LARGEST_ANSWER = 32 * 1024 * 1024
#: A read is tried so often at most, and all of its tries end within so many seconds.
TRIES = 4
GIVE_UP_AFTER = 40.0
#: A longer `Retry-After` is left to the next run.
LONGEST_PAUSE = 20.0
#: What one try may still take when the run's patience is used up, in seconds.
LAST_CHANCE = 3.0

#: Counts the requests of one run, and of the tasks that it starts; jobs of an account share its door.
counted: ContextVar[list[int] | None] = ContextVar("counted", default=None)

#: Told of every answer that comes in within this task and those it starts, before it is judged:
#: the source, the call's name, the answer.
heard: ContextVar[Callable[[str, str, Answer], None] | None] = ContextVar("heard", default=None)

#: The monotonic moment at which the run that this task belongs to has to end.
_deadline: ContextVar[float | None] = ContextVar("syncer_deadline", default=None)

#: How an error ends whose request certainly never left.
UNSENT = "nothing was sent"

#: Failures after which the vendor certainly saw nothing.
_NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.InvalidURL,
    httpx.CookieConflict,
)
#: All that httpx can raise, plus what of ssl and of odd header text slips through it.
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
    """One try that did not work."""

    error: RemoteError
    again: bool  #: whether a read may be tried again


class _TooLargeError(Exception):
    """The body passed `LARGEST_ANSWER`."""


class Door:
    """Every call of one account: one budget, one connection pool, one way to fail.

    `timeout` bounds a whole try, its body included, not a silence; waiting for the budget does not
    count towards it. `sleep`, `rand` and `now` are given by tests.
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
        on_request: Callable[[], None] | None = None,
        give_up_after: float = GIVE_UP_AFTER,
    ) -> None:
        self.source = source
        self.base_url = base_url.rstrip("/")
        self.timeout = timeout
        self.sleep = sleep
        self.now = now
        self.requests = 0  #: requests made so far, repeated ones too
        self.waits = 0.0  #: seconds spent waiting for the budget
        self._rand = rand
        self._on_request = on_request
        self._give_up_after = give_up_after
        self._patience: float | None = None
        self.concurrency = concurrency
        self._slots = asyncio.Semaphore(concurrency)
        #: None: no budget, for tests and benchmarks.
        self._pace = None if math.isinf(requests_per_second) else AsyncLimiter(1, 1 / requests_per_second)
        if transport is None:
            trust_env = not is_loopback(self.base_url)
            # Without TLS nothing is verified, and reading the stores takes a sixth of a second.
            bare = ca_file is None and self.base_url.lower().startswith("http:")
            tls = True if bare else tls_context(source, ca_file)
            transport = Transport(tls, connections=concurrency, trust_env=trust_env)
        #: What requests go through. No client of httpx's around it: cookies, redirects and netrc are not wanted.
        self.transport = transport

    def __repr__(self) -> str:
        return f"Door({self.source})"

    async def aclose(self) -> None:
        """Close the connections; no call may follow."""
        await self.transport.aclose()

    @asynccontextmanager
    async def deadline(self, seconds: float) -> AsyncIterator[None]:
        """All calls made inside end within `seconds`, whatever they wait for; then they fail.

        Holds for this task and those it starts; the tighter of two nested deadlines counts.
        """
        mine = _clock() + seconds
        outer = _deadline.get()
        token = _deadline.set(mine if outer is None else min(outer, mine))
        try:
            yield
        finally:
            _deadline.reset(token)

    def set_patience(self, seconds: float | None) -> None:
        """How long failing calls may hold up a run in total; None: each read its own 40 s.

        Once it is used up a call has one try of a few seconds: a path that works still does, and
        five jobs against a hanging vendor do not wait five times as long as one.
        """
        self._patience = seconds

    @property
    def patience(self) -> float | None:
        """What is left of the patience; None when there is no limit."""
        return self._patience

    async def call(self, call: Call, judge: Judge | None = None) -> Answer:
        """Make the call and give back its answer, which `judge` has found good.

        Raises RemoteError only. Reads are tried up to four times within 40 s; writes go out once:
        TransientError means that nothing was sent or it was turned away, OutcomeUnknownError that
        it may have been applied.
        """
        judge = judge or self._by_status
        spent = 0.0
        tries = 1 if call.write or (self._patience is not None and self._patience <= 0) else TRIES
        attempt = 1
        while True:
            await self._wait_for_turn(call)
            began = _clock()
            try:
                got = await self._attempt(call, judge, self._limit(call, spent))
            finally:
                self._slots.release()
            if isinstance(got, Answer):
                if self._patience is not None:
                    self._patience += spent  # it came in the end: that was no failing upstream
                return got
            pause = self._pause(attempt, got.error)
            lost = _clock() - began
            last = not got.again or attempt >= tries or pause is None
            if self._patience is not None:
                self._patience -= lost if last or pause is None else lost + pause
                last = last or self._patience <= 0
            if last or pause is None or spent + lost + pause >= self._give_up_after:
                raise got.error from None
            spent += lost + pause
            await self._pause_for(call, pause)
            attempt += 1

    def _limit(self, call: Call, spent: float) -> float:
        limit = self.timeout if call.write else min(self.timeout, self._give_up_after - spent)
        return limit if self._patience is None else min(limit, max(self._patience, LAST_CHANCE))

    def _pause(self, attempt: int, error: RemoteError) -> float | None:
        """Seconds until the next try, or None when the vendor asks for more than a run waits."""
        pause = backoff(attempt, self._rand())
        asked = error.retry_after if isinstance(error, TransientError) else None
        if asked is None:
            return pause
        return None if asked > LONGEST_PAUSE else max(pause, asked)

    async def _pause_for(self, call: Call, pause: float) -> None:
        end = _deadline.get()
        if end is not None and _clock() + pause >= end:
            raise self._out_of_time(call)
        await self.sleep(pause)

    async def _wait_for_turn(self, call: Call) -> None:
        """Take a slot (which the caller gives back) and a place in the budget."""
        if self._pace is None and not self._slots.locked():
            await self._slots.acquire()  # at once: there is nothing to wait for
            return
        began = _clock()
        held = ready = False
        try:
            async with asyncio.timeout_at(_deadline.get()):
                await self._slots.acquire()
                held = True
                if self._pace is not None:
                    await self._pace.acquire()
                ready = True
        except TimeoutError:
            ready = False
        finally:
            self.waits += _clock() - began
            if held and not ready:
                self._slots.release()
        if not ready:
            raise self._out_of_time(call)

    def _out_of_time(self, call: Call) -> TransientError:
        return TransientError(self.source, call.name, "the run's time was up before this could be sent")

    async def _attempt(self, call: Call, judge: Judge, limit: float) -> Answer | _Failed:
        """One try. Failures are returned, not raised in the handler, so that no exception of
        httpx, which knows the URL, hangs on ours as its context."""
        end = _deadline.get()
        if end is not None:
            limit = min(limit, end - _clock())
        if limit <= 0:
            return _Failed(self._out_of_time(call), again=False)
        self.requests += 1
        counter = counted.get()
        if counter is not None:
            counter[0] += 1
        if self._on_request is not None:
            self._on_request()
        connecting = False

        def tell(waits: bool) -> None:
            nonlocal connecting
            connecting = waits

        try:
            async with asyncio.timeout(limit):
                answer = await self._exchange(call, {CONNECTING: tell})
        except _TooLargeError:
            text = f"an answer of more than {LARGEST_ANSWER >> 20} MiB"
            return _Failed(misshapen(self.source, call, text), again=False)
        except TimeoutError:
            return self._unsent_or_unsure(call, not connecting, f"no whole answer within {limit:.3g} s")
        except _TRANSPORT as caught:
            sent = not isinstance(caught, _NEVER_SENT) and not connecting
            text = _WORDS.get(type(caught).__name__, "the connection broke")
            return self._unsent_or_unsure(call, sent, text)
        listener = heard.get()
        if listener is not None:
            listener(self.source, call.name, answer)
        try:
            judge(call, answer)
        except RemoteError as error:
            again = isinstance(error, TransientError) or (
                isinstance(error, BadAnswerError) and isinstance(answer.body, NotJson) and answer.ok
            )
            return _Failed(error, again)
        return answer

    async def _exchange(self, call: Call, extensions: dict[str, object]) -> Answer:
        headers = _HEADERS if call.json is None else _JSON_HEADERS
        if call.headers:
            headers = httpx.Headers(headers)
            headers.update(call.headers)
        # As a stream, since httpx would write all headers anew to add two that the connection adds as well.
        request = httpx.Request(
            call.method,
            _address(self.base_url + call.path),
            params=call.params,
            headers=headers,
            stream=httpx.ByteStream(b"" if call.json is None else encode(call.json)),
            extensions=extensions,
        )
        request.read()
        response = await self.transport.handle_async_request(request)
        response.request = request
        body = bytearray()
        try:
            named = {name.lower(): value for name, value in response.headers.raw}
            # Most answers are not compressed, and what unpacks them takes its time with these as well.
            unpack = b"content-encoding" in named or response.is_stream_consumed
            async for chunk in response.aiter_bytes() if unpack else response.stream:  # type: ignore[union-attr]
                body += chunk
                if len(body) > LARGEST_ANSWER:
                    raise _TooLargeError
        finally:
            await response.aclose()
        date = parse_http_date(_text(named.get(b"date")))
        asked = _text(named.get(b"retry-after"))
        return Answer(
            status=response.status_code,
            body=decode(bytes(body), _text(named.get(b"content-type"))),
            server_date=date,
            retry_after=None if asked is None else parse_retry_after(asked, date or self.now()),
        )

    def _by_status(self, call: Call, answer: Answer) -> None:
        judge_status(self.source, call, answer)

    def _unsent_or_unsure(self, call: Call, sent: bool, text: str) -> _Failed:
        if not sent:
            return _Failed(TransientError(self.source, call.name, f"{text}; {UNSENT}"), again=True)
        return _Failed(broken(self.source, call, text), again=not call.unsure_once)


_HEADERS = httpx.Headers(
    {"User-Agent": "syncer", "Accept": "application/json", "Accept-Encoding": "gzip, deflate"}
)
_JSON_HEADERS = httpx.Headers([*_HEADERS.items(), ("Content-Type", "application/json")])

#: The addresses of calls, read once.
_address = lru_cache(maxsize=64)(httpx.URL)

#: What a failure of httpx is called for people; its own text may hold the URL.
_WORDS = {
    "ConnectError": "no connection (refused, unreachable, or its certificate is not trusted)",
    "ConnectTimeout": "no connection in time",
    "PoolTimeout": "no free connection in time",
    "ProxyError": "the proxy refused",
    "UnsupportedProtocol": "base_url is no http or https address",
    "InvalidURL": "base_url is no address",
    "ReadTimeout": "no answer in time",
    "WriteTimeout": "the request could not be sent in time",
    "DecodingError": "the answer's compression is damaged",
}


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")


def _clock() -> float:
    return asyncio.get_running_loop().time()


def is_loopback(url: str) -> bool:
    """Whether it leads to this machine."""
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def tls_context(source: str, ca_file: Path | None) -> ssl.SSLContext:
    """Verification on, TLS 1.2 at least; the system's store, httpx's own, and the given file."""
    if ca_file is None:
        return _usual_tls()
    context = _new_tls()
    try:
        context.load_verify_locations(cafile=ca_file)
    except OSError:
        problem = f"{source}.ca_file: no readable PEM certificates there; name the file of your CA"
    else:
        return context
    raise ConfigError([problem])


def _new_tls() -> ssl.SSLContext:
    context = httpx.create_ssl_context()
    context.load_default_certs()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


@cache
def _usual_tls() -> ssl.SSLContext:
    return _new_tls()
