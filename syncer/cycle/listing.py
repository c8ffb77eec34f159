"""Walks one list call: asks for page after page, hands them on, brings the certificate.

Requests go out ahead of the pages' turn, so that neither the vendor nor the database waits for the
other; pages are judged in their order all the same. What a page proves is decided in
`core/listing.py`; what becomes of the rows is the caller's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from syncer.core.listing import Walk
from syncer.core.model import Page, Position, Row
from syncer.cycle.blocks import Blocks
from syncer.cycle.run import Run
from syncer.errors import AuthError, BadAnswerError, RejectedError, RemoteError
from syncer.store import runs
from syncer.store.forget import mentions

T = TypeVar("T")

#: Rows that are compared with the mirror at once, at least.
BATCH = 400

#: Most rows that may have come and wait for their turn: a listing may come faster than it is stored.
MOST_WAITING = 4 * BATCH

#: Most pages by cursor that may be ahead of their turn: nothing promises that there are so many.
MOST_BY_CURSOR = 8

#: So long pages are read without a look at the network, in seconds: about the time that a request takes of us.
TURN = 0.001

Fetch = Callable[[Position], Awaitable[Page]]


class _Ahead:
    """The requests of one walk that are under way, and the pages that came before their turn."""

    def __init__(self, walk: Walk, fetch: Fetch, depth: int) -> None:
        self._walk = walk
        self._fetch = fetch
        self._depth = max(1, depth)
        self._pages: dict[Position, asyncio.Future[Page]] = {}
        self._lines: set[asyncio.Task[None]] = set()
        self._flying = 0
        self._waiting = 0  #: rows of pages that came before their turn
        self._newest = 0  #: the last numbered page that was asked for
        self._turn = 0.0  #: when the network last had its turn
        self._closed = False

    async def page(self, position: Position) -> Page:
        """The page whose turn it is; what `fetch` raised, if it failed."""
        self._start(position)
        place = self._pages[position]
        try:
            give_way = not place.done() or _clock() - self._turn > TURN
            page = await place
            if give_way:
                await asyncio.sleep(0)  # the request that follows goes out before this page is read
                self._turn = _clock()
        finally:
            del self._pages[position]
        self._waiting -= page.size
        return page

    def fill(self, position: Position | bool) -> None:
        """Ask for the next page, which the walk has found to be due, and for those it expects after it."""
        if position is False or position is True:
            return
        self._start(position)
        self._run_on()

    async def close(self) -> None:
        """Let go of what is under way: the walk has ended, and no page of it is wanted any more."""
        self._closed = True
        for line in self._lines:
            line.cancel()
        await asyncio.gather(*self._lines, return_exceptions=True)
        for page in self._pages.values():
            if page.done() and not page.cancelled():
                page.exception()  # looked at: it is nobody's any more
        self._pages.clear()

    def _start(self, position: Position) -> None:
        if position in self._pages:
            return
        line = asyncio.create_task(self._line(position, self._claim(position)))
        self._lines.add(line)
        line.add_done_callback(self._ended)

    def _ended(self, line: asyncio.Task[None]) -> None:
        self._lines.discard(line)
        if not line.cancelled():
            line.exception()  # looked at: the page that it could not fetch tells it as well

    def _claim(self, position: Position) -> asyncio.Future[Page]:
        if isinstance(position, int):
            self._newest = max(self._newest, position)
        self._flying += 1
        self._pages[position] = page = asyncio.get_running_loop().create_future()
        return page

    async def _line(self, position: Position, place: asyncio.Future[Page]) -> None:
        """Fetch page after page: the next request goes out as soon as an answer is there."""
        while True:
            try:
                page = await self._fetch(position)
            except BaseException as error:
                if isinstance(error, asyncio.CancelledError):
                    place.cancel()
                elif not place.done():
                    place.set_exception(error)
                raise
            finally:
                self._flying -= 1
            self._waiting += page.size
            if not place.done():
                place.set_result(page)
            following = self._following(page)
            if following is None:
                return
            position, place = following, self._claim(following)
            self._run_on()

    def _following(self, page: Page | None = None) -> Position:
        """What may be asked for now, ahead of its turn; None: nothing."""
        if self._closed or self._flying >= self._depth or self._waiting >= MOST_WAITING:
            return None
        if self._newest:
            return self._newest + 1 if self._walk.expects(self._newest + 1) else None
        if page is None or len(self._pages) > MOST_BY_CURSOR:
            return None
        cursor = self._walk.foresees(page)
        return None if cursor in self._pages else cursor

    def _run_on(self) -> None:
        while (following := self._following()) is not None:
            self._start(following)


def _clock() -> float:
    return asyncio.get_running_loop().time()


async def walk_pages(
    run: Run, walk: Walk, fetch: Fetch, blocks: Blocks[Page, T], *, label: str = "", before: int = 0
) -> RemoteError | None:
    """Read a listing to its end.

    Returns the error that broke it off, if one did, after writing all rows that came before it.
    Credentials that are refused are raised: they are no listing's fault.
    """
    first = walk.next_position()
    assert not isinstance(first, bool)
    ahead = _Ahead(walk, fetch, run.door.concurrency)
    try:
        error = await _read(run, walk, ahead, blocks, label or run.job, before)
    finally:
        await ahead.close()
    if walk.wants_reread:
        try:
            walk.close(await fetch(first))
        except AuthError:
            raise
        except (RemoteError, BadAnswerError):
            run.log.info("the first page could not be read again")
    return error


async def _read(
    run: Run, walk: Walk, ahead: _Ahead, blocks: Blocks[Page, T], label: str, before: int
) -> RemoteError | None:
    pages: list[Page] = []
    waiting = 0
    error: RemoteError | None = None
    while (position := walk.next_position()) is not False:
        assert position is not True
        try:
            page = await ahead.page(position)
        except AuthError:
            await blocks.take(pages)
            await blocks.flush()
            raise
        except RejectedError as refusal:
            if walk.past_the_end():
                walk.refuse_past_end()
                break
            error = refusal
        except RemoteError as failure:
            error = failure
        if error is not None:
            walk.fail(f"{error.text} (after {walk.rows} rows)")
            break
        walk.feed(page)
        ahead.fill(walk.next_position())
        await _set_aside(run, page)
        pages.append(page)
        waiting += len(page.rows)
        if waiting >= BATCH:
            await blocks.take(pages)
            pages, waiting = [], 0
        run.env.progress(label, run.account, before + walk.rows, walk.total)
    await blocks.take(pages)
    await blocks.flush()
    return error


def rows_of(pages: Sequence[Page]) -> list[Row]:
    """All rows of these pages that could be understood."""
    return [row for page in pages for row in page.rows]


async def _set_aside(run: Run, page: Page) -> None:
    env = run.env
    regions = {account.region for account in env.settings.accounts}
    kept = [row for row in page.set_aside if not mentions(row.raw, env.forgotten, regions)]
    if not kept:
        return
    run.set_aside.update(runs.digest_of(row) for row in kept)
    new = await env.store.write(runs.save_set_aside, run.job, run.account, kept, env.stamp())
    if new:
        reasons = sorted({row.reason for row in kept})
        run.notice(f"{new} rows could not be understood and were set aside: {'; '.join(reasons[:3])}")
