"""aiohttp's failures under httpx's names: none of them may say "never sent" of what may have been."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import aiohttp
import httpx
import pytest

from syncer.errors import OutcomeUnknownError, TransientError
from syncer.remote import transport
from syncer.remote.wire import Call
from tests.remote.fakes import door, listening, read_request

pytestmark = pytest.mark.anyio

WRITE = Call("/add", "POST", "/add", json={"a": 1}, write=True)
READ = Call("/get", "POST", "/get", json={"a": 1})

#: What httpx raises before anything went out.
NEVER_SENT = (
    httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError, httpx.UnsupportedProtocol,
)  # fmt: skip

#: What aiohttp raises before it has a connection, or when the address is none.
BEFORE_THE_CONNECTION = (
    aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError,
    aiohttp.ClientHttpProxyError,
)  # fmt: skip


def kinds(error: type[BaseException]) -> Iterator[type[BaseException]]:
    yield error
    for kind in error.__subclasses__():
        yield from kinds(kind)


@pytest.mark.parametrize("kind", sorted(set(kinds(aiohttp.ClientError)), key=lambda kind: kind.__name__))
def test_each_of_aiohttps_errors_has_a_name(kind: Any) -> None:
    error = kind.__new__(kind)
    with pytest.raises(httpx.TransportError) as caught, transport._named():
        raise error
    assert isinstance(caught.value, NEVER_SENT) is issubclass(kind, BEFORE_THE_CONNECTION), kind
    assert str(caught.value) == "the connection failed"  # aiohttp's own text may quote the address


def test_a_deadline_and_an_end_pass_through() -> None:
    for error in (TimeoutError, asyncio.CancelledError):
        with pytest.raises(error), transport._named():
            raise error


async def test_a_kept_connection_that_the_vendor_closes_under_a_write_is_no_unsent_one() -> None:
    """The second request goes out on the first one's connection and is read; then the line goes dead."""
    served = 0

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        await read_request(reader)
        served += 1
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        await writer.drain()
        await read_request(reader)
        served += 1  # and no answer: the connection ends here

    async with listening(once) as url:
        the_door = door(None, base_url=url, transport=None)
        await the_door.call(READ)
        with pytest.raises(OutcomeUnknownError):
            await the_door.call(WRITE)
        assert served == 2
        await the_door.aclose()


async def test_connections_are_kept_and_not_more_than_allowed() -> None:
    made = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal made
        made += 1
        while True:
            try:
                await read_request(reader)
            except (asyncio.IncompleteReadError, ConnectionError):
                return
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            await writer.drain()

    async with listening(serve) as url:
        the_door = door(None, base_url=url, transport=None, concurrency=3)
        await asyncio.gather(*(the_door.call(READ) for _ in range(30)))
        assert 1 <= made <= 3
        await the_door.aclose()


async def test_a_name_that_nobody_knows_was_never_sent_to() -> None:
    the_door = door(None, base_url="http://vendor.invalid", transport=None)
    with pytest.raises(TransientError) as caught:
        await the_door.call(WRITE)
    assert not caught.value.sent
    await the_door.aclose()


async def test_no_cookie_is_kept() -> None:
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            heard.append(await reader.readuntil(b"\r\n\r\n"))
            await reader.readexactly(7)
            writer.write(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 2\r\n\r\n{}")
            await writer.drain()

    async with listening(serve) as url:
        the_door = door(None, base_url=url, transport=None)
        await the_door.call(READ)
        await the_door.call(READ)
        await the_door.aclose()
    assert len(heard) == 2 and not any(b"cookie" in one.lower() for one in heard)
    assert b"user-agent: syncer" in heard[0].lower() and b"accept-encoding: gzip, deflate" in heard[0].lower()


# -- a request is written at once


async def test_what_needs_no_waiting_is_done_before_anybody_else_has_a_turn() -> None:
    done = []

    async def work() -> None:
        done.append("all")

    rest = transport.begun(work())
    assert done == ["all"]
    await rest


@pytest.mark.parametrize("fails", [False, True])
async def test_what_has_to_be_waited_for_is_waited_for_later(fails: bool) -> None:
    done: list[str] = []
    gates = [asyncio.get_running_loop().create_future() for _ in range(2)]

    async def work() -> None:
        for gate in gates:
            done.append("began")
            try:
                await gate
            except OSError:
                done.append("failed")
        done.append("ended")

    task = asyncio.create_task(transport.begun(work()))
    assert done == ["began"]
    await asyncio.sleep(0)
    if fails:
        gates[0].set_exception(OSError())
    else:
        gates[0].set_result(None)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    gates[1].set_result(None)
    await task
    assert done == ["began", *(["failed"] if fails else []), "began", "ended"]


async def test_work_that_has_begun_hears_of_its_end() -> None:
    heard: list[str] = []

    async def work() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            heard.append("cancelled")
            raise

    task = asyncio.create_task(transport.begun(work()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert heard == ["cancelled"]


async def test_a_body_that_the_vendor_is_slow_to_take_arrives_whole() -> None:
    """Larger than what a socket takes at once, so that its rest is written in a task."""
    came, went = asyncio.Event(), asyncio.Event()
    sizes: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        came.set()
        await went.wait()
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        sizes.append(len(await reader.readexactly(length)))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        await writer.drain()

    async with listening(serve) as url:
        the_door = door(None, base_url=url, transport=None)
        call = Call("/get", "POST", "/get", json={"a": "x" * 20_000_000})
        task = asyncio.create_task(the_door.call(call))
        await came.wait()
        went.set()
        assert (await task).ok and sizes == [20_000_008]
        await the_door.aclose()
