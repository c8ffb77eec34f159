"""The one api: what is repeated, what each failure becomes, and that nothing hangs or leaks."""

from __future__ import annotations

import asyncio
import gzip
import json
import math
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from syncer.errors import (
    AuthError,
    BadAnswerError,
    ConfigError,
    OutcomeUnknownError,
    RejectedError,
    RemoteError,
    TransientError,
)
from syncer.remote import client
from syncer.remote.unpack import LARGEST_ANSWER
from syncer.remote.wire import Call
from tests.remote.fakes import (
    BASE,
    Clock,
    Serve,
    Vendor,
    answer,
    api,
    listening,
    page_of,
    read_request,
    real,
    saying,
    silent,
)  # fmt: skip

pytestmark = pytest.mark.anyio

SECRET = "s3cret-value"
READ = Call(
    "/list", "POST", "/list", json={"secret": SECRET}, params={"file": SECRET}, headers={"X-Key": SECRET}
)
WRITE = Call("/add", "POST", "/add", json={"secret": SECRET}, params={"file": SECRET}, write=True)
OK = answer({"code": 200})


def kinds(error: type[BaseException]) -> Iterator[type[BaseException]]:
    yield error
    for kind in error.__subclasses__():
        yield from kinds(kind)


HTTPX_ERRORS = sorted(
    {
        kind
        for root in (httpx.HTTPError, httpx.InvalidURL, httpx.CookieConflict, httpx.StreamError)
        for kind in kinds(root)
        if kind.__module__.startswith("httpx")
    },
    key=lambda kind: kind.__name__,
)
NEVER_SENT = {
    "ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError", "UnsupportedProtocol", "InvalidURL",
    "CookieConflict",
}  # fmt: skip


def made(kind: type[BaseException]) -> BaseException:
    """One of that kind, with the secret in its text and on its request."""
    request = httpx.Request("POST", f"{BASE}/list?secret={SECRET}")
    if issubclass(kind, httpx.HTTPStatusError):
        return kind(SECRET, request=request, response=httpx.Response(500, request=request))
    if issubclass(kind, httpx.RequestError):
        return kind(SECRET, request=request)
    try:
        return kind(SECRET)
    except TypeError:
        return kind()


def no_leak(error: BaseException) -> None:
    seen: BaseException | None = error
    while seen is not None:
        for text in (str(seen), repr(seen), repr(seen.args)):
            assert SECRET not in text and BASE not in text
        assert isinstance(seen, RemoteError)
        assert seen.__cause__ is None
        seen = seen.__context__
    assert SECRET not in "".join(traceback.format_exception(error))


def test_the_list_of_httpx_errors_is_whole() -> None:
    public = {
        value
        for name in dir(httpx)
        if isinstance(value := getattr(httpx, name), type) and issubclass(value, Exception)
    }
    assert public == set(HTTPX_ERRORS)


@pytest.mark.parametrize("kind", HTTPX_ERRORS, ids=lambda kind: kind.__name__)
async def test_every_httpx_error_on_a_read_is_transient(kind: type[BaseException]) -> None:
    vendor = Vendor([lambda _: made(kind)])
    with pytest.raises(TransientError) as caught:
        await api(vendor).call(READ)
    assert caught.value.sent is (kind.__name__ not in NEVER_SENT)
    assert len(vendor.requests) == 4
    no_leak(caught.value)


@pytest.mark.parametrize("kind", HTTPX_ERRORS, ids=lambda kind: kind.__name__)
async def test_every_httpx_error_on_a_write_is_unsent_or_unknown_and_never_repeated(
    kind: type[BaseException],
) -> None:
    vendor = Vendor([lambda _: made(kind)])
    expected = TransientError if kind.__name__ in NEVER_SENT else OutcomeUnknownError
    with pytest.raises(expected) as caught:
        await api(vendor).call(WRITE)
    if isinstance(caught.value, TransientError):
        assert not caught.value.sent
    assert len(vendor.requests) == 1
    no_leak(caught.value)


