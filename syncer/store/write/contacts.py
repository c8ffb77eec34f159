"""Loads the two-way contacts with their base, changes and intents, and writes what was decided about them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, func, or_, select, update

from syncer.core.contacts import Intent, Local, QueuedChange
from syncer.core.model import FIELDS, Fields, OnConflict, Operation, State
from syncer.core.normalise import to_e164
from syncer.core.numbers import PendingRelease
from syncer.core.queue import WAITING
from syncer.store.db import statements
from syncer.store.db.columns import OPEN_STATES
from syncer.store.db.read_only import chunks, first, record, tuples
from syncer.store.db.tables import contact_base, push_intents, telecmi_contacts
from syncer.store.write import changelog, queue

TABLE = "telecmi_contacts"

_C = telecmi_contacts.c
_B = contact_base.c


@dataclass(frozen=True, slots=True)
class Policy:
    """The settings that decisions about an account depend on."""

    account: str
    region: str
    on_conflict: OnConflict


def _query(condition: str) -> str:
    """SQL for contacts with their base, and whether they have open changes, and intents."""
    columns = [f"c.{name}" for name in ("id", "account", "contact_id", "phone_e164", "deleted_at", "raw")]
    columns += ["b.source", "b.touched", *(f"c.{name}" for name in FIELDS), *(f"b.{name}" for name in FIELDS)]
    return (
        f"SELECT EXISTS (SELECT 1 FROM change_queue q WHERE q.contact_row = c.id AND q.state IN ({OPEN_STATES})), "
        f"EXISTS (SELECT 1 FROM push_intents i WHERE i.row_id = c.id), {', '.join(columns)} "
        f"FROM telecmi_contacts c LEFT JOIN contact_base b ON b.row_id = c.id WHERE {condition}"
    )


#: All ids are one JSON parameter, so SQLite prepares each statement only once.
BY_ID = _query("c.id IN (SELECT value FROM json_each(?))")
BY_CONTACT_ID = _query("c.account = ? AND c.contact_id IN (SELECT value FROM json_each(?))")
NOBODY = _query(
    # The `+` keeps SQLite from using another index than the one of the number.
    "+c.account = ? AND (+c.contact_id IS NULL OR b.source = 'gone') AND c.deleted_at IS NULL "
    "AND c.phone_e164 IN (SELECT value FROM json_each(?)) ORDER BY c.id"
)

_SIX = len(FIELDS)


def _load(conn: Connection, query: str, *values: Any) -> list[Local]:
    rows = tuples(conn, query, *values)
    changes = queue.load_open(conn, [row[2] for row in rows if row[0]])
    intents = queue.load_intents(conn, [row[2] for row in rows if row[1]])
    return [_local(row, changes, intents) for row in rows]


def _local(
    row: tuple[Any, ...], changes: Mapping[int, list[QueuedChange]], intents: Mapping[int, list[Intent]]
) -> Local:
    waits, sent, row_id, account, contact_id, phone_e164, deleted_at, raw, source, touched = row[: -2 * _SIX]
    shown, agreed = row[-2 * _SIX : -_SIX], row[-_SIX:]
    return Local(
        row_id,
        account,
        contact_id,
        Fields(*[value or "" for value in shown]),
        phone_e164,
        deleted_at,
        raw,
        Fields(*agreed) if source in ("directory", "user_list") else None,
        source or "",
        touched or 0,
        tuple(changes.get(row_id, ())) if waits else (),
        tuple(intents.get(row_id, ())) if sent else (),
    )


def load_rows(conn: Connection, ids: Iterable[int]) -> dict[int, Local]:
    """Contacts by row id."""
    found = (one for block in chunks(ids) for one in _load(conn, BY_ID, json.dumps(block)))
    return {one.row_id: one for one in found}


def load_by_contact_id(conn: Connection, account: str, ids: Iterable[str]) -> dict[str, Local]:
    """Contacts by the directory's id."""
    blocks = chunks(ids)
    found = (one for block in blocks for one in _load(conn, BY_CONTACT_ID, account, json.dumps(block)))
    return {one.contact_id or "": one for one in found}


