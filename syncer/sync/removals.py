"""The end of a listing: what is gone, what turned blank, and what has to wait for a person.

`core/limits.py` decides. This module counts, asks the vendor for rows by their id, and writes holds, absences and
tombstones.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from syncer.core import limits
from syncer.core.listing import Certificate
from syncer.core.model import Proof, Row
from syncer.errors import AuthError, RemoteError
from syncer.store.db.connection import Connection
from syncer.store.write import holds
from syncer.store.write.reconciler import Reconciler
from syncer.sync.run import Run

#: The most rows that one run asks for by id before removing them. The others wait for the next run.
MOST_ASKED = 200

#: How many rows that are missing for the first time are asked for, as a sample.
MOST_SAMPLED = 3

#: The most rows missing from a drifted listing that are asked for one by one.
MOST_DOUBTED = 50

#: After this many runs in a row in which no request by id was answered, listings alone decide.
UNANSWERED = 3

#: Fetches one row from the vendor by its id; None: the vendor does not have it. An error proves nothing.
FetchOne = Callable[[str], Awaitable[Row | None]]


async def apply_removals(
    run: Run,
    reconciler: Reconciler,
    certificate: Certificate,
    *,
    unseen: list[int],
    max_deletions: float,
    fetch_one: FetchOne | None,
    is_full: bool,
) -> None:
    """Decide and apply the removals and blanks of a listing.

    `unseen` are live rows that it did not show (empty for an incremental listing, with `is_full` off). A listing
    that ended early removes nothing and blanks only what a person approved. Rows stay held until a full, complete
    listing says otherwise, or shows the row again.
    """
    store, job, account, table = run.env.store, run.job, run.account, reconciler.table
    lookup = _Lookup(run, reconciler, fetch_one)
    partial = certificate.verdict is Proof.PARTIAL
    shown, blanks = reconciler.shows, reconciler.blanks
    vanished = set() if partial else reconciler.vanishing
    noted = await store.read(holds.noted_absences, table)
    proven = await lookup.proven(certificate, unseen, noted)
    gone = set(proven or ()) | vanished
    decided = await store.read(holds.decided, job, account, table)
    waiting = await store.read(holds.open_rows, job, account, table)
    back = [row for row in noted if shown(row)]
    turned = set(blanks)
    used_up = [one for one in decided.approved | decided.rejected if shown(one[0]) and one not in turned]
    if not (gone or reconciler.deferred or back or used_up or waiting):
        return
    kept: set[tuple[int, str]] = set()
    if not (is_full and certificate.complete and proven is not None):
        kept = {one for one in waiting if one in turned or not shown(one[0])}
    decision = limits.decide_removals(
        live=await store.read(reconciler.live_count),
        listed=reconciler.distinct,
        gone=sorted(row for row in gone if (row, "") not in kept),
        blanks=[one for one in blanks if one not in kept and (not partial or one in decided.approved)],
        filled=await store.read(reconciler.filled_counts, sorted({column for _, column in blanks})),
        approved=decided.approved,
        rejected=decided.rejected,
        max_deletions=max_deletions,
    )
    certain = vanished | decision.at_once
    first_time = [row for row in decision.remove if row not in noted and row not in certain]
    ready = [row for row in decision.remove if row in noted or row in certain]
    ready = await lookup.still_absent(ready, certain)

    def apply(conn: Connection) -> tuple[int | None, str]:
        holds.clear_absences(conn, table, [*back, *ready])
        holds.note_absences(conn, table, first_time, run.at)
        reconciler.remove_all(conn, ready, run.at)
        reconciler.write_deferred(conn, decision.blanks)
        done = [(row, "") for row in ready] + [one for one in decision.blanks if one in decided.approved]
        holds.forget_decisions(conn, job, account, table, done + used_up)
        now_held = kept.union(decision.hold)
        held = holds.update_open(conn, job, account, table, now_held, decision.reason, run.at)
        return held, "" if held is None else holds.reason_of(conn, held)

    held, reason = await store.write(apply)
    run.removed += len(ready)
    if held is not None:
        run.held = held
        run.incomplete(
            f"held for a person: {reason}; see `syncer held list`, then "
            f"`syncer held approve {held}` or `syncer held reject {held}`",
            held=True,
        )


class _Lookup:
    """Asks the vendor for rows by their id, if it has such a call."""

    def __init__(self, run: Run, reconciler: Reconciler, fetch_one: FetchOne | None) -> None:
        self.run = run
        self.reconciler = reconciler
        self.fetch_one = fetch_one

    async def proven(self, certificate: Certificate, unseen: list[int], noted: set[int]) -> list[int] | None:
        """The rows that a listing proves to be absent; None: it proves nothing.

        A sample of the rows that are missing for the first time is asked for even after a complete listing. If the
        vendor has them, the listing was cut short in a way that nothing else shows.
        """
        if certificate.complete:
            fresh = [row for row in unseen if row not in noted][:MOST_SAMPLED]
            answers = await self._answers(fresh)
            if True in answers.values():
                self._lacks_rows()
                return None
            return unseen
        if certificate.verdict is Proof.PARTIAL or certificate.rows == 0 or len(unseen) > MOST_DOUBTED:
            return None
        answers = await self._answers(unseen)
        return [row for row in unseen if answers.get(row) is False]

    async def still_absent(self, ready: list[int], certain: set[int]) -> list[int]:
        """Ask for each row by its id before it becomes a tombstone.

        Without an answer, the row waits for the next listing, unless the vendor never answers such requests.
        """
        doubtful = [row for row in ready if row not in certain]
        if self.fetch_one is None or not doubtful:
            return ready
        answers = await self._answers(doubtful[:MOST_ASKED])
        kept = {row for row, there in answers.items() if there}
        if kept:
            self._lacks_rows()
        if self.run.state.notes.get("unanswered", {}).get(self.reconciler.table, 0) < UNANSWERED:
            kept.update(row for row, there in answers.items() if there is None)
        kept.update(doubtful[MOST_ASKED:])
        return [row for row in ready if row not in kept]

    def _lacks_rows(self) -> None:
        self.run.incomplete("the listing lacks rows that are there when asked for by their id; they are kept")

    async def _answers(self, rows: list[int]) -> dict[int, bool | None]:
        """Whether the vendor has each row; None: the answer proves nothing."""
        if self.fetch_one is None or not rows:
            return {}
        keys = await self.run.env.store.read(self.reconciler.keys, rows)
        answers = {row: await self._is_there(self.fetch_one, keys.get(row)) for row in rows}
        self._learn_unanswered(all(there is None for there in answers.values()))
        return answers

    async def _is_there(self, fetch_one: FetchOne, key: str | None) -> bool | None:
        if key is None:
            return None
        try:
            row = await fetch_one(key)
        except AuthError:
            raise
        except RemoteError as error:
            self.run.log.debug("a row could not be asked for by its id", call=error.call)
            return None
        return row is not None and row.deleted_at is None

    def _learn_unanswered(self, failed: bool) -> None:
        """Count the runs in a row in which no request by id was answered (once per run)."""
        table, notes = self.reconciler.table, self.run.state.notes.setdefault("unanswered", {})
        if not failed:
            notes.pop(table, None)
        elif table not in self.run.unanswered:
            notes[table] = min(notes.get(table, 0) + 1, UNANSWERED)
            self.run.unanswered.add(table)
