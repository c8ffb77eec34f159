"""Says what a block of the directory comes to: which rows differ from the mirror, and what becomes of each.

What a listed contact means is decided in `core/contacts.py`. Here is only read, on a snapshot, so that
nobody who edits has to wait for it; the writing is left to `absorbing.py`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy import Connection

from syncer.core.contacts import Absorbed, Local, absorb
from syncer.core.model import FIELDS, DirectoryContact, Fields
from syncer.core.normalise import to_e164
from syncer.core.rows import MANY, Bits, differing_fields
from syncer.store import queue, waiting
from syncer.store.batch import Batch, settles
from syncer.store.contacts import TABLE, Policy, load_adopters, load_by_contact_id
from syncer.store.looking import fetch
from syncer.store.tables import contact_base, telecmi_contacts

T = TypeVar("T")


@dataclass(slots=True)
class Counts:
    """What a batch, or a run, came to."""

    seen: int = 0
    added: int = 0
    changed: int = 0
    quiet: int = 0  #: rows of which only what nobody is told of was stored
    forgotten: int = 0  #: rows of people who are to be kept out
    blanks: list[tuple[int, str]] = field(default_factory=list)  #: (row, field) put off
    volatile: Counter[str] = field(default_factory=Counter)  #: vendor fields that alone differed

    def add(self, other: Counts) -> None:
        """What a block came to, added to the run's."""
        self.seen += other.seen
        self.added += other.added
        self.changed += other.changed
        self.quiet += other.quiet
        self.forgotten += other.forgotten
        self.blanks += other.blanks
        self.volatile.update(other.volatile)


@dataclass(slots=True)
class Absorbing:
    """One reading of the directory, as it is taken over."""

    policy: Policy
    asked_in: int = 0  #: the epoch in which the rows at hand were asked for
    at: str = ""
    seen: Bits = field(default_factory=Bits)
    #: Contacts that were sifted out and are still to be written: what comes of them again comes after.
    unwritten: set[str] = field(default_factory=set)
    #: Nothing of what came last was known, and sifting would be in vain. Ends with a block that holds others.
    fresh: bool = False
    counts: Counts = field(default_factory=Counts)
    #: Takes contacts of which upstream would turn a field blank: that has to be counted over the
    #: whole listing first. None: they are taken over as they are.
    put_off: Callable[[DirectoryContact], None] | None = None
    ignored: frozenset[str] = frozenset()  #: vendor fields that change on every read
    forgotten: Callable[[str | None], bool] = field(default=lambda _: False)


#: How contacts stand here; the last column says what changes of it are open.
_STANDING = (
    f"SELECT c.contact_id, c.id, c.raw, c.deleted_at, b.source, {waiting.OPEN_CHANGES} "
    "FROM telecmi_contacts c LEFT JOIN contact_base b ON b.row_id = c.id "
    "WHERE c.account = ? AND c.contact_id IN (SELECT value FROM json_each(?))"
)


def sift(
    conn: Connection,
    work: Absorbing,
    rows: Sequence[T],
    of: Callable[[T], tuple[str, str | None, str]],
    fields: Callable[[T], Fields],
) -> list[T]:
    """Those of the rows that differ from the mirror; the others are marked as seen, and done with.

    `of` names a row's contact_id, its number in E.164, and its JSON.
    """
    if work.fresh:
        return list(rows)
    told = [of(row) for row in rows]
    known: dict[str, list[Any]] = {}
    for block in queue.chunks([contact_id for contact_id, _, _ in told]):
        standing = fetch(conn, _STANDING, work.policy.account, json.dumps(block))
        known |= {contact_id: there for contact_id, *there in standing}
    waits = {
        known[contact_id][0]: fields(row)
        for row, (contact_id, _, _) in zip(rows, told, strict=True)
        if contact_id in known and known[contact_id][-1] == waiting.WAITS
    }
    untouched = waiting.untouched(conn, waits, work.policy.region)
    seen, counts, unwritten = work.seen, work.counts, work.unwritten
    differing: list[T] = []
    for row, (contact_id, phone, raw) in zip(rows, told, strict=True):
        there = known.get(contact_id)
        if there is None and work.forgotten(phone):
            counts.seen += 1
            counts.forgotten += 1
            continue
        if there is not None:
            row_id, stored, deleted_at, source, changes = there
            still = not changes or row_id in untouched
            quiet = deleted_at is None and source == "directory" and still
            if quiet and contact_id not in unwritten and _same_raw(stored, raw, work.ignored):
                counts.seen += 1
                seen.add(row_id)
                continue
        differing.append(row)
        unwritten.add(contact_id)
    work.fresh = not known and len(rows) >= MANY
    return differing


def _same_raw(old: str | None, new: str, ignored: frozenset[str]) -> bool:
    return old == new or bool(ignored and old and differing_fields(old, new) <= ignored)


@dataclass(frozen=True, slots=True)
class Careful:
    """A contact whose changes of the queue begin, or turn into something else: written by itself."""

    local: Local
    row: DirectoryContact
    outcome: Absorbed