def load_adopters(conn: Connection, account: str, phones: Iterable[str]) -> dict[str, Local]:
    """The rows without a contact_id that should adopt a contact of the directory, by its number.

    Rows that sent an add with this number come first, even if it has changed since. Then live rows that have it,
    including those that were restored after upstream had deleted them. The oldest of several rows counts.
    """
    out: dict[str, Local] = {}
    for block in chunks(phones):
        senders = select(push_intents.c.phone_e164, push_intents.c.row_id).where(
            push_intents.c.operation == Operation.ADD, push_intents.c.phone_e164.in_(block)
        )
        sent = conn.execute(senders.order_by(push_intents.c.row_id)).all()
        holders = _load(conn, NOBODY, account, json.dumps(block))
        rows = load_rows(conn, {row_id for _, row_id in sent}) if sent else {}
        for phone, row_id in sent:
            local = rows.get(row_id)
            if local is not None and local.account == account and local.contact_id is None:
                out.setdefault(phone, local)
        for local in holders:
            out.setdefault(local.phone_e164 or "", local)
    return out


def phone_owner(conn: Connection, account: str, phone: str, row_id: int) -> int | None:
    """Another live row of the account with this number that is older or in the directory.

    Younger rows outside the directory do not count: they have not been added yet, or come from the user's list
    and are removed once the directory has the number again.
    """
    return conn.execute(
        select(func.min(_C.id))
        .outerjoin(contact_base, (_B.row_id == _C.id) & (_B.source == "directory"))
        .where(
            _C.account == account,
            _C.phone_e164 == phone,
            _C.deleted_at.is_(None),
            _C.id != row_id,
            or_(_C.id < row_id, _B.row_id.is_not(None)),
        )
    ).scalar()


def pending_releases(conn: Connection, account: str, region: str) -> dict[str, PendingRelease]:
    """Contacts that give up a number locally, by the number (in E.164) that they have upstream.

    A contact may also have any number upstream that was sent since its base last changed. If both sides changed
    the number, the one that upstream showed counts. The newest of several changes of a contact counts.
    """
    out = {}
    for number, row, deleted, takes, change, state, stored in tuples(conn, _LEAVING, account, account):
        clash = json.loads(stored or "{}").get("phone_no")
        if state == State.CONFLICT and clash is None and not deleted:
            continue  # the change is about other fields
        there = to_e164(clash["remote"], region) if clash else number
        if there is not None:
            what = "delete" if deleted else "new number"
            out[there] = PendingRelease(
                row, change, what, State(state) in WAITING, None if deleted else takes
            )
    return out


_GIVES_UP = f"""
    SELECT {{number}}, c.id, c.deleted_at IS NOT NULL, c.phone_e164, q.id AS change, q.state, q.clashes
    FROM change_queue q JOIN telecmi_contacts c ON c.id = q.contact_row JOIN {{source}}
    WHERE q.account = ? AND q.state IN ({OPEN_STATES}) AND {{number}} IS NOT NULL
        AND (q.operation = 'delete') = (c.deleted_at IS NOT NULL)
        AND (c.deleted_at IS NOT NULL OR c.phone_e164 IS NOT {{number}})"""
_LEAVING = (
    _GIVES_UP.format(
        number="b.phone_e164", source="contact_base b ON b.row_id = c.id AND b.source = 'directory'"
    )
    + "UNION"
    + _GIVES_UP.format(
        number="i.phone_e164", source="push_intents i ON i.row_id = c.id AND i.operation <> 'delete'"
    )
    + "ORDER BY change"
)


def upstream_phone_owner(conn: Connection, account: str, number: str, row_id: int) -> int | None:
    """Another row that has a number in the directory."""
    query = (
        "SELECT min(row_id) FROM contact_base "
        "WHERE account = ? AND phone_e164 = ? AND source = 'directory' AND row_id <> ?"
    )
    holder: int | None = first(conn, query, account, number, row_id)
    return holder


def was_given_up(conn: Connection, policy: Policy, number: str, row_id: int, since: str) -> bool:
    """Whether a request for another row that was sent since then may have freed a number."""
    query = """
        SELECT l.old FROM change_queue q JOIN change_log l ON l.table_name = 'telecmi_contacts'
            AND l.row_id = q.contact_row AND l.field = 'phone_no'
        WHERE q.account = ? AND q.contact_row <> ? AND q.sent_at >= ?
        UNION SELECT b.phone_e164 FROM change_queue q JOIN contact_base b ON b.row_id = q.contact_row
        WHERE q.account = ? AND q.contact_row <> ? AND q.sent_at >= ? AND q.operation = 'delete'"""
    values = (policy.account, row_id, since)
    return any(
        to_e164(old, policy.region) == number for (old,) in tuples(conn, query, *values, *values) if old
    )


