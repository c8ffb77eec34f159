"""Computes how long a job waits for its next run: after success, after failures, after refused credentials."""

from __future__ import annotations

from syncer.core.retry import LONGEST_PAUSE

#: The first pause after refused credentials, in seconds.
FIRST_PAUSE = 15 * 60.0

#: The time limit of a run, in seconds. The next run continues from there.
LONGEST_RUN = 6 * 3600.0

#: A run without progress is ended after this many seconds.
LONGEST_SILENCE = 600.0

#: How much later than scheduled a job may run, as a share, so jobs with the same interval drift apart.
JITTER = 0.02

#: An edit does not wait for the whole back-off of a failing push, only this many seconds per failure in a row.
IMPATIENCE = 5.0


def until_next(
    every: float, took: float, failures: int, rand: float, *, retry_after: float | None = None
) -> float:
    """Seconds from the end of a run to the next one.

    Without failures, a job starts every `every` seconds, and pauses at least a tenth of that after a longer run.
    After `failures` in a row it waits once, twice, then four times `every`, and at least as long as the vendor asked
    (`retry_after`).
    """
    wait = every * 2.0 ** min(failures - 1, 2) if failures else max(every - took, every / 10)
    wait *= 1 + JITTER * rand
    return wait if retry_after is None else max(wait, min(retry_after, LONGEST_PAUSE))


def after_edit(wait: float, failures: int, retry_after: float | None = None) -> float:
    """Seconds that an edit waits for a push after `failures` in a row."""
    return max(min(wait, IMPATIENCE * failures), min(retry_after or 0.0, wait))


def pause(refusals: int, locked_for: float | None = None) -> float:
    """Seconds to pause an account after its credentials were refused for the n-th time.

    `locked_for` is how long the vendor locked it, if it said so.
    """
    if locked_for is not None:
        return min(max(locked_for + 5.0, 60.0), LONGEST_PAUSE)
    return min(FIRST_PAUSE * 2.0 ** min(refusals - 1, 10), LONGEST_PAUSE)
