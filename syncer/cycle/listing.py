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
MOST_WAITING = 2 * BATCH

#: Tells the position of the page after the one that has just come, before its rows are read.
Foresee = Callable[[Position], None]
Fetch = Callable[[Position, Foresee], Awaitable[Page]]


class _Ahead:
    """The requests of one walk that are under way, or were answered before their turn."""

    def __init__(self, walk: Walk, fetch: Fetch, depth: int) -> None:
        self._walk = walk
        self._fetch = fetch
        self._depth = max(1, depth)
        self._tasks: dict[Position, asyncio.Task[Page]] = {}
        self._flying = 0
        self._waiting = 0  #: rows of pages that came before their turn
        self._newest = 0  #: the last numbered page that was asked for
        self._closed = False

    async def page(self, position: Position) -> Page:
        """The page whose turn it is; what `fetch` raised, if it failed."""
        task = self._tasks.get(position) or self._start(position)
        try:
            page = await task
        finally:
            self._tasks.pop(position, None)
        self._waiting -= page.size
        return page

    def fill(self, position: Position | bool) -> None:
        """Ask for the next page, which the walk has found to be due, and for those it expects after it."""
        if position is False or position is True:
            return
        if position not in self._tasks:
            self._start(position)
        self._run_on()

    async def close(self) -> None:
        """Let go of what is under way: the walk has ended, and no page of it is wanted any more."""
        self._closed = True
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _start(self, position: Position) -> asyncio.Task[Page]:
        if isinstance(position, int):
            self._newest = max(self._newest, position)
        self._flying += 1
        self._tasks[position] = task = asyncio.create_task(self._ask(position))
        return task

    async def _ask(self, position: Position) -> Page:
        """Fetch one page, and let the next requests go out as soon as its answer is there."""
        page = None
        try:
            page = await self._fetch(position, self._foresee)
        finally:
            self._flying -= 1
            self._waiting += page.size if page is not None else 0
            if page is not None:
                self._run_on()
        return page

    def _run_on(self) -> None:
        while self._may_start() and self._newest and self._walk.expects(self._newest + 1):
            self._start(self._newest + 1)

    def _may_start(self, answered: int = 0) -> bool:
        flying = self._flying - answered
        return not self._closed and flying < self._depth and self._waiting < MOST_WAITING

    def _foresee(self, position: Position) -> None:
        # The request that tells of it has had its answer: its own place is free.
        new = (
            isinstance(position, str) and position not in self._tasks and not self._walk.leads_back(position)
        )
        if new and self._may_start(answered=1):
            self._start(position)


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
            walk.close(await fetch(first, lambda _: None))
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