#: The `+` keeps SQLite from reading all rows of the account instead of the few without a number.
UNFILLED = (
    "SELECT id, phone_no FROM telecmi_contacts "
    "WHERE phone_e164 IS NULL AND +account = ? AND COALESCE(phone_no, '') <> ''"
)


def unfilled(conn: Connection, account: str, region: str) -> list[tuple[str, int]]:
    """Rows whose number a person changed: (phone_e164, row id)."""
    read = [(to_e164(phone_no, region), row_id) for row_id, phone_no in tuples(conn, UNFILLED, account)]
    return [(e164, row_id) for e164, row_id in read if e164 is not None]


def fill_phones(conn: Connection, account: str, region: str) -> None:
    """Fill in `phone_e164` after people changed numbers."""
    statements.update_rows(conn, telecmi_contacts, ("phone_e164",), unfilled(conn, account, region))


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
    """Set the base of a row. Only what differs is written: SQLite also writes the index of each column that is set."""
    agreed = {
        "account": account,
        "source": source,
        "contact_id": contact_id,
        "touched": epoch,
        "phone_e164": phone_e164,
        **fields.asdict(),
    }
    there = record(conn, f"SELECT {', '.join(agreed)} FROM contact_base WHERE row_id = ?", row_id)
    if there:
        changed = {name: value for name, value in agreed.items() if value != there[name]}
        statements.update_row(conn, contact_base, row_id, changed)
    else:
        statements.insert_rows(conn, contact_base, ("row_id", *agreed), [(row_id, *agreed.values())])


def forget_base(conn: Connection, row_id: int) -> None:
    """Record that upstream no longer has the contact."""
    statements.update_row(conn, contact_base, row_id, {"source": "gone", "touched": queue.next_epoch(conn)})


def tombstone(conn: Connection, row_id: int, at: str) -> None:
    """Delete the row of a contact that is gone upstream, and mark its base."""
    conn.execute(
        update(telecmi_contacts)
        .where(_C.id == row_id, _C.deleted_at.is_(None))
        .values(deleted_at=at, last_changed_at=at)
    )
    forget_base(conn, row_id)
    changelog.removed(conn, TABLE, row_id, at)


def unlink(conn: Connection, row_id: int, at: str) -> None:
    """Detach a row from the contact that upstream deleted, so that it can be added again."""
    statements.update_row(conn, telecmi_contacts, row_id, {"contact_id": None, "raw": None})
    conn.execute(delete(contact_base).where(_B.row_id == row_id))
    queue.drop_intents(conn, row_id)
    changelog.changed(conn, TABLE, row_id, {"contact_id": ("gone", None)}, at, "upstream")


def show_base(conn: Connection, local: Local, names: Iterable[str], region: str, at: str) -> None:
    """Set fields of the row to upstream's values. The old values are logged."""
    assert local.base is not None
    both = {name: (local.fields.get(name), local.base.get(name)) for name in names}
    changes = {name: (old, new) for name, (old, new) in both.items() if old != new}
    if not changes:
        return
    changelog.changed(conn, TABLE, local.row_id, changes, at, "upstream")
    values = {"last_changed_at": at} | {name: new or None for name, (_, new) in changes.items()}
    if "phone_no" in values:
        values["phone_e164"] = to_e164(values["phone_no"], region)
    statements.update_row(conn, telecmi_contacts, local.row_id, values)


def revive(conn: Connection, local: Local, at: str) -> None:
    """Undo a local delete. The row keeps its values."""
    if local.deleted_at is None:
        return
    statements.update_row(conn, telecmi_contacts, local.row_id, {"deleted_at": None, "last_changed_at": at})
    changelog.changed(conn, TABLE, local.row_id, {"deleted_at": (local.deleted_at, None)}, at, "upstream")


#: SQL: FROM and WHERE of an account's live rows that are in the directory.
LIVE_ROWS = """
    FROM telecmi_contacts c JOIN contact_base r ON r.row_id = c.id
    WHERE c.account = ? AND c.deleted_at IS NULL AND r.source = 'directory'"""


def live_count(conn: Connection, account: str) -> int:
    """How many live rows of the account are in the directory."""
    return int(first(conn, f"SELECT count(*) {LIVE_ROWS}", account))
