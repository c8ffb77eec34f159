"""Reads the body of an answer: into memory, piece by piece into the caller's sink, or not at all.

`wire` and the check of the call decide what the body means.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import httpx

from syncer.remote.unpack import LARGEST_ANSWER
from syncer.remote.wire import Sink

#: The largest body that is read if the sink does not take it. An error of the vendor is shorter.
LARGEST_REFUSED = 256 * 1024

#: An unneeded body is read only to keep the connection: up to this many bytes and seconds.
LARGEST_UNREAD, UNREAD_WITHIN = 64 * 1024, 1.0


async def skip(stream: AsyncIterator[bytes]) -> None:
    """Read an unneeded body while that is cheaper than a new connection."""
    size = 0
    with contextlib.suppress(TimeoutError, httpx.HTTPError, httpx.StreamError, OSError):
        async with asyncio.timeout(UNREAD_WITHIN):
            async for chunk in stream:
                size += len(chunk)
                if size > LARGEST_UNREAD:
                    break


async def receive(
    stream: AsyncIterator[bytes], headers: httpx.Headers, sink: Sink | None, received: Callable[[int], None]
) -> bytearray:
    """The body, or nothing if the sink takes it.

    `received` is called with the number of bytes in the sink. Raises httpx.RemoteProtocolError if the answer announced
    another number of them.
    """
    raw = bytearray()
    measured = bool({"content-length", "transfer-encoding"} & headers.keys())
    size, taken = 0, False
    if headers.get("content-encoding", "identity").lower() != "identity":
        sink, limit = None, LARGEST_ANSWER
    else:
        limit = LARGEST_ANSWER if sink is None else LARGEST_REFUSED
    async for chunk in stream:
        if not taken:
            raw += chunk
            if sink is None or len(raw) < sink.head:
                if len(raw) > limit:
                    break
                continue
            if not sink.takes(bytes(raw[: sink.head]), measured):
                sink = None
                continue
            taken, chunk = True, bytes(raw)
            raw.clear()
        assert sink is not None
        sink.write(chunk)
        size += len(chunk)
        received(size)
    announced = headers.get("content-length", "")
    if taken and announced.isdecimal() and int(announced) != size:
        raise httpx.RemoteProtocolError("cut")
    return raw
