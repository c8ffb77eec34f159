"""The ASGI application: both vendors' paths, and the control path.

`telecmi` and `smartflo` answer calls, `broken` makes broken answers, `control` has the control path, and `server`
does the networking.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Mount, Route

from syncer.sandbox import smartflo, telecmi
from syncer.sandbox.answer import Answer, Refused
from syncer.sandbox.broken import Dripping, Dropping, Hanging, canned, too_many
from syncer.sandbox.control import control_routes
from syncer.sandbox.faults import Fault
from syncer.sandbox.sound import Sound
from syncer.sandbox.state import Request as Entry
from syncer.sandbox.world import World

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
_CALLS = frozenset(telecmi.CALLS) | frozenset(smartflo.CALLS)


def create_app(world: World) -> Starlette:
    """Both vendors over `world`, for a server or in process (`httpx.ASGITransport`)."""

    async def vendor(request: Request) -> Response:
        return await _Exchange(world, request, await request.body()).response()

    return Starlette(
        routes=[
            Mount("/_sandbox", routes=control_routes(world)),
            Route("/{path:path}", vendor, methods=_METHODS),
        ]
    )


class _Exchange:
    """One request to a vendor, and its response."""

    def __init__(self, world: World, request: Request, raw: bytes) -> None:
        self.world = world
        self.method = request.method
        self.path = request.url.path
        self.telecmi_side = not self.path.startswith("/v1/")
        self.authorization = request.headers.get("authorization")
        self.text = raw.decode("utf-8", "replace") + request.url.query
        self.params: Any = None
        query = dict(request.query_params)
        body: Any = None
        if self.method == "POST":
            try:
                body = self.params = json.loads(raw)
            except ValueError:
                body = None
        else:
            self.params = query
        scheme = (self.authorization or "").partition(" ")[0] if " " in (self.authorization or "") else None
        self.entry: Entry = world.open_request(
            self.method, self.path, body, query or None, scheme or ("raw" if self.authorization else None)
        )

    async def response(self) -> Response:
        """The response, with the effect of a fault if one applies."""
        settings = self.world.settings
        delay = settings.telecmi.delay_s if self.telecmi_side else settings.smartflo.delay_s
        if delay:
            await asyncio.sleep(delay)
        fault = self.world.faults.take(self.method, self.path, self._page(), self.text)
        return self._sent(self._answer()) if fault is None else self._faulty(fault)

    def _page(self) -> int:
        if not isinstance(self.params, dict):
            return 0
        return telecmi.page_of(self.params) if self.telecmi_side else smartflo.page_of(self.params)

    def _answer(self) -> Answer:
        """The answer without faults. Applies a write."""
        with self.world.lock:
            if (self.method, self.path) not in _CALLS:
                allowed = [method for method, path in sorted(_CALLS) if path == self.path]
                if allowed:
                    return self._http_error(405, "Method not allowed", {"Allow": ", ".join(allowed)})
                return self._http_error(404, "Not found", {})
            settings = self.world.settings
            account = "smartflo"
            rate: tuple[float | None, float | None]
            rate = settings.smartflo.rate_limit_per_s, settings.smartflo.retry_after_s
            if self.telecmi_side:
                rate = settings.telecmi.rate_limit_per_s, settings.telecmi.retry_after_s
                params = self.params if isinstance(self.params, dict) else {}
                account = f"telecmi {telecmi.account(self.world, params)}"
            if self.world.over_rate(account, rate[0]):
                return too_many(self.telecmi_side, rate[1])
            if not self.telecmi_side:
                params = self.params if isinstance(self.params, dict) else {}
                return smartflo.call(self.world, self.method, self.path, params, self.authorization)
            return self._telecmi_answer()

    def _telecmi_answer(self) -> Answer:
        try:
            if not isinstance(self.params, dict):
                raise Refused(400, "the body must be a JSON object")
            made = telecmi.CALLS[self.method, self.path](self.world, self.params)
        except Refused as refused:
            return telecmi.refusal(self.world, refused)
        if isinstance(made, Answer):
            return made
        if self.world.settings.telecmi.code_as_string:
            made["code"] = str(made["code"])
        return Answer(made)

    def _http_error(self, status: int, text: str, headers: dict[str, str]) -> Answer:
        if self.telecmi_side:
            return Answer({"code": status, "msg": text}, status, headers)
        return Answer({"success": False, "message": text}, status, headers)

    def _faulty(self, fault: Fault) -> Response:
        """The response under a fault. The rule says whether a write is applied."""
        self.entry.fault = fault.kind
        first = fault.applied == "after" or fault.kind == "drop_after"
        writes = self.path in telecmi.WRITES
        match fault.kind:
            case "expire_token":
                self.world.expire_tokens("telecmi" if self.telecmi_side else "smartflo")
                return self._sent(self._answer())
            case "bad_token":
                if first:
                    self._answer()
                return self._sent(self._bad_credential())
            case "drop" | "drop_after":
                if first:
                    self._answer()
                return self._dropped(Dropping(reset=fault.reset))
            case "half_json" | "half_body" | "drip":
                whole = (
                    self._answer() if first or not writes else Answer({"code": 200, "msg": "Success (not)"})
                )
                return self._partly(fault, whole)
            case "hang":
                return Hanging(min(fault.seconds, fault.at_most), self._after_silence(first, writes))
            case _:
                if first:
                    self._answer()
                answer = canned(fault, self.path)
                assert answer is not None, fault.kind
                return self._sent(answer)

    def _bad_credential(self) -> Answer:
        if not self.telecmi_side:
            return smartflo.bad_credential(self.world, self.path)
        return telecmi.refusal(self.world, telecmi.bad_credential(self.path))

    def _partly(self, fault: Fault, whole: Answer) -> Response:
        length = whole.length()
        headers = {**whole.headers, **self._date()}
        match fault.kind:
            case "half_json":
                return self._sent(whole, length // 2)
            case "half_body":
                part = whole.first(max(1, length // 2))
                return self._dropped(Dropping(part=part, length=length, headers=headers, media=whole.media))
            case _:
                self._close(whole.status)
                return Dripping(whole, fault, headers)

    def _after_silence(self, first: bool, writes: bool) -> Callable[[], Response]:
        if first:
            answer = self._answer()
            return lambda: self._sent(answer)
        if writes:
            return lambda: self._dropped(Dropping())
        return lambda: self._sent(self._answer())

    def _sent(self, answer: Answer, size: int | None = None) -> Response:
        """The answer, or its first `size` bytes."""
        code = answer.body.get("code") if isinstance(answer.body, dict) else None
        self._close(answer.status, code if size is None else None)
        headers = {**answer.headers, **self._date()}
        if size is None and not isinstance(answer.body, Sound):
            return Response(answer.rendered(), answer.status, headers, answer.media)
        size = answer.length() if size is None else size
        headers["Content-Length"] = str(size)
        return StreamingResponse(answer.first(size), answer.status, headers, answer.media)

    def _dropped(self, response: Response) -> Response:
        self._close(None)
        return response

    def _close(self, status: int | None, code: Any = None) -> None:
        self.entry.status, self.entry.code = status, code
        self.entry.done_at = self.world.now()

    def _date(self) -> dict[str, str]:
        settings = self.world.settings
        ahead = settings.telecmi.date_header if self.telecmi_side else settings.smartflo.date_header
        if ahead is None:
            return {}
        return {"Date": format_datetime(datetime.fromtimestamp(self.world.now() + ahead, UTC), usegmt=True)}
