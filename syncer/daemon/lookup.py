"""Answers `/lookup` (who is calling, for a PBX) and `/phonebook/...` (all contacts, for phones).

Keys and limits are in `core/access.py`, formats in `core/phonebook.py`, queries in `store/read/lookup_queries.py`.
"""

from __future__ import annotations

import asyncio
import time
from array import array
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from syncer.config import Settings
from syncer.config.targets import LookupKey
from syncer.core import access
from syncer.core.normalise import typed_e164
from syncer.core.phonebook import ALIASES, FORMATS, Format, PhonebookEntry, clean
from syncer.daemon.listener import GIVE_UP
from syncer.daemon.reader import ThreadedReader
from syncer.errors import StoreError
from syncer.store.db.read_only import Reader
from syncer.store.read import lookup_queries
from syncer.store.read.lookup_queries import CHUNK

#: Seconds for a lookup, and for each step of a phonebook. A PBX holds the call until it has the name.
QUICK, PATIENT = 2.0, 10.0

#: Phonebooks that are sent at the same time. A phone may read slowly, and each takes 8 bytes per contact meanwhile.
AT_ONCE = 16


class Lookups:
    """The pages for PBXs and phones. `settings` returns the current config, `jobs` names the job of each table."""

    def __init__(
        self,
        settings: Callable[[], Settings],
        jobs: Mapping[str, str],
        now: Callable[[], datetime],
        log: Any,
        *,
        mono: Callable[[], float] = time.monotonic,
        at_once: int = AT_ONCE,
    ) -> None:
        self._settings = settings
        self._jobs = jobs
        self._now = now
        self._log = log
        self._mono = mono
        self._at_once = at_once
        self._names = ThreadedReader("lookup")
        self._books = ThreadedReader("phonebook")
        self._recent: dict[str, tuple[float, ...]] = {}  #: by key: when it was used recently
        self._sending = 0
        self._digests: tuple[Settings, dict[str, bytes]] | None = None

    def routes(self) -> list[Route]:
        """The routes. They answer 404 unless the config has a key."""
        return [Route("/lookup", self._lookup), Route("/phonebook/{name}", self._phonebook)]

    def close(self) -> None:
        """End the threads."""
        self._names.close()
        self._books.close()

    # -- access

    def _keys(self) -> dict[str, bytes]:
        settings = self._settings()
        if self._digests is None or self._digests[0] is not settings:
            found = {
                one.name: access.digest(one.key.reveal())
                for one in settings.of(LookupKey)
                if one.key is not None
            }
            self._digests = (settings, found)
        return self._digests[1]

    def _refusal(self, request: Request) -> Response | None:
        """A response of 401, 404 or 429; None: the request is allowed."""
        keys = self._keys()
        if not keys:
            return PlainTextResponse("Not Found", 404, headers=_FRESH)
        headers = request.headers
        shown = access.presented(
            headers.get("x-api-key"), headers.get("authorization"), request.query_params.get("key")
        )
        name = access.holder(keys, shown)
        if name is None:
            return PlainTextResponse(
                "A key of [lookup.NAME] is needed: X-Api-Key, Authorization: Bearer, the password of Basic, or ?key=.\n",
                401,
                headers={**_FRESH, "WWW-Authenticate": 'Basic realm="syncer"'},  # phones wait to be asked
            )
        recent = access.admit(self._recent.get(name, ()), self._mono(), access.MOST, access.SPAN)
        if recent is None:
            text = f"More than {access.MOST} requests in a second.\n"
            return PlainTextResponse(text, 429, headers={**_FRESH, "Retry-After": "1"})
        self._recent[name] = recent
        return None

    # -- one number

    async def _lookup(self, request: Request) -> Response:
        if refusal := self._refusal(request):
            return refusal
        settings = self._settings()
        written = request.query_params.get("number", "")
        if written.startswith(" "):  # a + that was not encoded
            written = f"+{written[1:]}"
        query = partial(self._find, written, settings.regions)
        try:
            found = await self._names.ask(settings.database.path, query, QUICK)
        except StoreError as error:
            return _failing(error)
        if found is None:
            return _UNKNOWN
        if _wants_text(request):
            return PlainTextResponse(clean(found["name"]) or clean(found["company"]), headers=_FRESH)
        return JSONResponse(found, headers=_FRESH)

    def _find(self, written: str, regions: Sequence[str], conn: Reader) -> dict[str, Any] | None:
        number = typed_e164(written, regions)  # in the thread, because phonenumbers takes a while to load
        found = lookup_queries.find(conn, number) if number else None
        if found is None:
            return None
        at = lookup_queries.last_ok(conn, self._jobs.get(found.table), found.account)
        age = (
            None if at is None else max(0, round((self._now() - datetime.fromisoformat(at)).total_seconds()))
        )
        return {
            "phone_e164": number,
            "name": found.name,
            "company": found.company,
            "provider": found.provider,
            "age_s": age,
        }

    # -- all contacts

    async def _phonebook(self, request: Request) -> Response:
        if refusal := self._refusal(request):
            return refusal
        name = request.path_params["name"]
        form = FORMATS.get(ALIASES.get(name, name))
        if form is None:
            return PlainTextResponse(f"The phonebooks are {', '.join(FORMATS)}.\n", 404, headers=_FRESH)
        try:
            start, limit = _number(request, "start", 0), _number(request, "limit", 1)
        except ValueError as error:
            return PlainTextResponse(f"{error}\n", 400, headers=_FRESH)
        if self._sending >= self._at_once:
            text = "Too many phonebooks are being read; try again.\n"
            return PlainTextResponse(text, 503, headers={**_FRESH, "Retry-After": "10"})
        # One more than asked for shows whether there is a next page.
        wanted = partial(
            lookup_queries.contact_keys, start=start or 0, limit=None if limit is None else limit + 1
        )
        path = self._settings().database.path
        self._sending += 1
        try:
            keys = await self._books.ask(path, wanted, PATIENT)
        except BaseException as error:
            self._sending -= 1
            if isinstance(error, StoreError):
                return _failing(error)
            raise
        headers = dict(_FRESH)
        if limit is not None and len(keys) > limit:
            keys = keys[:limit]
            if form.refresh:
                headers["Refresh"] = f"0; url={_next_page(request, (start or 0) + limit)}"
        return _Streamed(
            self._book(path, form, keys), self._sent, media_type=form.media_type, headers=headers
        )

    def _sent(self, problem: StoreError | None) -> None:
        self._sending -= 1
        if problem is not None:
            self._log.warning("a phonebook could not be finished", problem=str(problem))

    async def _book(self, path: Path, form: Format, keys: array[int]) -> AsyncIterator[bytes]:
        yield form.head.encode()
        for at in range(0, len(keys), CHUNK):
            yield await self._books.ask(path, partial(_written, form, keys[at : at + CHUNK]), PATIENT)
        yield form.tail.encode()