@pytest.mark.parametrize(
    ("response", "read_error", "write_error", "tries"),
    [
        (answer({}, 500), TransientError, OutcomeUnknownError, 4),
        (page_of("<html>", 503), TransientError, OutcomeUnknownError, 4),
        (answer({}, 408), TransientError, OutcomeUnknownError, 4),
        (answer({}, 429), TransientError, TransientError, 4),
        (answer({}, 401), AuthError, AuthError, 1),
        (page_of("<html>", 403), AuthError, AuthError, 1),
        (answer({}, 400), RejectedError, RejectedError, 1),
        (answer({}, 422), RejectedError, RejectedError, 1),
        (page_of("<html>", 404), BadAnswerError, OutcomeUnknownError, 1),
        (answer({}, 302, Location="https://elsewhere.example"), BadAnswerError, OutcomeUnknownError, 1),
        (page_of("<html>maintenance</html>"), BadAnswerError, OutcomeUnknownError, 4),
        (page_of(""), BadAnswerError, OutcomeUnknownError, 4),
        (page_of("OK"), BadAnswerError, OutcomeUnknownError, 4),
        (page_of('{"code":200,"contacts":[{"cont'), TransientError, OutcomeUnknownError, 4),
        (page_of("[" * 200_000), BadAnswerError, OutcomeUnknownError, 1),
        (page_of("x", 204), BadAnswerError, OutcomeUnknownError, 4),
    ],
)
async def test_each_status_and_body(
    response: httpx.Response, read_error: type[RemoteError], write_error: type[RemoteError], tries: int
) -> None:
    vendor = Vendor([response])
    with pytest.raises(RemoteError) as caught:
        await api(vendor).call(READ)
    assert type(caught.value) is read_error
    assert len(vendor.requests) == tries
    vendor = Vendor([response])
    with pytest.raises(RemoteError) as caught:
        await api(vendor).call(WRITE)
    assert type(caught.value) is write_error
    assert len(vendor.requests) == 1


async def test_a_redirect_names_its_status_and_is_not_followed() -> None:
    vendor = Vendor([answer({}, 301, Location="https://elsewhere.example/")])
    with pytest.raises(BadAnswerError, match="301"):
        await api(vendor).call(READ)
    assert len(vendor.requests) == 1


@pytest.mark.parametrize("failures", [1, 2, 3])
async def test_a_read_that_succeeds_at_last(failures: int) -> None:
    clock = Clock()
    vendor = Vendor([answer({}, 503)] * failures + [OK])
    the_client = api(vendor, clock)
    got = await the_client.call(READ)
    assert got.body == {"code": 200}
    assert the_client.requests == failures + 1
    assert clock.slept == [0.25, 0.5, 1.0][:failures]


async def test_retry_after_is_honoured_when_short() -> None:
    clock = Clock()
    vendor = Vendor([answer({}, 429, Retry_After="7"), answer({}, 503, Retry_After="3"), OK])
    await api(vendor, clock).call(READ)
    assert clock.slept == [7.0, 3.0]


async def test_retry_after_as_a_date_is_read_by_the_servers_clock() -> None:
    clock = Clock()
    date = {"Date": "Sat, 21 Nov 2020 09:30:00 GMT", "Retry_After": "Sat, 21 Nov 2020 09:30:05 GMT"}
    vendor = Vendor([answer({}, 429, **date), OK])
    await api(vendor, clock).call(READ)
    assert clock.slept == [5.0]


async def test_a_long_retry_after_is_left_to_the_next_run() -> None:
    clock = Clock()
    vendor = Vendor([answer({}, 429, Retry_After="120")])
    with pytest.raises(TransientError) as caught:
        await api(vendor, clock).call(READ)
    assert caught.value.retry_after == 120 and not caught.value.sent
    assert clock.slept == [] and len(vendor.requests) == 1


async def test_all_tries_of_a_read_end_within_the_limit() -> None:
    clock = Clock()
    vendor = Vendor([answer({}, 429, Retry_After="15")])
    with pytest.raises(TransientError):
        await api(vendor, clock).call(READ)
    assert sum(clock.slept) <= client.GIVE_UP_AFTER
    assert len(vendor.requests) == 3


