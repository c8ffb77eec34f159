"""The statements that take over what the directory showed: in batches, only rows that differ.

What a listed contact means is decided in `core/contacts.py`. New rows, most of a first pull, are
written many at a time; all others one by one, since each may move changes of the queue.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, func, insert, literal, select

from syncer.core.contacts import Absorbed, Local, absorb
from syncer.core.model import FIELDS, DirectoryContact
from syncer.core.normalise import to_e164
from syncer.core.rows import Bits, differing_fields
from syncer.store import bulk, log, queue, waiting
from syncer.store.contacts import TABLE, Policy, load_adopters, load_by_contact_id, load_rows, save_base
from syncer.store.tables import contact_base, telecmi_contacts

_C = telecmi_contacts.c


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


@dataclass(slots=True)
class Absorbing:
    """One reading of the directory, as it is taken over."""

    policy: Policy
    asked_in: int = 0  #: the epoch in which the rows at hand were asked for
    at: str = ""
    seen: Bits = field(default_factory=Bits)
    #: Contacts that were sifted out and are still to be written: what comes of them again comes after.
    unwritten: set[str] = field(default_factory=set)
    counts: Counts = field(default_factory=Counts)
    #: Takes contacts of which upstream would turn a field blank: that has to be counted over the
    #: whole listing first. None: they are taken over as they are.
    put_off: Callable[[DirectoryContact], None] | None = None
    ignored: frozenset[str] = frozenset()  #: vendor fields that change on every read
    forgotten: Callable[[str | None], bool] = field(default=lambda _: False)


@lru_cache(maxsize=64)
def _standing(count: int) -> str:
    """How so many contacts stand here: `open` where a change of one is."""
    marks = ", ".join("?" * count)
    return (
        f"SELECT c.id, c.contact_id, c.raw, c.deleted_at, b.source, {waiting.OPEN_CHANGES} AS open "
        "FROM telecmi_contacts c LEFT JOIN contact_base b ON b.row_id = c.id "
        f"WHERE c.account = ? AND c.contact_id IN ({marks})"
    )


def sift(conn: Connection, work: Absorbing, rows: Sequence[DirectoryContact]) -> list[DirectoryContact]:
    """Those of the rows that differ from the mirror; the others are marked as seen, and done with."""
    known: dict[str, Any] = {}
    for block in queue.chunks([row.contact_id for row in rows]):
        found = conn.exec_driver_sql(_standing(len(block)), (work.policy.account, *block))
        known |= {row.contact_id: row for row in found}
    waits = {
        there.id: row.fields
        for row in rows
        if (there := known.get(row.contact_id)) is not None and there.open == waiting.WAITS
    }
    untouched = waiting.untouched(conn, waits, work.policy.region)
    differing: list[DirectoryContact] = []
    for row in rows:
        there = known.get(row.contact_id)
        if there is None and work.forgotten(row.phone_e164):
            work.counts.seen += 1
            work.counts.forgotten += 1
        elif (
            there is None
            or row.contact_id in work.unwritten
            or (there.open and there.id not in untouched)
            or there.deleted_at is not None
            or there.source != "directory"
            or not _same_raw(there.raw, row.raw, work.ignored)
        ):
            differing.append(row)
            work.unwritten.add(row.contact_id)
        else:
            work.counts.seen += 1
            work.seen.add(there.id)
    return differing


def _same_raw(old: str | None, new: str, ignored: frozenset[str]) -> bool:
    return old == new or bool(ignored and old and differing_fields(old, new) <= ignored)


def absorb_batch(conn: Connection, work: Absorbing, rows: Sequence[DirectoryContact]) -> None:
    """Write down what the directory showed."""
    policy, counts, seen = work.policy, work.counts, work.seen
    ids = Counter(row.contact_id for row in rows)
    work.unwritten.difference_update(ids)
    known = load_by_contact_id(conn, policy.account, list(ids))
    new_phones = {row.phone_e164 for row in rows if row.contact_id not in known and row.phone_e164}
    adopters = load_adopters(conn, policy.account, new_phones)
    epoch = queue.tick(conn)
    fresh: dict[str, DirectoryContact] = {}
    for row in rows:
        counts.seen += 1
        if work.forgotten(row.phone_e164) and row.contact_id not in known:
            counts.forgotten += 1
            continue
        local = known.get(row.contact_id)
        if local is None and row.phone_e164 is not None:
            local = adopters.pop(row.phone_e164, None)
        if local is None:
            fresh[row.contact_id] = row  # one that came twice: the later value stands
            continue
        if _take(conn, work, local, row, epoch) and ids[row.contact_id] > 1:
            known[row.contact_id] = load_rows(conn, [local.row_id])[local.row_id]
    for row_id in _insert(conn, list(fresh.values()), policy.account, work.at, epoch):
        seen.add(row_id)
    counts.added += len(fresh)


def _take(conn: Connection, work: Absorbing, local: Local, row: DirectoryContact, epoch: int) -> bool:
    """Take over one contact that the mirror has; True when anything was written."""
    seen_before = not work.seen.add(local.row_id)
    if _unchanged(local, row, work.ignored):
        return False
    if local.touched > work.asked_in and not seen_before:
        return False  # what is known of it is younger than this page
    policy, counts = work.policy, work.counts
    outcome = absorb(local, row, region=policy.region, on_conflict=policy.on_conflict)
    if work.put_off is not None and outcome.blanks:
        counts.blanks += [(local.row_id, name) for name in outcome.blanks]
        work.put_off(row)
        return False
    if save(conn, local, row, outcome, policy, work.at, epoch):
        counts.changed += 1
    elif not outcome.moves and not outcome.new and local.raw != row.raw and local.base == outcome.base:
        counts.quiet += 1
        differing = differing_fields(local.raw, row.raw) - work.ignored
        if len(differing) == 1:
            counts.volatile.update(differing - set(FIELDS))
    return True


def _unchanged(local: Local, row: DirectoryContact, ignored: frozenset[str]) -> bool:
    return (
        local.contact_id == row.contact_id
        and not local.deleted
        and local.source == "directory"
        and not local.changes
        and _same_raw(local.raw, row.raw, ignored)
    )


#: The columns of a new row, in the order of the table.
_SHOWN = ("id", "account", "contact_id", "phone_no", "phone_e164", "first_name", "last_name", "email_id",
          "company", "job_title", "first_seen_at", "last_changed_at", "raw")  # fmt: skip


def _insert(
    conn: Connection, rows: Sequence[DirectoryContact], account: str, at: str, epoch: int
) -> Iterable[int]:
    """Write new rows, their bases and log entries, a statement each; returns the row ids."""
    if not rows:
        return []
    shown = []
    for row in rows:
        phone_no, *others = [value or None for value in row.fields.values()]
        shown.append((account, row.contact_id, phone_no, row.phone_e164, *others, at, at, row.raw))
    ids = bulk.insert_new(conn, telecmi_contacts, _SHOWN, shown, at)
    agreed = {name: func.coalesce(_C[name], "") for name in FIELDS}
    base = {
        "row_id": _C.id, "account": _C.account, "source": literal("directory"), "contact_id": _C.contact_id,
        **agreed, "phone_e164": _C.phone_e164, "touched": literal(epoch),
    }  # fmt: skip
    new = select(*base.values()).where(_C.id.between(ids[0], ids[-1]))
    conn.execute(insert(contact_base).from_select(list(base), new))
    return ids


def take_over(
    conn: Connection, local: Local, remote: DirectoryContact, policy: Policy, at: str, epoch: int
) -> bool:
    """Absorb one contact; True when people see a change."""
    outcome = absorb(local, remote, region=policy.region, on_conflict=policy.on_conflict)
    return save(conn, local, remote, outcome, policy, at, epoch)


def save(
    conn: Connection,
    local: Local,
    row: DirectoryContact,
    outcome: Absorbed,
    policy: Policy,
    at: str,
    epoch: int,
) -> bool:
    """Carry out what was decided; True when people see a change."""
    values: dict[str, Any] = {}
    for name in FIELDS:
        if outcome.local.get(name) != local.fields.get(name):
            values[name] = outcome.local.get(name) or None
    if "phone_no" in values or local.phone_e164 is None:
        e164 = to_e164(outcome.local.phone_no, policy.region)
        if e164 != local.phone_e164:
            values["phone_e164"] = e164
    told = bool(outcome.taken) or outcome.restored
    if outcome.restored:
        values["deleted_at"] = None
        log.changed(conn, TABLE, local.row_id, {"deleted_at": (local.deleted_at, None)}, at, "upstream")
    changes = (
        {n: (local.fields.get(n), outcome.local.get(n)) for n in FIELDS if n in values}
        if outcome.restored
        else dict(outcome.taken)
    )
    log.changed(conn, TABLE, local.row_id, changes, at, "upstream")
    log.changed(conn, TABLE, local.row_id, outcome.overruled, at, "local")  # what lost stays on record
    if local.raw != row.raw:
        values["raw"] = row.raw
    if local.contact_id != row.contact_id:
        values["contact_id"] = row.contact_id
    if told:
        values["last_changed_at"] = at
    if values:
        bulk.update_row(conn, telecmi_contacts, local.row_id, values)
    if outcome.base != local.base or local.source != "directory" or local.contact_id != row.contact_id:
        save_base(
            conn,
            local.row_id,
            policy.account,
            outcome.base,
            "directory",
            row.contact_id,
            epoch,
            to_e164(outcome.base.phone_no, policy.region),
        )
    for step in outcome.moves:
        queue.apply_move(conn, step, at)
    for new in outcome.new:
        queue.add_change(conn, policy.account, local.row_id, new, at)
    if outcome.settled and local.intents:
        queue.drop_intents(conn, local.row_id)
    return told
