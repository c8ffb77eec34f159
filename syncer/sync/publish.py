"""The `publish` job of one target: brings a copy in PostgreSQL up to date with the mirror.

Decides whether a pass is due, and ends one that hangs. `store/publish` does the work in a thread.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from datetime import timedelta

from syncer.clock import Clock
from syncer.config.targets import PublishTarget
from syncer.core.copy_edits import CopyEdit
from syncer.core.due import has_passed
from syncer.core.published import is_ahead, is_known
from syncer.errors import RejectedError
from syncer.store.db import home
from syncer.store.db.read_only import Reader
from syncer.store.db.revision import HEAD
from syncer.store.publish import edits, listening, publish_pass
from syncer.store.publish.copy import Copy, CopyAddress, Position
from syncer.store.publish.reading import newest, pending
from syncer.store.write import copy_edits, publishing
from syncer.store.write.copy_edits import EditOutcome
from syncer.store.write.publishing import TargetState
from syncer.sync import copy_thread
from syncer.sync.copy_thread import cut_off
from syncer.sync.run import Run
from syncer.sync.vendors import Source

#: How often every row is compared.
SWEEP = timedelta(days=1)

#: Between runs, the connection to a target stays open if its job runs at least this often, in seconds.
STAYS_OPEN = 60.0

PublishSource = Source[PublishTarget, Copy]


def connect(target: PublishTarget, clock: Clock) -> PublishSource:
    """The source of a target. It connects when it is first used."""
    del clock
    password = target.password.reveal() if target.password is not None else None
    copy = Copy(CopyAddress(target.label, target.url, password, target.schema, target.site))
    return Source(target, None, copy, copy.close)


async def publish(run: Run, source: PublishSource) -> None:
    """Publish what changed. Every row is compared at first, once a day, and after either side was restored."""
    run.drop_idle = True
    target, copy = source.account, source.client
    if run.env.plan_only:
        run.plan += await run.env.store.read(_plan, target)
        return
    try:
        await _publish(run, target, copy)
    finally:
        if target.publish.every.total_seconds() > STAYS_OPEN or run.person:
            copy.close()


async def _publish(run: Run, target: PublishTarget, copy: Copy) -> None:
    store, silence = run.env.store, copy_thread.PATIENCE if run.person else copy_thread.SILENCE
    source = await store.read(source_of)
    known = await store.read(publishing.load, target.name)
    position = await cut_off(copy, silence, copy.open)
    if not run.full:
        check_source(target, position, source)
    replaced = position is not None and (
        position.source != source or await _was_put_back(run, position, known)
    )
    if target.edits and position is not None:
        await _take_edits(run, target, copy, silence, replaced=replaced)
    put_back = replaced or (position is not None and position.mark is None)  # it was never complete
    whole = run.full or position is None or put_back or known.revision != HEAD
    sweep = whole or known.swept_at is None or has_passed(SWEEP, known.swept_at, run.env.now())
    if not sweep and position is not None and not await store.read(pending, position.mark or 0, position.seq):
        return
    token, at = f"{run.at}/{run.id}", run.env.stamp()
    # A copy that is not known to be ours is accepted after a complete comparison.
    before = position.token if position is not None and not replaced else None
    await store.write(publishing.begin, target.name, before, token)
    loop = asyncio.get_running_loop()

    def progress(rows: int) -> None:
        loop.call_soon_threadsafe(run.env.progress, run.job, run.account, rows, None)

    todo = publish_pass.Pass(
        source,
        token,
        at,
        sweep,
        put_back,
        run.env.forgotten.among,
        run.env.settings.regions,
    )
    done = await cut_off(copy, silence, publish_pass.publish, store.db.path, copy, position, todo, progress)
    await store.write(publishing.finish, target.name, token, (done.mark, done.seq), at, swept=sweep)
    run.seen, run.changed, run.removed = run.seen + done.rows, done.written, done.removed
    if sweep and not whole and (done.written or done.removed):
        run.log.info(
            "the daily comparison of a published copy wrote rows", rows=done.written, removed=done.removed
        )


async def _was_put_back(run: Run, position: Position, known: TargetState) -> bool:
    """Whether one of the sides was restored from a backup."""
    return not is_known(position.token, (known.token, known.next_token)) or (
        position.mark is not None
        and is_ahead((position.mark, position.seq), await run.env.store.read(newest))
    )


def check_source(target: PublishTarget, position: Position | None, source: str) -> None:
    """Raise RejectedError if another database publishes to this site."""
    if position is not None and position.source != source:
        raise RejectedError(
            target.label,
            "publish",
            f"the site {target.site} there is published from another database: give one of them another `site`, "
            f"or take the site over with `syncer publish {target.name} --full`",
            code=409,
        )


async def _take_edits(run: Run, target: PublishTarget, copy: Copy, silence: float, *, replaced: bool) -> None:
    """Apply what people wrote into the copy's `contact_edits` to the mirror, in order, as their edits."""
    env, loop = run.env, asyncio.get_running_loop()
    regions = {one.name: one.region for one in env.settings.telecmi if one.contacts.enabled}

    def write(given: list[CopyEdit]) -> list[EditOutcome]:
        """Called in the thread of the copy, which waits while the database's thread writes."""
        work = env.store.edit(
            copy_edits.apply,
            given,
            target.name,
            regions,
            env.forgotten.among,
            env.stamp(),
            replaced=replaced,
        )
        return asyncio.run_coroutine_threadsafe(work, loop).result()

    while taken := await cut_off(copy, silence, edits.take, copy, write, env.stamp()):
        run.seen += taken
        env.progress(run.job, run.account, run.seen, None)


async def listen(source: PublishSource, wake: Callable[[], None]) -> None:
    """Start the job when the copy gets an edit. Each run also looks for edits."""
    if source.account.edits:
        await listening.listen(source.client.place, wake)
    else:
        await asyncio.Event().wait()


def source_of(conn: Reader) -> str:
    """Identifies this database in a published site: a digest of its home."""
    place = home.recorded(conn)
    text = f"{place.path}\n{place.machine}" if place else ""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _plan(conn: Reader, target: PublishTarget) -> list[str]:
    known = publishing.load(conn, target.name)
    if known.mark is None:
        return [f"would publish everything to {target.label}"]
    waiting = pending(conn, known.mark, known.seq or 0)
    return [f"would publish what changed to {target.label}"] if waiting else []
