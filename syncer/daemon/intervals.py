"""How long a job waits until its next run: after success, after failures, after refused credentials.

Arithmetic only. What counts as a failure is left to `worker`.
"""

from __future__ import annotations

from syncer.core.retry import LONGEST_PAUSE

#: The first pause after refused credentials, in seconds.
FIRST_PAUSE = 15 * 60.0

#: No run takes longer, in seconds, however well it goes on; the next one goes on from there.
LONGEST_RUN = 6 * 3600.0

#: A run that shows no progress for so long is ended, in seconds.
LONGEST_SILENCE = 600.0

#: How much later than asked a job may be run, as a share: jobs of one rhythm drift apart.
JITTER = 0.02

#: An edit does not wait for a failing push's whole back-off: so many seconds a failure in a row.
IMPATIENCE = 5.0


def until_next(
    every: float, took: float, failures: int, rand: float, *, retry_after: float | None = None
) -> float:
    """Seconds from the end of a run to the next one.

    A job that works runs every `every` seconds from start to start, with a tenth of that to breathe
    when a run takes longer. After `failures` in a row it is `every`, twice, then four times that, and
    never sooner than the vendor asked (`retry_after`).
    """
    wait = every * 2.0 ** min(failures - 1, 2) if failures else max(every - took, every / 10)
    wait *= 1 + JITTER * rand
    return wait if retry_after is None else max(wait, min(retry_after, LONGEST_PAUSE))


def after_edit(wait: float, failures: int, retry_after: float | None = None) -> float:
    """Seconds that an edit has to wait for a push which has failed `failures` times in a row."""
    return max(min(wait, IMPATIENCE * failures), min(retry_after or 0.0, wait))


def pause(refusals: int, locked_for: float | None = None) -> float:
    """Seconds to leave an account alone after its credentials were refused for the n-th time.

    `locked_for` is how long the vendor locked it, where it said so.
    """
    if locked_for is not None:
        return min(max(locked_for + 5.0, 60.0), LONGEST_PAUSE)
    return min(FIRST_PAUSE * 2.0 ** min(refusals - 1, 10), LONGEST_PAUSE)