async def test_a_request_of_a_login_that_may_have_arrived_is_not_repeated() -> None:
    once = Call("/login", "POST", "/login", json={}, unsure_once=True)
    vendor = Vendor([httpx.ReadTimeout("x")])
    with pytest.raises(TransientError):
        await api(vendor).call(once)
    assert len(vendor.requests) == 1
    vendor = Vendor([httpx.ConnectError("x"), answer({}, 503), OK])
    await api(vendor).call(once)
    assert len(vendor.requests) == 3


async def test_cancelling_passes_through_and_frees_the_slot() -> None:
    started = asyncio.Event()

    async def hang(_: httpx.Request) -> httpx.Response:
        started.set()
        await asyncio.Event().wait()
        raise AssertionError

    handlers: list[Any] = [hang]
    the_client = api(lambda request: handlers[0](request), concurrency=1)
    task = asyncio.create_task(the_client.call(READ))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    handlers[0] = lambda _: OK
    await the_client.call(READ)


async def test_too_large_an_answer_is_refused() -> None:
    vendor = Vendor([page_of(b" " * (LARGEST_ANSWER + 1))])
    with pytest.raises(BadAnswerError, match="32 MiB"):
        await api(vendor).call(READ)
    with pytest.raises(OutcomeUnknownError):
        await api(vendor).call(WRITE)
    assert len(vendor.requests) == 2


async def test_what_is_sent() -> None:
    vendor = Vendor([OK])
    the_client = api(vendor, base_url=BASE + "/proxy/")
    await the_client.call(Call("/x", "POST", "/x", json={"name": "Zoë \ud800"}))
    request = vendor.requests[0]
    assert request.url == BASE + "/proxy/x"
    assert request.content.isascii() and json.loads(request.content) == {"name": "Zoë \ud800"}
    assert request.headers["Content-Type"] == "application/json"
    assert the_client.requests == 1


async def test_headers_that_cannot_be_sent_do_not_leak() -> None:
    call = Call("/x", "GET", "/x", headers={"Authorization": f"Bearer {SECRET}é\n"})
    with pytest.raises(TransientError) as caught:
        await api(Vendor([OK])).call(call)
    no_leak(caught.value)


async def test_a_base_url_that_is_none() -> None:
    for base in ("http://[::1", "ftp://vendor.example", "https://exa mple"):
        async with asyncio.timeout(5):
            with pytest.raises(TransientError) as caught:
                await api(None, base_url=base, transport=None).call(READ)
            assert not caught.value.sent
            no_leak(caught.value)


def test_nothing_shows_its_secrets() -> None:
    assert SECRET not in repr(READ)


async def test_the_answers_date_and_headers() -> None:
    vendor = Vendor([answer([], Date="Sat, 21 Nov 2026 09:30:00 GMT"), answer([], Date="nonsense")])
    the_client = api(vendor)
    got = await the_client.call(READ)
    assert got.server_date is not None and got.server_date.isoformat() == "2026-11-21T09:30:00+00:00"
    assert (await the_client.call(READ)).server_date is None


# -- what an answer may be -------------------------------------------------------------------------------


def packed(body: bytes, encoding: str, status: int = 200) -> httpx.Response:
    return httpx.Response(status, headers={"Content-Encoding": encoding}, stream=httpx.ByteStream(body))


async def test_a_compressed_answer_is_read_within_its_bounds() -> None:
    once = gzip.compress(b'{"code":200}')
    assert (await api(lambda _: packed(once, "gzip")).call(READ)).body == {"code": 200}
    for body, encoding, says in (
        (gzip.compress(once), "gzip, gzip", "more than once"),
        (gzip.compress(bytes(LARGEST_ANSWER + 1)), "gzip", "32 MiB"),
    ):
        the_client = api(lambda _, body=body, encoding=encoding: packed(body, encoding))
        with pytest.raises(BadAnswerError, match=says):
            await the_client.call(READ)
        with pytest.raises(OutcomeUnknownError, match=says):
            await the_client.call(WRITE)
        assert the_client.requests == 2  # it would be the same the next time


async def test_a_server_that_fails_is_tried_again_however_its_page_is_compressed() -> None:
    answers = iter([packed(b"junk", "br", 503), packed(b"junk", "gzip", 502), OK])
    assert (await api(lambda _: next(answers)).call(READ)).body == {"code": 200}


