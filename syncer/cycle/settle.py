"""The end of a listing: what is gone, what turned blank, and what of it has to wait for a person.

The arithmetic is `core/limits.py`; this module gathers its numbers, asks the vendor about rows by
their own id, and writes down holds, notes of absence and tombstones.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

from syncer.core import limits
from syncer.core.listing import Certificate
from syncer.core.model import Verdict
from syncer.cycle.run import Run
from syncer.errors import AuthError, RemoteError
from syncer.store import holds
from syncer.store.connect import Connection

#: Most rows that one run asks for by their own id before removing them; the rest waits for the next.
MOST_ASKED = 200

#: Most rows missing from a listing that did not hold still which are asked for one by one.
MOST_DOUBTED = 50

#: Asks the vendor for one row by its key: False is a good answer without it, True the row itself,
#: None proves nothing.
Ask = Callable[[str], Awaitable[bool | None]]


class Subject(Protocol):
    """A mirrored table, as far as the end of a listing is concerned."""

    @property
    def table(self) -> str:
        """Its name."""
        ...

    def live(self, conn: Connection) -> int:
        """Living rows of the account."""
        ...

    def filled(self, conn: Connection, columns: Iterable[str]) -> dict[str, int]:
        """By column: living rows that have a value."""
        ...

    def keys(self, conn: Connection, rows: Iterable[int]) -> dict[int, str]:
        """The vendor's identities of rows."""
        ...

    def remove(self, conn: Connection, row_id: int, at: str) -> None:
        """Give a row its tombstone."""
        ...

    def blank(self, conn: Connection, allowed: frozenset[tuple[int, str]]) -> None:
        """Write the rows that were put off, but for the blanks that are not allowed."""
        ...


async def settle(
    run: Run,
    subject: Subject,
    certificate: Certificate,
    *,
    listed: int,
    unseen: list[int],
    shown: Callable[[int], bool],
    vanished: Iterable[int],
    blanks: list[tuple[int, str]],
    max_deletions: float,
    ask: Ask | None,
) -> None:
    """Judge and carry out what a listing takes away.

    `unseen` are living rows that it did not show (empty for an incremental listing), `vanished` rows
    that the vendor itself calls deleted, `shown` tells whether a row was in it.
    """
    store, job, account, table = run.env.store, run.job, run.account, subject.table
    vanished = set(vanished)
    noted = await store.read(holds.noted_absences, table)
    gone = await _proven(run, subject, certificate, unseen, ask)
    decided = await store.read(holds.decided, job, account, table)
    open_number = await store.read(holds.open_hold, job, account)
    back = [row for row in noted if shown(row)]
    used_up = [one for one in decided.approved | decided.rejected if one[1] == "" and shown(one[0])]
    if not (gone or vanished or blanks or back or used_up or open_number):
        return
    live = await store.read(subject.live)
    filled = await store.read(subject.filled, sorted({column for _, column in blanks}))
    verdict = limits.judge(
        live=live,
        listed=listed,
        gone=sorted(vanished | set(gone)),
        blanks=blanks,
        filled=filled,
        approved=decided.approved,
        rejected=decided.rejected,
        max_deletions=max_deletions,
    )
    ready = [row for row in verdict.remove if row in noted or row in vanished or row in verdict.at_once]
    first_time = [row for row in verdict.remove if row not in noted and row not in ready]
    ready = await _still_absent(run, subject, ready, vanished | verdict.at_once, ask)
    partial = certificate.verdict is Verdict.PARTIAL

    def finish(conn: Connection) -> None:
        holds.clear_absences(conn, table, [*back, *ready])
        holds.note_absences(conn, table, [row for row in first_time if row not in noted], run.at)
        for row in ready:
            subject.remove(conn, row, run.at)
        subject.blank(conn, verdict.blanks)
        done = [(row, "") for row in ready] + [one for one in verdict.blanks if one in decided.approved]
        holds.forget_decisions(conn, job, account, table, done + used_up)
        if verdict.hold:
            run.held = holds.save(conn, job, account, table, verdict.reason, verdict.hold, run.at)
        elif open_number is not None and not partial and certificate.complete:
            holds.supersede(conn, job, account, run.at)

    await store.write(finish)
    run.removed += len(ready)
    if run.held is None and open_number is not None and not certificate.complete:
        run.held = open_number
    if run.held is not None:
        reason = verdict.reason or "an earlier listing is held"
        run.incomplete(
            f"held for a person: {reason}; see `syncer held list`, then "
            f"`syncer held approve {run.held}` or `syncer held reject {run.held}`"
        )


async def _proven(
    run: Run, subject: Subject, certificate: Certificate, unseen: list[int], ask: Ask | None
) -> list[int]:
    """Of the rows that a listing did not show, those that it proves absent."""
    if certificate.complete:
        return unseen
    if certificate.verdict is Verdict.PARTIAL or ask is None or not 0 < len(unseen) <= MOST_DOUBTED:
        return []
    if certificate.rows == 0:
        return []
    keys = await run.env.store.read(subject.keys, unseen)
    return [row for row in unseen if await _ask(run, ask, keys.get(row)) is False]


async def _still_absent(
    run: Run, subject: Subject, ready: list[int], certain: set[int], ask: Ask | None
) -> list[int]:
    """Ask for each row by its own id before it gets its tombstone."""
    doubtful = [row for row in ready if row not in certain]
    if ask is None or not doubtful:
        return ready
    keys = await run.env.store.read(subject.keys, doubtful)
    kept: set[int] = set(doubtful[MOST_ASKED:])
    for row in doubtful[:MOST_ASKED]:
        if await _ask(run, ask, keys.get(row)) is True:
            kept.add(row)
            run.log.info("a row that the listing lacks is there when asked for by its id", row=row)
    return [row for row in ready if row not in kept]


async def _ask(run: Run, ask: Ask, key: str | None) -> bool | None:
    if key is None:
        return None
    try:
        return await ask(key)
    except AuthError:
        raise
    except RemoteError as error:
        run.log.debug("a row could not be asked for by its id", call=error.call)
        return None
