"""Reads the body of an answer: into memory, piece by piece into a sink of the caller's, or not at all.

What the body means is left to `wire` and to the judge of the call.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import httpx

from syncer.remote.unpack import LARGEST_ANSWER
from syncer.remote.wire import Sink

#: A body that a sink does not take is an error of the vendor's, which is short, or something that nobody needs.
LARGEST_REFUSED = 256 * 1024

#: A body that nobody needs is read only to keep the connection: up to so many bytes, for so many seconds.
LARGEST_UNREAD, UNREAD_WITHIN = 64 * 1024, 1.0


async def skip(stream: AsyncIterator[bytes]) -> None:
    """Read a body that nobody needs, as long as that is cheaper than a new connection."""
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
    """All of a body that no sink takes; of one that is taken, nothing.

    `received` is called with the number of bytes in the sink. Raises httpx.RemoteProtocolError where these are not as many as
    the answer announced.
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
