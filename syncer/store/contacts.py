"""The statements of the two-way contacts: loading rows with all that is known, writing what was decided.

What a listed contact means is decided in `core/contacts.py`; this module only carries it out, in
batches inside one write transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Select, delete, func, insert, literal, or_, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from syncer.core.contacts import Absorbed, Local, absorb
from syncer.core.model import FIELDS, DirectoryContact, Fields, OnConflict, Operation
from syncer.core.normalise import to_e164
from syncer.core.rows import Bits
from syncer.store import log, queue
from syncer.store.tables import contact_base, push_intents, telecmi_contacts

TABLE = "telecmi_contacts"

_C = telecmi_contacts.c
_B = contact_base.c


@dataclass(frozen=True, slots=True)
class Policy:
    """How rows of one account are judged."""

    account: str
    region: str
    on_conflict: OnConflict


@dataclass(slots=True)
class Counts:
    """What a batch, or a run, came to."""

    seen: int = 0
    added: int = 0
    changed: int = 0
    removed: int = 0
    blanks: list[tuple[int, str]] = field(default_factory=list)  #: (row, field) put off


def _query() -> Select[Any]:
    base = [getattr(_B, name).label(f"base_{name}") for name in FIELDS]
    return select(telecmi_contacts, _B.source, _B.touched, *base).outerjoin(contact_base, _B.row_id == _C.id)


def _load(conn: Connection, query: Select[Any]) -> list[Local]:
    rows = conn.execute(query).all()
    ids = [row.id for row in rows]
    changes, intents = queue.load_open(conn, ids), queue.load_intents(conn, ids)
    return [
        Local(
            row_id=row.id,
            account=row.account,
            contact_id=row.contact_id,
            fields=Fields(*(getattr(row, name) or "" for name in FIELDS)),
            phone_e164=row.phone_e164,
            deleted_at=row.deleted_at,
            raw=row.raw,
            base=(
                Fields(*(getattr(row, f"base_{name}") for name in FIELDS))
                if row.source in ("directory", "user_list")
                else None
            ),
            source=row.source or "",
            touched=row.touched or 0,
            changes=tuple(changes.get(row.id, ())),
            intents=tuple(intents.get(row.id, ())),
        )
        for row in rows
    ]


def load_rows(conn: Connection, ids: Iterable[int]) -> dict[int, Local]:
    """Contacts by row id."""
    return {
        one.row_id: one
        for block in queue.chunks(ids)
        for one in _load(conn, _query().where(_C.id.in_(block)))
    }


def load_by_contact_id(conn: Connection, account: str, ids: Sequence[str]) -> dict[str, Local]:
    """Contacts by the directory's id."""
    found = {}
    for block in queue.chunks(ids):
        for one in _load(conn, _query().where(_C.account == account, _C.contact_id.in_(block))):
            found[one.contact_id or ""] = one
    return found


def find_adopters(conn: Connection, account: str, phone: str) -> Local | None:
    """The row without `contact_id` that a directory contact with this number belongs to.

    First rows that sent an add with this number (whatever they say now), then living rows that
    hold it; the oldest of them.
    """
    senders = (
        select(push_intents.c.row_id)
        .where(push_intents.c.operation == Operation.ADD, push_intents.c.phone_e164 == phone)
        .scalar_subquery()
    )
    nobody = _C.contact_id.is_(None)
    for condition in (_C.id.in_(senders), (_C.phone_e164 == phone) & _C.deleted_at.is_(None)):
        found = _load(conn, _query().where(_C.account == account, nobody, condition).order_by(_C.id).limit(1))
        if found:
            return found[0]
    return None


def holder_of(conn: Connection, account: str, phone: str, row_id: int) -> int | None:
    """Another live row of the account with this number that came first, or is known upstream."""
    return conn.execute(
        select(func.min(_C.id))
        .outerjoin(contact_base, (_B.row_id == _C.id) & (_B.source != "gone"))
        .where(
            _C.account == account,
            _C.phone_e164 == phone,
            _C.deleted_at.is_(None),
            _C.id != row_id,
            or_(_C.id < row_id, _C.contact_id.is_not(None), _B.row_id.is_not(None)),
        )
    ).scalar()


def fill_phones(conn: Connection, account: str, region: str) -> int:
    """Fill `phone_e164` where a person changed the number; returns how many rows."""
    query = select(_C.id, _C.phone_no).where(
        _C.account == account, _C.phone_e164.is_(None), func.coalesce(_C.phone_no, "") != ""
    )
    filled = 0
    for row in conn.execute(query).all():
        e164 = to_e164(row.phone_no, region)
        if e164 is not None:
            conn.execute(update(telecmi_contacts).where(_C.id == row.id).values(phone_e164=e164))
            filled += 1
    return filled


