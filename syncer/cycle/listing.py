"""Walks one list call: asks for page after page, hands the rows on in batches, brings the certificate.

What a page proves is decided in `core/listing.py`; what becomes of the rows is the caller's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from syncer.core.listing import Walk
from syncer.core.model import Page, Position, Row
from syncer.cycle.run import Run
from syncer.errors import AuthError, BadAnswerError, RejectedError, RemoteError
from syncer.store import runs
from syncer.store.forget import mentions

#: Rows handed on at once, at least: one transaction each.
BATCH = 400

Fetch = Callable[[Position], Awaitable[Page]]
Consume = Callable[[Sequence[Row]], Awaitable[None]]


async def walk_pages(
    run: Run, walk: Walk, fetch: Fetch, consume: Consume, *, label: str = "", before: int = 0
) -> RemoteError | None:
    """Read a listing to its end.

    Returns the error that broke it off, if one did, after handing on all rows that came before it.
    Credentials that are refused are raised: they are no listing's fault.
    """
    rows: list[Row] = []
    error: RemoteError | None = None
    first: Position = walk.next_position()
    while (position := walk.next_position()) is not False:
        assert position is not True
        try:
            page = await fetch(position)
        except AuthError:
            if rows:
                await consume(rows)
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
        await _set_aside(run, page)
        rows += page.rows
        if len(rows) >= BATCH:
            await consume(rows)
            rows = []
        run.env.progress(label or run.job, run.account, before + walk.rows, walk.total)
    if rows:
        await consume(rows)
    if walk.wants_reread:
        try:
            walk.close(await fetch(first))
        except AuthError:
            raise
        except (RemoteError, BadAnswerError):
            run.log.info("the first page could not be read again")
    return error


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