class _Streamed(StreamingResponse):
    """A response that calls `over` at its end: with the error that cut it short, or None."""

    def __init__(
        self, content: AsyncIterator[bytes], over: Callable[[StoreError | None], None], **kw: Any
    ) -> None:
        super().__init__(content, **kw)
        self._over = over

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        problem = None
        try:
            await super().__call__(scope, receive, send)
        except StoreError as error:
            problem = error
            scope[GIVE_UP]()
            await asyncio.sleep(0)  # lets uvicorn notice
        finally:
            self._over(problem)


def _written(form: Format, keys: array[int], conn: Reader) -> bytes:
    rows = lookup_queries.load_contacts(conn, keys)
    return "".join(
        form.entry(PhonebookEntry(name, number, email, company)) for name, number, email, company in rows
    ).encode()


def _number(request: Request, name: str, least: int) -> int | None:
    """A whole number of the query, or None if it is missing. Raises ValueError with a sentence for anything else."""
    text = request.query_params.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and int(text) >= least):
        raise ValueError(f"{name} must be a whole number from {least} on.")
    return int(text)


def _next_page(request: Request, start: int) -> str:
    query = {**request.query_params, "start": str(start)}
    return f"{request.url.replace(query='')}?{urlencode(query)}"


def _wants_text(request: Request) -> bool:
    form = request.query_params.get("format")
    if form is not None:
        return form == "text"
    accepted = request.headers.get("accept", "").lower()
    return "text/plain" in accepted and "json" not in accepted


def _failing(error: StoreError) -> Response:
    return PlainTextResponse(f"{error}\n", 503, headers=_FRESH)


_FRESH = {"Cache-Control": "no-store"}
_UNKNOWN = Response(status_code=404, headers=_FRESH)