def absorb_batch(
    conn: Connection,
    rows: Sequence[DirectoryContact],
    policy: Policy,
    *,
    asked_in: int,
    at: str,
    seen: Bits,
    counts: Counts,
    put_off: Callable[[DirectoryContact], None] | None = None,
    forgotten: Callable[[str | None], bool] = lambda _: False,
) -> None:
    """Write down what the directory showed; `asked_in` is the epoch in which it was asked.

    With `put_off`, a contact of which upstream would turn a field blank is handed back instead: that
    has to be counted over the whole listing first. `seen` takes the ids of all rows shown.
    """
    known = load_by_contact_id(conn, policy.account, [row.contact_id for row in rows])
    epoch = 0
    for row in rows:
        counts.seen += 1
        if forgotten(row.phone_e164):
            continue
        local = known.get(row.contact_id)
        if local is None and row.phone_e164 is not None:
            local = find_adopters(conn, policy.account, row.phone_e164)
        if local is None:
            row_id = _insert(conn, row, policy.account, at, epoch or (epoch := queue.tick(conn)))
            known[row.contact_id] = load_rows(conn, [row_id])[row_id]
            counts.added += 1
            seen.add(row_id)
            continue
        if seen_before := local.row_id in seen:
            pass  # a page that moved while it was read; the later value stands
        seen.add(local.row_id)
        if _unchanged(local, row) or (local.touched > asked_in and not seen_before):
            continue
        outcome = absorb(local, row, region=policy.region, on_conflict=policy.on_conflict)
        if put_off is not None and outcome.blanks:
            counts.blanks += [(local.row_id, name) for name in outcome.blanks]
            put_off(row)
            continue
        if _save(conn, local, row, outcome, policy, at, epoch or (epoch := queue.tick(conn))):
            counts.changed += 1
        known[row.contact_id] = load_rows(conn, [local.row_id])[local.row_id]


def needs_writing(conn: Connection, rows: Sequence[DirectoryContact], account: str, seen: Bits) -> bool:
    """Whether any of these differs from the mirror; those that do not are marked as seen."""
    known: dict[str, Any] = {}
    for block in queue.chunks([row.contact_id for row in rows]):
        query = (
            select(_C.id, _C.contact_id, _C.raw, _C.deleted_at, _B.source)
            .outerjoin(contact_base, _B.row_id == _C.id)
            .where(_C.account == account, _C.contact_id.in_(block))
        )
        known |= {row.contact_id: row for row in conn.execute(query)}
    busy = queue.load_open(conn, [row.id for row in known.values()])
    for row in rows:
        there = known.get(row.contact_id)
        if there is None or there.raw != row.raw or there.id in busy:
            return True
        if there.deleted_at is not None or there.source != "directory":
            return True
    for row in rows:
        seen.add(known[row.contact_id].id)
    return False


def _unchanged(local: Local, row: DirectoryContact) -> bool:
    return (
        local.raw == row.raw
        and local.contact_id == row.contact_id
        and not local.deleted
        and local.source == "directory"
        and not local.changes
    )


def _insert(conn: Connection, row: DirectoryContact, account: str, at: str, epoch: int) -> int:
    values = {name: row.fields.get(name) or None for name in FIELDS}
    result = conn.execute(
        insert(telecmi_contacts)
        .values(
            account=account,
            contact_id=row.contact_id,
            phone_e164=row.phone_e164,
            first_seen_at=at,
            last_changed_at=at,
            raw=row.raw,
            **values,
        )
        .returning(_C.id)
    )
    row_id = int(result.scalar_one())
    save_base(conn, row_id, account, row.fields, "directory", row.contact_id, epoch, row.phone_e164)
    log.inserted(conn, TABLE, row_id, at)
    return row_id


def save_base(
    conn: Connection,
    row_id: int,
    account: str,
    fields: Fields,
    source: str,
    contact_id: str | None,
    epoch: int,
    phone_e164: str | None,
) -> None:
    """Write down what is agreed on from now on."""
    values = {"account": account, "source": source, "contact_id": contact_id, "touched": epoch}
    values["phone_e164"] = phone_e164
    values |= fields.asdict()
    conn.execute(
        upsert(contact_base)
        .values(row_id=row_id, **values)
        .on_conflict_do_update(index_elements=["row_id"], set_=values)
    )


