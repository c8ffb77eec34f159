"""Pulls one plain list into its mirror: voicemail windows, a user's contacts, Smartflo's lists.

What a row means is decided in `core`; what is specific to a job is in the modules that call this.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from syncer.core.listing import Certificate, Walk
from syncer.core.model import Page, Row, Verdict
from syncer.cycle.blocks import Blocks
from syncer.cycle.listing import Fetch, rows_of, walk_pages
from syncer.cycle.run import Run
from syncer.cycle.settle import Ask, settle
from syncer.errors import RemoteError
from syncer.store import counting, feed, mirror
from syncer.store.connect import Connection
from syncer.store.mirror import Tracker
from syncer.store.tables import Mirror

#: A vendor field that alone changed in most rows on this many reads in a row is left out.
VOLATILE_READS = 3


@dataclass(frozen=True, slots=True)
class MirrorSubject:
    """A plain mirror at the end of its listing."""

    mirror: Mirror
    account: str
    tracker: Tracker

    @property
    def table(self) -> str:
        """The table's name."""
        return self.mirror.name

    def live(self, conn: Connection) -> int:
        """Living rows of the account."""
        return counting.live_count(conn, self.mirror, self.account)

    def filled(self, conn: Connection, columns: Iterable[str]) -> dict[str, int]:
        """By column: living rows that have a value."""
        return counting.filled_counts(conn, self.mirror, self.account, columns)

    def keys(self, conn: Connection, rows: Iterable[int]) -> dict[int, str]:
        """The vendor's identities of rows."""
        return counting.keys_of(conn, self.mirror, rows)

    def remove(self, conn: Connection, row_id: int, at: str) -> None:
        """Give a row its tombstone."""
        counting.tombstone(conn, self.mirror, row_id, at)

    def blank(self, conn: Connection, allowed: frozenset[tuple[int, str]]) -> None:
        """Write the rows that were put off, but for the blanks that are not allowed."""
        mirror.settle_put_off(conn, self.tracker, lambda row, column: (row, column) in allowed)


def new_tracker(run: Run, target: Mirror) -> Tracker:
    """What a listing of `target` keeps count of."""
    ignored = run.state.notes.get("volatile", {}).get(target.name, [])
    return Tracker(
        target, run.account, frozenset(ignored), at=run.at, run=run.id, forgotten=run.env.forgotten
    )


async def read_rows(
    run: Run, tracker: Tracker, walk: Walk, fetch: Fetch, *, label: str = ""
) -> tuple[Certificate, RemoteError | None]:
    """Read a listing into its mirror; nothing is removed or blanked yet."""
    store = run.env.store
    already = tracker.rows

    async def sift(pages: Sequence[Page]) -> Sequence[Row]:
        return await store.read(mirror.sift, tracker, rows_of(pages))

    async def write(rows: Sequence[Row]) -> float:
        def take(conn: Connection, made: mirror.Judged) -> None:
            mirror.take(conn, tracker, made)

        return await store.judged(lambda conn: mirror.judge(conn, tracker, rows), take, large=False)

    before = (tracker.distinct, tracker.added, tracker.changed, tracker.quiet)
    error = await walk_pages(run, walk, fetch, Blocks(sift, write), label=label, before=already)
    run.seen += tracker.rows - already
    run.added += tracker.added - before[1]
    run.changed += tracker.changed - before[2]
    run.quiet += tracker.quiet - before[3]
    return walk.certificate(tracker.distinct - before[0]), error


async def put_off_rows(run: Run, tracker: Tracker) -> list[tuple[int, str]]:
    """The blanks that wait for the listing's end: (row, column)."""
    return await run.env.store.write(mirror.blanks_put_off, tracker) if tracker.waiting else []


