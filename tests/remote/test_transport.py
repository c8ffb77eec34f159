"""Connections for real, on loopback: kept, bounded, lost, and what goes over them."""

from __future__ import annotations

import asyncio

import pytest

from syncer.errors import OutcomeUnknownError, TransientError
from syncer.remote.wire import Call
from tests.remote.fakes import listening, read_request, real

pytestmark = pytest.mark.anyio

WRITE = Call("/add", "POST", "/add", json={"a": 1}, write=True)
READ = Call("/get", "POST", "/get", json={"a": 1})


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

    async with listening(once) as url, real(url) as the_client:
        await the_client.call(READ)
        with pytest.raises(OutcomeUnknownError):
            await the_client.call(WRITE)
        assert served == 2


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

    async with listening(serve) as url, real(url, concurrency=3) as the_client:
        await asyncio.gather(*(the_client.call(READ) for _ in range(30)))
        assert 1 <= made <= 3


async def test_a_name_that_nobody_knows_was_never_sent_to() -> None:
    async with real("http://vendor.invalid") as the_client:
        with pytest.raises(TransientError) as caught:
            await the_client.call(WRITE)
    assert not caught.value.sent


async def test_no_cookie_is_kept() -> None:
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            heard.append(await reader.readuntil(b"\r\n\r\n"))
            await reader.readexactly(7)
            writer.write(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 2\r\n\r\n{}")
            await writer.drain()

    async with listening(serve) as url, real(url) as the_client:
        await the_client.call(READ)
        await the_client.call(READ)
    assert len(heard) == 2 and not any(b"cookie" in one.lower() for one in heard)
    assert b"user-agent: syncer" in heard[0].lower() and b"accept-encoding: gzip, deflate" in heard[0].lower()


async def test_a_body_that_the_vendor_is_slow_to_take_arrives_whole() -> None:
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

    async with listening(serve) as url, real(url) as the_client:
        call = Call("/get", "POST", "/get", json={"a": "x" * 20_000_000})
        task = asyncio.create_task(the_client.call(call))
        await came.wait()
        went.set()
        assert (await task).ok and sizes == [20_000_008]
