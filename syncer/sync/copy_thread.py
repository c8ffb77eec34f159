"""Runs work on a published copy in a thread, and cuts it off when the target hangs or the run is stopped."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from syncer.store.publish.copy import Copy

P = ParamSpec("P")
T = TypeVar("T")

#: How long a target may be silent within a run, in seconds, and how often that is checked.
SILENCE, STEP = 130.0, 0.5
#: The same if a person is waiting.
PATIENCE = 30.0


async def cut_off(copy: Copy, silence: float, work: Callable[P, T], *args: P.args, **kw: P.kwargs) -> T:
    """Run `work` in a thread. Aborts it if the target is silent for `silence` seconds, or the run is cancelled."""
    copy.last_answer = time.monotonic()
    task = asyncio.ensure_future(asyncio.to_thread(work, *args, **kw))
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=STEP)
            if not task.done() and time.monotonic() - copy.last_answer > silence:
                copy.abort(f"it did not answer for {silence:.0f} s")
    except asyncio.CancelledError:
        copy.abort("the run was ended")
        task.add_done_callback(_drop)
        await asyncio.wait({task}, timeout=STEP)
        raise
    return task.result()


def _drop(task: asyncio.Future[T]) -> None:
    """Retrieve the error of work that was cut off, so asyncio does not log it."""
    if not task.cancelled():
        task.exception()
