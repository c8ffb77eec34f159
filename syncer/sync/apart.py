"""Work on a published copy in a thread, cut off when the target hangs or the run is ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from syncer.store.publish.copy import Copy

P = ParamSpec("P")
T = TypeVar("T")

#: How long a target may be silent within a run, in seconds, and how often that is looked at.
SILENCE, STEP = 130.0, 0.5
#: The same for a person, who waits.
PATIENCE = 30.0


async def cut_off(copy: Copy, silence: float, work: Callable[P, T], *args: P.args, **kw: P.kwargs) -> T:
    """Do `work` in a thread. A target that stops answering, or a run that is ended, is cut off."""
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
    """Take the error of work that was cut off, so that asyncio does not log it."""
    if not task.cancelled():
        task.exception()
