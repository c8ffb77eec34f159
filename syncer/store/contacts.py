"""The statements of the two-way contacts: loading rows with all that is known, writing what was decided.

What a listed contact means is decided in `core/contacts.py`; this module only carries it out, in
batches inside one write transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, bindparam, delete, func, literal, or_, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

from syncer.core.contacts import Local
from syncer.core.model import FIELDS, Fields, OnConflict, Operation
from syncer.core.normalise import to_e164
from syncer.core.queue import OPEN
from syncer.core.rows import Bits
from syncer.store import log, queue
from syncer.store.tables import change_queue, contact_base, push_intents, telecmi_contacts

TABLE = "telecmi_contacts"

_C = telecmi_contacts.c
_B = contact_base.c


@dataclass(frozen=True, slots=True)
class Policy:
    """How rows of one account are judged."""

    account: str
    region: str
    on_conflict: OnConflict


def _query() -> Select[Any]:
    base = [getattr(_B, name).label(f"base_{name}") for name in FIELDS]
    return select(telecmi_contacts, _B.source, _B.touched, *base).outerjoin(contact_base, _B.row_id == _C.id)


#: Made once, since it costs more to write than to run.
_BY_ID = _query().where(_C.id.in_(bindparam("ids", expanding=True)))


def _load(conn: Connection, query: Select[Any], **values: Any) -> list[Local]:
    rows = conn.execute(query, values).all()
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
    return {one.row_id: one for block in queue.chunks(ids) for one in _load(conn, _BY_ID, ids=block)}


def load_by_contact_id(conn: Connection, account: str, ids: Sequence[str]) -> dict[str, Local]:
    """Contacts by the directory's id."""
    there: list[int] = []
    for block in queue.chunks(ids):
        marks = ", ".join("?" * len(block))
        query = f"SELECT id FROM telecmi_contacts WHERE account = ? AND contact_id IN ({marks})"
        there += conn.exec_driver_sql(query, (account, *block)).scalars()
    return {one.contact_id or "": one for one in load_rows(conn, there).values()}


def load_adopters(conn: Connection, account: str, phones: Iterable[str]) -> dict[str, Local]:
    """Rows without `contact_id` to which a directory contact with a number belongs, by number.

    First rows that sent an add with this number (whatever they say now), then living rows that
    hold it; the oldest of them.
    """
    out: dict[str, Local] = {}
    unknown = select(_C.id).where(_C.account == account, _C.contact_id.is_(None)).limit(1)
    if conn.execute(unknown).first() is None:
        return out  # as in most of a first pull: nobody is there to adopt anything
    for block in queue.chunks(phones):
        senders = select(push_intents.c.phone_e164, push_intents.c.row_id).where(
            push_intents.c.operation == Operation.ADD, push_intents.c.phone_e164.in_(block)
        )
        sent = [(phone, row_id) for phone, row_id in conn.execute(senders.order_by(push_intents.c.row_id))]
        nobody = (_C.account == account) & _C.contact_id.is_(None)
        holders = _load(
            conn,
            _query().where(nobody, _C.phone_e164.in_(block), _C.deleted_at.is_(None)).order_by(_C.id),
        )
        rows = load_rows(conn, {row_id for _, row_id in sent}) if sent else {}
        for phone, row_id in sent:
            local = rows.get(row_id)
            if local is not None and local.account == account and local.contact_id is None:
                out.setdefault(phone, local)
        for local in holders:
            out.setdefault(local.phone_e164 or "", local)
    return out


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


def leaving(conn: Connection, account: str, phone: str) -> tuple[int, int] | None:
    """A contact deleted here that upstream still has under this number: (row, change of its delete)."""
    row = conn.execute(
        select(_C.id, change_queue.c.id.label("change"))
        .join(contact_base, (_B.row_id == _C.id) & (_B.source == "directory"))
        .join(change_queue, change_queue.c.contact_row == _C.id)
        .where(
            _C.account == account,
            _B.phone_e164 == phone,
            _C.deleted_at.is_not(None),
            change_queue.c.operation == Operation.DELETE,
            change_queue.c.state.in_(list(OPEN)),
        )
    ).first()
    return None if row is None else (row.id, row.change)


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
    conn.execute(_SAVE_BASE, values | {"row_id": row_id, "phone_e164": phone_e164} | fields.asdict())


_AGREED = ("account", "source", "contact_id", "touched", "phone_e164", *FIELDS)
_SAVE_BASE = (
    upsert(contact_base)
    .values({name: bindparam(name) for name in ("row_id", *_AGREED)})
    .on_conflict_do_update(index_elements=["row_id"], set_={name: bindparam(name) for name in _AGREED})
)


def forget_base(conn: Connection, row_id: int, epoch: int) -> None:
    """Upstream no longer has the contact; when that was learnt stays on record."""
    conn.execute(update(contact_base).where(_B.row_id == row_id).values(source="gone", touched=epoch))


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
    )  # not sorted there, which would write all of a large mirror into a temporary file
    living: list[int] = []
    deleted: list[int] = []
    for row_id, deleted_at in conn.execute(query):
        if row_id not in seen:
            (living if deleted_at is None else deleted).append(row_id)
    return sorted(living), sorted(deleted)