# -- budget and deadlines ------------------------------------------------------------------------------


async def test_calls_keep_to_the_budget_and_waiting_is_not_the_calls_fault() -> None:
    the_client = api(Vendor([OK]), requests_per_second=50.0, timeout=0.15)
    began = time.monotonic()
    await asyncio.gather(*(the_client.call(READ) for _ in range(11)))
    # Ten gaps of 20 ms, no burst: none of the calls broke its 150 ms by waiting for 200.
    assert time.monotonic() - began >= 0.19
    assert the_client.requests == 11 and the_client.waits > 0.5


async def test_a_call_that_is_cancelled_while_it_waits_for_the_budget_is_neither_sent_nor_counted() -> None:
    the_client = api(vendor := Vendor([OK]), requests_per_second=2.5, concurrency=1)
    began = time.monotonic()
    await the_client.call(READ)
    waiting = asyncio.create_task(the_client.call(READ))
    await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert len(vendor.requests) == the_client.requests == 1
    await the_client.call(READ)
    assert len(vendor.requests) == the_client.requests == 2
    assert 0.39 <= time.monotonic() - began < 0.8, "it takes the turn of the one that was cancelled"


async def test_no_more_at_once_than_allowed() -> None:
    running = most = 0

    async def slow(_: httpx.Request) -> httpx.Response:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1
        return OK

    the_client = api(slow, concurrency=2)
    await asyncio.gather(*(the_client.call(READ) for _ in range(8)))
    assert most == 2


async def test_a_run_deadline_ends_what_waits_for_the_budget() -> None:
    the_client = api(Vendor([OK]), requests_per_second=0.1)
    await the_client.call(WRITE)
    with pytest.raises(TransientError, match="time was up") as caught:
        async with the_client.deadline(0.05):
            await the_client.call(WRITE)
    assert not caught.value.sent and the_client.requests == 1