def forget_base(conn: Connection, row_id: int, epoch: int) -> None:
    """Upstream no longer has the contact; when that was learnt stays on record."""
    conn.execute(update(contact_base).where(_B.row_id == row_id).values(source="gone", touched=epoch))


def take_over(
    conn: Connection, local: Local, remote: DirectoryContact, policy: Policy, at: str, epoch: int
) -> bool:
    """Absorb one contact; True when people see a change."""
    outcome = absorb(local, remote, region=policy.region, on_conflict=policy.on_conflict)
    return _save(conn, local, remote, outcome, policy, at, epoch)


def _save(
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
    if local.raw != row.raw:
        values["raw"] = row.raw
    if local.contact_id != row.contact_id:
        values["contact_id"] = row.contact_id
    if told:
        values["last_changed_at"] = at
    if values:
        conn.execute(update(telecmi_contacts).where(_C.id == local.row_id).values(**values))
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
    if outcome.settled:
        queue.drop_intents(conn, local.row_id)
    return told


def tombstone(conn: Connection, row_id: int, at: str, *, origin: str = "upstream") -> None:
    """The contact is gone upstream: its row stays, marked, and its base with it."""
    conn.execute(
        update(telecmi_contacts)
        .where(_C.id == row_id, _C.deleted_at.is_(None))
        .values(deleted_at=at, last_changed_at=at)
    )
    forget_base(conn, row_id, queue.tick(conn))
    log.removed(conn, TABLE, row_id, at, origin)


def detach(conn: Connection, row_id: int, at: str) -> None:
    """Upstream lost a contact that was edited here: the row starts anew, as one to be added."""
    conn.execute(update(telecmi_contacts).where(_C.id == row_id).values(contact_id=None, raw=None))
    conn.execute(delete(contact_base).where(_B.row_id == row_id))
    queue.drop_intents(conn, row_id)
    log.changed(conn, TABLE, row_id, {"contact_id": ("gone", None)}, at, "upstream")


def show_base(conn: Connection, local: Local, names: Iterable[str], region: str, at: str) -> None:
    """Let fields of the row show upstream's values again; what stood there goes on record."""
    assert local.base is not None
    values: dict[str, Any] = {}
    for name in names:
        old, new = local.fields.get(name), local.base.get(name)
        if old != new:
            values[name] = new or None
    if not values:
        return
    log.changed(
        conn,
        TABLE,
        local.row_id,
        {n: (local.fields.get(n), local.base.get(n)) for n in values},
        at,
        "upstream",
    )
    if "phone_no" in values:
        values["phone_e164"] = to_e164(values["phone_no"], region)
    conn.execute(update(telecmi_contacts).where(_C.id == local.row_id).values(last_changed_at=at, **values))


def revive(conn: Connection, local: Local, at: str) -> None:
    """Take a local delete back: the row lives again as it was."""
    if local.deleted_at is None:
        return
    conn.execute(
        update(telecmi_contacts).where(_C.id == local.row_id).values(deleted_at=None, last_changed_at=at)
    )
    log.changed(conn, TABLE, local.row_id, {"deleted_at": (local.deleted_at, None)}, at, "upstream")


def live_count(conn: Connection, account: str) -> int:
    """Living rows of the account that the directory knows."""
    return int(
        conn.execute(
            select(func.count())
            .select_from(telecmi_contacts.join(contact_base, _B.row_id == _C.id))
            .where(_C.account == account, _C.deleted_at.is_(None), _B.source == literal("directory"))
        ).scalar_one()
    )


def filled_counts(conn: Connection, account: str, columns: Iterable[str]) -> dict[str, int]:
    """By column: how many living rows of the directory have a value in it."""
    out = {}
    for name in columns:
        out[name] = int(
            conn.execute(
                select(func.count())
                .select_from(contact_base.join(telecmi_contacts, _B.row_id == _C.id))
                .where(
                    _B.account == account,
                    _B.source == "directory",
                    _C.deleted_at.is_(None),
                    getattr(_B, name) != "",
                )
            ).scalar_one()
        )
    return out


def unseen(conn: Connection, account: str, seen: Bits, since_epoch: int) -> tuple[list[int], list[int]]:
    """Directory rows that a listing begun in `since_epoch` did not show: living here, and deleted here."""
    query = (
        select(_C.id, _C.deleted_at)
        .join(contact_base, _B.row_id == _C.id)
        .where(_C.account == account, _B.source == "directory", _B.touched <= since_epoch)
        .order_by(_C.id)
    )
    living: list[int] = []
    deleted: list[int] = []
    for row_id, deleted_at in conn.execute(query):
        if row_id not in seen:
            (living if deleted_at is None else deleted).append(row_id)
    return living, deleted