@dataclass(slots=True)
class Judged:
    """What a block of contacts comes to; nothing of it is written yet, nor counted."""

    epoch: int  #: the one that begins when it is written
    rows: Sequence[DirectoryContact]  #: all of them
    steps: list[Batch | Careful] = field(default_factory=list)  #: in the order of the rows
    fresh: dict[str, DirectoryContact] = field(default_factory=dict)
    again: list[DirectoryContact] = field(default_factory=list)  #: contacts that came before in the block
    put_off: list[DirectoryContact] = field(default_factory=list)
    seen: set[int] = field(default_factory=set)
    counts: Counts = field(default_factory=Counts)

    def batch(self) -> Batch:
        """Where the next row's writes go."""
        last = self.steps[-1] if self.steps else None
        if not isinstance(last, Batch):
            last = Batch()
            self.steps.append(last)
        return last


def judge(conn: Connection, work: Absorbing, rows: Sequence[DirectoryContact]) -> Judged:
    """Say what the directory showed comes to. Reads, and writes nothing: what it says holds for this snapshot."""
    account = work.policy.account
    known = load_by_contact_id(conn, account, [row.contact_id for row in rows])
    new_phones = {row.phone_e164 for row in rows if row.contact_id not in known and row.phone_e164}
    adopters = load_adopters(conn, account, new_phones)
    made = Judged(queue.epoch(conn) + 1, rows)
    counts, told = made.counts, set()
    for row in rows:
        if row.contact_id in told:
            made.again.append(row)
            continue
        counts.seen += 1
        if work.forgotten(row.phone_e164) and row.contact_id not in known:
            counts.forgotten += 1
            continue
        local = known.get(row.contact_id)
        if local is None and row.phone_e164 is not None and row.contact_id not in made.fresh:
            local = adopters.pop(row.phone_e164, None)
        if local is None:
            made.fresh[row.contact_id] = row  # one that came twice: the later value stands
            continue
        told.add(row.contact_id)
        _judge_one(work, made, local, row)
    counts.added += len(made.fresh)
    return made


def _judge_one(work: Absorbing, made: Judged, local: Local, row: DirectoryContact) -> None:
    """What becomes of one contact that the mirror has."""
    seen_before = local.row_id in work.seen
    made.seen.add(local.row_id)
    if _unchanged(local, row, work.ignored):
        return
    if local.touched > work.asked_in and not seen_before:
        return  # what is known of it is younger than this page
    policy, counts = work.policy, made.counts
    outcome = absorb(local, row, region=policy.region, on_conflict=policy.on_conflict)
    if work.put_off is not None and outcome.blanks:
        counts.blanks += [(local.row_id, name) for name in outcome.blanks]
        made.put_off.append(row)
        return
    if outcome.taken or outcome.restored:
        counts.changed += 1
    elif not outcome.moves and not outcome.new and local.raw != row.raw and local.base == outcome.base:
        counts.quiet += 1
        differing = differing_fields(local.raw, row.raw) - work.ignored
        if len(differing) == 1:
            counts.volatile.update(differing - set(FIELDS))
    if _is_plain(local, row, outcome):
        batch = made.batch()
        change(batch, local, row, outcome, policy, work.at)
        _agree(batch, local, outcome, policy, made.epoch)
        for step in outcome.moves:
            batch.settle(local, step, work.at)
        if outcome.settled and local.intents:
            batch.agree(local.row_id)
    else:
        made.steps.append(Careful(local, row, outcome))


def _is_plain(local: Local, row: DirectoryContact, outcome: Absorbed) -> bool:
    """Whether the contact stays what it is, and its changes of the queue at most come to their end."""
    return (
        local.base is not None
        and local.source == "directory"
        and local.contact_id == row.contact_id
        and not outcome.new
        and all(settles(local, step) for step in outcome.moves)
    )


def _unchanged(local: Local, row: DirectoryContact, ignored: frozenset[str]) -> bool:
    return (
        local.contact_id == row.contact_id
        and not local.deleted
        and local.source == "directory"
        and not local.changes
        and _same_raw(local.raw, row.raw, ignored)
    )


def change(
    batch: Batch, local: Local, row: DirectoryContact, outcome: Absorbed, policy: Policy, at: str
) -> None:
    """The row itself, and what the log tells of it."""
    values: dict[str, Any] = {
        name: new or None for name, new in outcome.local.changed_from(local.fields).items()
    }
    if "phone_no" in values or local.phone_e164 is None:
        e164 = to_e164(outcome.local.phone_no, policy.region)
        if e164 != local.phone_e164:
            values["phone_e164"] = e164
    if outcome.restored:
        values["deleted_at"] = None
        batch.tell(TABLE, local.row_id, {"deleted_at": (local.deleted_at, None)}, at, "upstream")
    changes = (
        {n: (local.fields.get(n), outcome.local.get(n)) for n in FIELDS if n in values}
        if outcome.restored
        else outcome.taken
    )
    batch.tell(TABLE, local.row_id, changes, at, "upstream")
    batch.tell(TABLE, local.row_id, outcome.overruled, at, "local")  # what lost stays on record
    if local.raw != row.raw:
        values["raw"] = row.raw
    if local.contact_id != row.contact_id:
        values["contact_id"] = row.contact_id
    if outcome.taken or outcome.restored:
        values["last_changed_at"] = at
    batch.update(telecmi_contacts, local.row_id, values)


def _agree(batch: Batch, local: Local, outcome: Absorbed, policy: Policy, epoch: int) -> None:
    """What is agreed on from now on, where that moved."""
    assert local.base is not None
    if outcome.base == local.base:
        return
    values: dict[str, Any] = {**outcome.base.changed_from(local.base)}
    if "phone_no" in values:
        values["phone_e164"] = to_e164(outcome.base.phone_no, policy.region)
    batch.update(contact_base, local.row_id, values | {"touched": epoch})
