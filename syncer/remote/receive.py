"""Reads the body of an answer: into memory, or, where the caller has a sink for it, piece by piece into that.

What the body means is left to `wire` and to the judge of the call.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import httpx

from syncer.remote.unpack import LARGEST_ANSWER
from syncer.remote.wire import Sink

#: A body that a sink does not take is an error of the vendor's, which is short, or something that nobody needs.
LARGEST_REFUSED = 256 * 1024


async def receive(
    stream: AsyncIterator[bytes], headers: httpx.Headers, sink: Sink | None, received: Callable[[int], None]
) -> bytearray:
    """All of a body that no sink takes; of one that is taken, nothing.

    `received` is told how many bytes the sink has. Raises httpx.RemoteProtocolError where these are not as many as
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
