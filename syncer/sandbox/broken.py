"""Answers that are broken in transit: cut, slow, dropped, or not the vendor's at all.

`faults` decides whether a request has one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from syncer.sandbox import telecmi
from syncer.sandbox.answer import Answer
from syncer.sandbox.faults import Dropped, Fault

#: Where the server puts the function that closes a request's connection (`server.Protocol`).
DROP = "syncer.sandbox.drop"

_HTML = b"<!DOCTYPE html><html><head><title>%s</title></head><body><h1>%s</h1></body></html>"


def canned(fault: Fault, path: str) -> Answer | None:
    """The answer of a fault that always gives the same one; None for other faults."""
    telecmi_side = not path.startswith("/v1/")
    media = "audio/mpeg" if path == "/v2/play" else "application/json"
    match fault.kind:
        case "html200":
            return Answer(_HTML % ((b"Scheduled maintenance",) * 2), media="text/html; charset=utf-8")
        case "html502":
            return Answer(_HTML % ((b"502 Bad Gateway",) * 2), 502, media="text/html")
        case "empty_body":
            return Answer(b"", media=media)
        case "junk":
            return Answer(b"\x00\xff\xfe\x1f\x8b junk \xc3\x28", media=media)
        case "list":
            return Answer([])
        case "object":
            return Answer({})
        case "null":
            return Answer(None)
        case "code_only":
            return Answer({"code": 200} if telecmi_side else {"success": True})
        case "zero_rows":
            if not telecmi_side:
                count = {"count": 0} if path == "/v1/call/records" else {}
                return Answer({**count, "page": 1, "size": 0, "limit": 100, "results": []})
            return Answer({"code": 200, telecmi.ROWS.get(path, "contacts"): [], "count": 0})
        case "error_flag":
            return Answer({"code": 200, "success": True, "error": True, "msg": "something went wrong"})
        case "code":
            return Answer(_error(fault.code, fault.message, telecmi_side))
        case "http":
            return Answer(_error(fault.status, fault.message, telecmi_side), fault.status)
        case "too_many":
            return too_many(telecmi_side, fault.retry_after)
        case _:
            return None


def too_many(telecmi_side: bool, retry_after: float | None) -> Answer:
    """HTTP 429; Smartflo's with its documented text "false"."""
    text = "Too many requests."
    body: dict[str, Any] = (
        {"code": 429, "msg": text} if telecmi_side else {"success": "false", "message": text}
    )
    return Answer(body, 429, {} if retry_after is None else {"Retry-After": f"{retry_after:g}"})


def _error(code: int, text: str, telecmi_side: bool) -> dict[str, Any]:
    return {"code": code, "msg": text} if telecmi_side else {"success": False, "code": code, "message": text}


class Dropping(Response):
    """Closes the connection without an answer, or after a part of one."""

    def __init__(
        self,
        *,
        reset: bool = False,
        part: Iterable[bytes] = (),
        length: int = 0,
        headers: Headers = None,
        media: str = "application/json",
    ) -> None:
        self.reset = reset
        self.part = part
        super().__init__(status_code=200, headers=dict(headers or {}), media_type=media)
        self.headers["content-length"] = str(length)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the part, then close."""
        for n, piece in enumerate(self.part):
            if not n:
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await drop(scope, receive, reset=self.reset)


class Dripping(Response):
    """Sends an answer a few bytes at a time, and drops it after `at_most` seconds."""

    def __init__(self, answer: Answer, fault: Fault, headers: Headers = None) -> None:
        self.fault = fault
        self.answer = answer
        super().__init__(None, answer.status, dict(headers or {}), answer.media)
        self.headers["content-length"] = str(answer.length())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send slowly, until the client disconnects."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        left = self.answer.length()
        spent = 0.0
        for piece in self.answer.pieces():
            for at in range(0, len(piece), self.fault.bytes):
                part = piece[at : at + self.fault.bytes]
                left -= len(part)
                await send({"type": "http.response.body", "body": part, "more_body": left > 0})
                if not left:
                    return
                if spent >= self.fault.at_most or await gone_within(receive, self.fault.seconds):
                    await drop(scope, receive)
                    return
                spent += self.fault.seconds


class Hanging(Response):
    """Waits, then sends what `then` returns."""

    def __init__(self, seconds: float, then: Callable[[], Response]) -> None:
        self.seconds = seconds
        self.then = then
        super().__init__()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Wait, unless the client disconnects."""
        if await gone_within(receive, self.seconds):
            await drop(scope, receive)
        else:
            await self.then()(scope, receive, send)


Headers = Mapping[str, str] | None


async def gone_within(receive: Receive, seconds: float) -> bool:
    """Wait. Returns whether the client disconnected."""
    try:
        async with asyncio.timeout(seconds):
            while (await receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return False
    return True


async def drop(scope: Scope, receive: Receive, *, reset: bool = False) -> None:
    """Close the connection of a request. Raises `Dropped` if it has none."""
    close = scope.get("extensions", {}).get(DROP)
    if close is None:
        raise Dropped("the connection was dropped on purpose")
    close(reset)
    # The server takes an unanswered request for a crash unless it has seen the connection go.
    while (await receive())["type"] != "http.disconnect":
        pass
