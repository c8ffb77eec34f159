"""One pull of one list: read it, remove what it no longer shows, and note what was learned about the vendor.

`core` decides what a row means. The modules of the resources call this one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType

from syncer.core.listing import Certificate, Walk
from syncer.core.model import Proof
from syncer.store.db.mirrors import Mirror
from syncer.store.read import feed
from syncer.store.write.mirror import MirrorReconciler
from syncer.store.write.reconciler import Context, Reconciler
from syncer.sync.pager import Fetch, read_listing
from syncer.sync.removals import FetchOne, apply_removals
from syncer.sync.run import Run

#: A vendor field that was the only change in most rows, on this many reads in a row, is ignored.
VOLATILE_READS = 3


def context_of(run: Run, table: str) -> Context:
    """The settings for comparing a listing of a table."""
    notes = run.state.notes
    return Context(
        run.account,
        at=run.at,
        ignored=frozenset(notes.get("volatile", {}).get(table, [])),
        listed_twice=frozenset(notes.get("listed_twice", {}).get(table, [])),
        forgotten=run.env.forgotten.among,
    )


def new_reconciler(
    run: Run, mirror: Mirror, name: str = "", scope: Mapping[str, str] = MappingProxyType({})
) -> MirrorReconciler:
    """A reconciler for a plain mirror, or for the part of it that `scope` selects, with its own `name`."""
    return MirrorReconciler(mirror, context_of(run, name or mirror.name), name, scope)


async def pull(
    run: Run,
    reconciler: Reconciler,
    walk: Walk,
    fetch: Fetch,
    *,
    max_deletions: float,
    is_full: bool = True,
    fetch_one: FetchOne | None = None,
) -> Certificate:
    """Read a full list (or, with `is_full` off, an increment) and apply its removals."""
    store, table = run.env.store, reconciler.table
    pending = await store.read(feed.pending, run.account)  # a push may be running in another process
    certificate, error = await read_listing(run, reconciler, walk, fetch)
    run.add_listing(table, certificate, is_full=is_full)
    unseen: list[int] = []
    deleted: list[int] = []
    if is_full and certificate.verdict is not Proof.PARTIAL:
        unseen, deleted = await store.read(reconciler.unseen)
        learn_offset(run, table, walk, len(unseen))
    if certificate.complete and certificate.rows and deleted:
        await store.write(reconciler.remove_deleted, deleted, run.env.stamp())
    try:
        await apply_removals(
            run,
            reconciler,
            certificate,
            unseen=unseen,
            max_deletions=max_deletions,
            fetch_one=fetch_one,
            is_full=is_full,
        )
    finally:
        count(run, reconciler)
    learn_copies(run, reconciler, is_full=is_full and certificate.complete)
    if certificate.complete and not pending:
        await watch_quiescence(run, table, walk.fingerprint, reconciler.wrote)
    learn_volatile(run, table, reconciler.volatile, reconciler.rows)
    if error is not None:
        raise error
    return certificate


def count(run: Run, reconciler: Reconciler) -> None:
    """Add the counts of a listing to the run."""
    run.seen += reconciler.rows
    run.added += reconciler.added
    run.changed += reconciler.changed
    run.raw_only += reconciler.raw_only


def learn_copies(run: Run, reconciler: Reconciler, *, is_full: bool) -> None:
    """Remember which ids the vendor lists more than once, so that none of them is written twice."""
    notes = run.state.notes.setdefault("listed_twice", {})
    keys = reconciler.listed_twice(is_full=is_full)
    if keys and reconciler.name not in notes:
        run.notice(f"{reconciler.name}: the vendor lists rows more than once; the newest values count")
    if keys:
        notes[reconciler.name] = keys
    else:
        notes.pop(reconciler.name, None)


async def watch_quiescence(run: Run, table: str, fingerprint: str, wrote: int) -> None:
    """Count and log a run that wrote although upstream sent the same as before and nobody edited.

    Only a bug of ours can cause that.
    """
    seq = await run.env.store.read(feed.last_seq)
    prints = run.state.notes.setdefault("prints", {})
    if wrote and prints.get(table) == [fingerprint, run.log_seq]:
        count = int(run.state.notes.get("quiescence_violations", 0)) + 1
        run.state.notes["quiescence_violations"] = count
        run.log.error("a run wrote although nothing had changed on either side", table=table, rows=wrote)
    prints[table] = [fingerprint, seq]


def learn_offset(run: Run, table: str, walk: Walk, missing: int) -> None:
    """Notice a total that is off by the same amount in two quiet listings.

    Not if it is off by exactly the rows that the listing suddenly lacks (`missing`): then the vendor counts rows
    that it does not show, and the mirror is right.
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
                f"the vendor's count differs from its rows by {offset} each time; it is ignored from now on"
            )
        notes[table] = {"value": offset, "times": times}


def known_offset(run: Run, table: str) -> int | None:
    """The amount by which the vendor's total was off in the last quiet listing. A second time proves it."""
    known = run.state.notes.get("offset", {}).get(table)
    return known["value"] if known else None


def learn_volatile(run: Run, table: str, counted: Counter[str], rows: int) -> None:
    """Report a vendor field that is the only change on every read, once, and ignore it from then on.

    `counted`: in how many of the `rows` each field was the only change.
    """
    if rows == 0:
        return
    notes = run.state.notes
    suspects = notes.setdefault("suspects", {})
    before = suspects.pop(table, {})
    fresh = {name: before.get(name, 0) + 1 for name, count in counted.items() if 2 * count >= rows}
    for name in [name for name, times in fresh.items() if times >= VOLATILE_READS]:
        notes.setdefault("volatile", {}).setdefault(table, []).append(name)
        del fresh[name]
        run.notice(f"the vendor's field {name!r} changes on every read; it is left out of the comparison")
    if fresh:
        suspects[table] = fresh