async def pull(
    run: Run,
    target: Mirror,
    walk: Walk,
    fetch: Fetch,
    *,
    max_deletions: float,
    whole: bool = True,
    ask: Ask | None = None,
) -> Certificate:
    """Read a whole list (or, with `whole` off, an increment) and settle what it takes away."""
    tracker = new_tracker(run, target)
    certificate, error = await read_rows(run, tracker, walk, fetch)
    run.judge(target.name, certificate, whole=whole)
    unseen: list[int] = []
    if whole and certificate.verdict is not Verdict.PARTIAL:
        unseen = await run.env.store.read(counting.unseen, target, run.account, tracker.seen)
        learn_offset(run, target.name, walk, len(unseen))
    blanks = await put_off_rows(run, tracker)
    changed = tracker.changed
    await settle(
        run,
        MirrorSubject(target, run.account, tracker),
        certificate,
        whole=whole,
        listed=tracker.distinct,
        unseen=unseen,
        shown=lambda row: row in tracker.seen and row not in tracker.vanishing,
        vanished=tracker.vanishing,
        blanks=blanks,
        max_deletions=max_deletions,
        ask=ask,
    )
    if tracker.waiting and not blanks:  # older versions of rows that came twice
        await run.env.store.write(mirror.settle_put_off, tracker, mirror.no_blanks)
    run.changed += tracker.changed - changed
    if certificate.complete:
        wrote = tracker.added + tracker.changed + tracker.quiet
        await watch_quiescence(run, target.name, walk.fingerprint, wrote)
    learn_volatile(run, target.name, tracker.volatile, tracker.rows)
    if error is not None:
        raise error
    return certificate


async def watch_quiescence(run: Run, table: str, fingerprint: str, wrote: int) -> None:
    """Count a cycle that wrote although upstream sent the same as before and nobody edited.

    Nothing else than a bug of ours can do that, so it is counted, and told.
    """
    seq = await run.env.store.read(feed.last_seq)
    prints = run.state.notes.setdefault("prints", {})
    if wrote and prints.get(table) == [fingerprint, run.log_seq]:
        count = int(run.state.notes.get("quiescence_violations", 0)) + 1
        run.state.notes["quiescence_violations"] = count
        run.log.error("a cycle wrote although nothing had changed on either side", table=table, rows=wrote)
    prints[table] = [fingerprint, seq]


def learn_offset(run: Run, table: str, walk: Walk, missing: int) -> None:
    """Notice a total that is off by the same amount in two quiet listings.

    Not when it is off by just the rows that the listing lacks (`missing`) all of a sudden: then the
    vendor counts rows that it does not show, and the mirror is right.
    """
    offset = walk.observed_offset
    notes = run.state.notes.setdefault("offset", {})
    known = notes.get(table, {"value": None, "times": 0})
    if offset == 0:
        notes.pop(table, None)
    elif offset is not None and (offset == known["value"] or offset != missing):
        times = min(known["times"] + 1, 3) if known["value"] == offset else 1
        if times == 2 != known["times"]:
            run.notice(
                f"the vendor's count differs from its rows by {offset} each time; "
                "it is left out of the judgement from now on"
            )
        notes[table] = {"value": offset, "times": times}
    if not notes:
        run.state.notes.pop("offset", None)


def known_offset(run: Run, table: str) -> int | None:
    """The constant by which the vendor's count was off in the last quiet listing: once more proves it."""
    known = run.state.notes.get("offset", {}).get(table)
    return known["value"] if known and known["times"] >= 1 else None


def learn_volatile(run: Run, table: str, counted: Counter[str], rows: int) -> None:
    """Name a vendor field that alone changes on every read, once, and leave it out from then on.

    `counted` says of how many of the `rows` a field alone differed.
    """
    if rows == 0:
        return
    notes = run.state.notes
    suspects = notes.get("suspects", {}).get(table, {})
    fresh = {name: suspects.get(name, 0) + 1 for name, count in counted.items() if 2 * count >= rows}
    for name in [name for name, times in fresh.items() if times >= VOLATILE_READS]:
        notes.setdefault("volatile", {}).setdefault(table, []).append(name)
        del fresh[name]
        run.notice(f"the vendor's field {name!r} changes on every read; it is left out of the comparison")
    if fresh:
        notes.setdefault("suspects", {})[table] = fresh
    elif table in notes.get("suspects", {}):
        del notes["suspects"][table]
        if not notes["suspects"]:
            del notes["suspects"]