async def test_a_run_deadline_ends_a_call_under_way_and_the_pauses_between() -> None:
    async def hang(_: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    the_client = api(hang)
    with pytest.raises(OutcomeUnknownError):
        async with the_client.deadline(0.05):
            await the_client.call(WRITE)
    with pytest.raises(TransientError, match="no complete answer within"):
        async with the_client.deadline(0.05), the_client.deadline(60):
            await the_client.call(READ)
    clock = Clock()
    with pytest.raises(TransientError, match="HTTP 503"):
        async with (failing := api(Vendor([answer({}, 503)]), clock)).deadline(0.1):
            await failing.call(READ)
    assert clock.slept == []


async def test_a_429_halves_the_rate_once_for_all_that_was_under_way() -> None:
    vendor = Vendor([answer({}, 429), answer({}, 429), OK])
    the_client = api(vendor, requests_per_second=50.0)
    await asyncio.gather(the_client.call(READ), the_client.call(READ))
    began = time.monotonic()
    await asyncio.gather(*(the_client.call(READ) for _ in range(4)))
    assert time.monotonic() - began >= 0.12  # three gaps of 40 ms, where they were 20
    assert the_client._halvings in (1, 2)


async def test_patience_is_shared_by_all_reads_of_a_run() -> None:
    vendor = Vendor([answer({}, 503)])
    the_client = api(vendor)
    the_client.patience = 0.6
    with pytest.raises(TransientError):
        await the_client.call(READ)
    tried = len(vendor.requests)
    with pytest.raises(TransientError):
        await the_client.call(READ)
    assert len(vendor.requests) == tried + 1
    the_client.patience = math.inf
    with pytest.raises(TransientError):
        await the_client.call(READ)
    assert len(vendor.requests) == tried + 5


# -- over a real socket --------------------------------------------------------------------------------


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("serve", [drip, silent])
async def test_an_answer_that_does_not_come_in_time_ends_at_the_deadline(serve: Serve) -> None:
    async with listening(serve) as url, real(url, timeout=0.15, give_up_after=0.3) as the_client:
        began = time.monotonic()
        with pytest.raises(TransientError) as caught:
            await the_client.call(READ)
        assert caught.value.sent and time.monotonic() - began < 2
        with pytest.raises(OutcomeUnknownError):
            await the_client.call(WRITE)


@pytest.mark.parametrize(
    "head",
    [
        b"Set-Cookie: " + b"x" * 20_000 + b"\r\n",
        b"X-Long: " + b"x" * 90_000 + b"\r\n",
        b"".join(b"X-Edge-%d: some value of a CDN\r\n" % n for n in range(500)),
        b"".join(b"Set-Cookie: c%d=%b\r\n" % (n, b"x" * 4000) for n in range(20)),
    ],
    ids=["20 kB", "90 kB", "500 lines", "20 cookies"],
)
async def test_a_head_of_any_size_that_a_cdn_sends(head: bytes) -> None:
    said = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" + head + b"\r\n{}"
    async with listening(saying(said)) as url, real(url) as the_client:
        assert (await the_client.call(WRITE)).body == {}


@pytest.mark.parametrize("line", [b"x", b"x: " + b"y" * 1000 + b"\r\nx"])
async def test_a_head_beyond_the_bound_is_called_that(line: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nX: ")
        while True:
            writer.write(line * 1000)
            await writer.drain()

    async with listening(serve) as url, real(url) as the_client:
        with pytest.raises(BadAnswerError, match="the head of the answer is over 100 KiB"):
            await the_client.call(READ)
        with pytest.raises(OutcomeUnknownError, match="the head of the answer is over 100 KiB"):
            await the_client.call(WRITE)
        assert the_client.requests == 2


@pytest.mark.parametrize("helps", [True, False])
async def test_an_answer_that_does_not_end_is_asked_for_with_the_connection_closed(helps: bool) -> None:
    """A keep-alive connection whose answer has neither a length nor chunks."""
    closing: list[bool] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        closing.append(b"connection: close" in head.lower())
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n{}")
        await writer.drain()
        if not (closing[-1] and helps):
            await asyncio.sleep(3600)

    async with listening(serve) as url, real(url, timeout=0.2) as the_client:
        get = Call("/list", "GET", "/list")
        if helps:
            assert (await the_client.call(get)).body == (await the_client.call(get)).body == {}
            assert closing == [False, True, True]
        else:
            with pytest.raises(TransientError, match="no complete answer within"):
                await the_client.call(get)
            assert closing == [False, True, False, True]


async def test_a_port_that_nobody_listens_on() -> None:
    async with listening(silent) as url:
        pass
    async with real(url) as the_client:
        with pytest.raises(TransientError) as caught:
            await the_client.call(WRITE)
    assert not caught.value.sent


async def test_a_tls_handshake_that_hangs_was_never_sent() -> None:
    ended = asyncio.Event()

    async def no_handshake(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65_536):
            pass
        ended.set()

    async with (
        listening(no_handshake) as url,
        real(url.replace("http", "https"), timeout=0.1) as the_client,
    ):
        with pytest.raises(TransientError) as caught:
            await the_client.call(WRITE)
        assert not caught.value.sent
        async with asyncio.timeout(5):
            await ended.wait()  # the connection was closed, not only forgotten


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"code":200',
        b"not http at all\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\njunk",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
async def test_a_connection_cut_in_the_answer(said: bytes) -> None:
    async with listening(saying(said)) as url, real(url) as the_client:
        with pytest.raises(TransientError) as caught:
            await the_client.call(READ)
        assert caught.value.sent and the_client.requests == 4
        no_leak(caught.value)
        with pytest.raises(OutcomeUnknownError):
            await the_client.call(WRITE)


async def test_loopback_never_goes_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    said = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with listening(saying(said)) as url, real(url) as the_client:
        assert (await the_client.call(READ)).body == {}
    async with real("http://vendor.example") as outside:
        with pytest.raises(TransientError) as caught:
            await outside.call(WRITE)
    assert not caught.value.sent


def test_a_ca_file_that_is_none_is_a_problem_of_the_config(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("nothing")
    for file in (tmp_path / "missing.pem", tmp_path / "empty.pem"):
        with pytest.raises(ConfigError, match=r"telecmi\.main\.ca_file"):
            api(None, transport=None, ca_file=file)
