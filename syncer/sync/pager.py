"""Reads one listing: fetches page after page and passes the rows to a reconciler of the store.

Pages are fetched ahead, so neither the vendor nor the database waits for the other, and processed in order.
`core/listing.py` decides what they prove.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

from syncer.core.limits import Extent, endless, low_disk
from syncer.core.listing import Certificate, Walk
from syncer.core.model import Page, Position, Row, SetAside
from syncer.errors import AuthError, BadAnswerError, LowDiskError, RejectedError, RemoteError
from syncer.remote.rows import Announce
from syncer.store.db.connection import Connection
from syncer.store.write import runs
from syncer.store.write.forget import numbers_in
from syncer.store.write.reconciler import BLOCK, Reconciler
from syncer.sync.run import Run

#: Fetches a page. Raises RemoteError. For a list with cursors, it announces the next one before it parses the rows.
Fetch: TypeAlias = Callable[[Position, Announce], Awaitable[Page]]

#: In this many turns of the event loop, httpx has sent the head and the body of a request. It takes five over an open
#: connection.
_TURNS = 8

#: Rows that differ are written when there are `BLOCK` of them, or when the first has waited this many seconds.
LONGEST_WAIT = 10.0


class _Prefetch:
    """The requests of one walk that are in flight, by position."""

    def __init__(self, walk: Walk, fetch: Fetch, depth: int) -> None:
        self._walk = walk
        self._fetch = fetch
        self._depth = depth
        self._tasks: dict[Position, asyncio.Future[Page]] = {}

    async def page(self, position: Position) -> Page:
        """The next page. Raises what `fetch` raises."""
        self._start(position)
        return await self._tasks.pop(position)

    def ask_ahead(self) -> None:
        """Request the next page and, of a numbered list, further pages up to its total."""
        position = self._walk.next_position()
        if isinstance(position, bool):
            return
        self._start(position)
        while isinstance(position, int) and len(self._tasks) < self._depth:
            position += 1
            if not self._walk.expects(position):
                break
            self._start(position)

    async def _announce(self, cursor: str) -> None:
        """Request the page at the next cursor, and return when it is sent. At most one is requested ahead."""
        if not self._tasks and self._walk.expects(cursor):
            self._start(cursor)
            for _ in range(_TURNS):
                await asyncio.sleep(0)

    def _start(self, position: Position) -> None:
        if position not in self._tasks:
            self._tasks[position] = asyncio.ensure_future(self._fetch(position, self._announce))

    async def cancel(self) -> None:
        """Cancel the requests in flight, because the walk has ended."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        self._tasks.clear()


class _Sink:
    """Compares rows with the mirror as they come, and writes those that differ in short transactions."""

    def __init__(self, run: Run, reconciler: Reconciler) -> None:
        self._run = run
        self._store = run.env.store
        self._reconciler = reconciler
        self._rows: list[Row] = []
        self._since = 0.0

    async def take(self, rows: Sequence[Row]) -> None:
        """Add rows. They are written before `flush` returns."""
        self._rows += rows
        if len(self._rows) >= BLOCK:
            await self._compare()
            pending = self._reconciler.pending
            while len(pending) >= BLOCK or (pending and time.monotonic() - self._since > LONGEST_WAIT):
                await self._write()

    async def _compare(self) -> None:
        rows, self._rows = self._rows, []
        if not self._reconciler.pending:
            self._since = time.monotonic()
        await self._store.read(self._reconciler.compare, rows)

    async def flush(self) -> None:
        """Write the remaining rows."""
        await self._compare()
        while self._reconciler.pending:
            await self._write()

    async def _write(self) -> None:
        require_room(self._run)
        await self._store.apply(self._reconciler.write)


def require_room(run: Run) -> None:
    """Raise LowDiskError if the database's disk has less free space than the reserve."""
    total, free = run.env.disk(run.env.store.db.path.parent)
    if reason := low_disk(free, total):
        raise LowDiskError(reason)


async def read_listing(
    run: Run, reconciler: Reconciler, walk: Walk, fetch: Fetch, *, label: str = ""
) -> tuple[Certificate, RemoteError | None]:
    """Read a listing to its end into the mirror, without removing or blanking anything yet.

    Returns its certificate, and the error that ended it early, if any. Rows that came before the error are
    written. Refused credentials are raised, because they say nothing about the listing.
    """
    first = walk.next_position()
    assert not isinstance(first, bool)
    # Twice as many as may be in flight, so one is ready when a slot becomes free.
    pages = _Prefetch(walk, fetch, 2 * run.client().concurrency)
    sink = _Sink(run, reconciler)
    try:
        error = await _read_pages(run, reconciler, walk, pages, sink, label or run.job)
    finally:
        await pages.cancel()
    await sink.flush()
    if isinstance(error, AuthError):
        raise error
    if error is None and walk.wants_reread:
        try:
            walk.close(await pages.page(first))
        except AuthError:
            raise
        except RemoteError:
            run.log.info("the first page could not be read again")
    is_full = error is None and walk.certificate(reconciler.distinct).complete
    if reconciler.copies:
        await run.env.store.read(reconciler.combine_copies, is_full=is_full)
        await sink.flush()
    return walk.certificate(reconciler.distinct), error


async def _read_pages(
    run: Run, reconciler: Reconciler, walk: Walk, pages: _Prefetch, sink: _Sink, label: str
) -> RemoteError | None:
    size, known = 0, None  #: rows in the mirror before: counted only when needed
    while (position := walk.next_position()) is not False:
        assert position is not True
        try:
            page = await pages.page(position)
        except RemoteError as error:
            if isinstance(error, RejectedError) and walk.past_the_end():
                walk.refuse_past_end()
                return None
            walk.fail(f"{error.text} (after {walk.rows} rows)")
            return error
        size += page.weight
        extent = Extent(walk.rows + page.size, size, page.weight, known or 0, walk.counted)
        if endless(extent) and known is None:
            known = await run.env.store.read(reconciler.live_count) - reconciler.added
            extent = replace(extent, known=known)
        if reason := endless(extent):
            walk.fail(reason)
            return BadAnswerError(run.client().source, label, reason)
        walk.feed(page)
        pages.ask_ahead()
        await asyncio.sleep(0)  # lets the next request start before this page is compared
        await _set_aside(run, page)
        _notice_doubts(run, label, page)
        await sink.take(page.rows)
        run.env.progress(label, run.account, walk.rows, walk.total)
    return None


def _notice_doubts(run: Run, label: str, page: Page) -> None:
    """Report doubtful values of rows, once per job."""
    said = run.state.notes.setdefault("doubts", [])
    for doubt in sorted({row.doubt for row in page.rows} - {"", *said}):
        said.append(doubt)
        run.notice(f"{label}: {doubt}")


async def _set_aside(run: Run, page: Page) -> None:
    """Store the rows that could not be parsed."""
    env = run.env
    regions = env.settings.regions
    if not page.set_aside:
        return
    require_room(run)

    def save(conn: Connection) -> tuple[list[SetAside], int]:
        kept = [row for row in page.set_aside if not env.forgotten.among(conn, numbers_in(row.raw, regions))]
        return kept, runs.save_set_aside(conn, run.job, run.account, kept, env.stamp())

    kept, new = await env.store.write(save)
    run.set_aside.update(runs.digest_of(row) for row in kept)
    if new:
        reasons = sorted({row.reason for row in kept})
        run.notice(f"{new} rows could not be understood and were set aside: {'; '.join(reasons[:3])}")
