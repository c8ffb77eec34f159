"""The statements for contacts that are only in a user's own list (TeleCMI v2).

Each is also a row of `telecmi_contacts`, without a `contact_id`, so that people can edit it. An edit queues an add.
`core/user_list.py` decides what the list's row means for the contact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, exists, or_, select

from syncer.core.contacts import Local
from syncer.core.model import FIELDS, Fields
from syncer.core.user_list import ListRow, derived, follow_list
from syncer.store.db import statements
from syncer.store.db.tables import contact_base, telecmi_contacts, telecmi_user_contacts
from syncer.store.write import changelog, contacts, queue
from syncer.store.write.contacts import TABLE, Policy

_C, _B, _U = telecmi_contacts.c, contact_base.c, telecmi_user_contacts.c
_DIRECTORY = contact_base.alias().c

#: Whether the directory has the number of a base.
_in_directory = exists().where(
    _DIRECTORY.account == _B.account,
    _DIRECTORY.phone_e164 == _B.phone_e164,
    _DIRECTORY.source == "directory",
)


@dataclass(frozen=True, slots=True)
class ToDo:
    """The ids of rows that may need an update, which reads them again."""

    missing: tuple[int, ...]  #: rows of the list without a contact, newest first
    followers: tuple[int, ...]  #: contacts that come only from the list and may differ from it


def to_do(conn: Connection, policy: Policy) -> ToDo:
    """The differences between the list and its contacts.

    Call it only after a complete listing of the directory and a later full listing of the user list.
    """
    missing = conn.execute(_missing(policy).with_only_columns(_U.id)).scalars()
    return ToDo(tuple(missing), tuple(conn.execute(_doubtful(policy)).scalars()))


def _missing(policy: Policy) -> Select[Any]:
    known = exists().where(_B.account == policy.account, _B.source != "gone")
    here = exists().where(
        _C.account == policy.account, _C.deleted_at.is_(None), _C.phone_e164 == _U.phone_e164
    )
    return (
        select(telecmi_user_contacts)
        .where(
            _U.account == policy.account,
            _U.deleted_at.is_(None),
            ~known.where(_B.phone_e164 == _U.phone_e164),
            _U.phone_e164.is_not(None) | ~known.where(_B.phone_no == _U.mobile),  # an unreadable number
            ~here,
        )
        .order_by(_U.time.desc(), _U.id)
    )


def add(conn: Connection, policy: Policy, ids: Sequence[int], at: str) -> int:
    """Create contacts from rows of the list. Returns how many."""
    rows: dict[str, Row[Any]] = {}
    for row in conn.execute(_missing(policy).where(_U.id.in_(ids))):
        rows.setdefault(row.phone_e164 or row.mobile, row)  # the newest of several spellings of a number
    if not rows:
        return 0
    shown, bases, epoch = [], [], queue.next_epoch(conn)
    for row in rows.values():
        phone_no, *others = derived(row.name, row.mobile, row.email)
        filled = [value or None for value in others]
        shown.append((policy.account, phone_no or None, row.phone_e164, *filled, at, at, row.raw))
        bases.append((policy.account, "user_list", phone_no, *others, row.phone_e164, epoch))
    columns = ("account", "phone_no", "phone_e164", *FIELDS[1:], "first_seen_at", "last_changed_at", "raw")
    new = statements.insert_listed(conn, telecmi_contacts, columns, shown, at)
    agreed = ("row_id", "account", "source", *FIELDS, "phone_e164", "touched")
    statements.insert_rows(
        conn, contact_base, agreed, [(row_id, *base) for row_id, base in zip(new, bases, strict=True)]
    )
    return len(new)


def _doubtful(policy: Policy) -> Select[Any]:
    """Contacts that come only from the list, and whose row there has changed."""
    listed = exists().where(_U.account == policy.account, _U.deleted_at.is_(None))
    by_number = listed.where(_U.phone_e164 == _B.phone_e164)
    by_text = listed.where(_B.phone_e164.is_(None), _U.mobile == _B.phone_no)  # an unreadable number
    # Not one EXISTS with OR: SQLite would compare each contact with the whole list.
    same = or_(by_number.where(_U.raw == _C.raw), by_text.where(_U.raw == _C.raw))
    other = by_number.where(_U.raw != _C.raw)
    return (
        select(_B.row_id)
        .join(telecmi_contacts, _C.id == _B.row_id)
        .where(
            _B.account == policy.account,
            _B.source == "user_list",
            or_(~same, other, _in_directory),
        )
        .order_by(_B.row_id)
    )


def _followers(
    conn: Connection, policy: Policy, ids: Sequence[int]
) -> list[tuple[Local, Fields, ListRow | None]]:
    """Contacts that come only from the list, each with its base and its row in the list.

    The row is None if the list no longer has it, or if the directory shows the number again.
    """
    bases = conn.execute(
        select(_B.row_id, _B.phone_e164, _B.phone_no, _in_directory.label("in_directory")).where(
            _B.row_id.in_(ids), _B.source == "user_list"
        )
    ).all()
    phones = {base.row_id: base.phone_e164 or base.phone_no for base in bases}
    shown = {base.row_id for base in bases if base.in_directory}
    listed: dict[str, ListRow] = {}
    wanted = list(phones.values())
    for row in conn.execute(
        select(telecmi_user_contacts)
        .where(
            _U.account == policy.account,
            _U.deleted_at.is_(None),
            or_(_U.phone_e164.in_(wanted), and_(_U.phone_e164.is_(None), _U.mobile.in_(wanted))),
        )
        .order_by(_U.time, _U.id.desc())
    ):
        fields = derived(row.name, row.mobile, row.email)
        listed[row.phone_e164 or row.mobile] = ListRow(fields, row.phone_e164, row.raw)
    return [
        (local, local.base, None if local.row_id in shown else listed.get(phones[local.row_id]))
        for local in contacts.load_rows(conn, phones).values()
        if local.base is not None
    ]


def follow(conn: Connection, policy: Policy, ids: Sequence[int], at: str) -> tuple[int, int]:
    """Update contacts from the list, as `core/user_list.py` decides. Returns (changed, removed)."""
    changed = removed = 0
    for local, base, row in _followers(conn, policy, ids):
        decision = follow_list(local, base, row, policy.region)
        if decision.action == "forget base":
            contacts.forget_base(conn, local.row_id)
        elif decision.action == "delete":
            contacts.tombstone(conn, local.row_id, at)
            removed += 1
        elif decision.action == "update" and row is not None:
            _update(conn, policy, local, row, decision.taken, at)
            changed += bool(decision.taken)
    return changed, removed


def _update(
    conn: Connection,
    policy: Policy,
    local: Local,
    row: ListRow,
    taken: Mapping[str, tuple[str, str]],
    at: str,
) -> None:
    values = {"raw": row.raw} | {name: new or None for name, (_, new) in taken.items()}
    if taken:
        values["last_changed_at"] = at
    statements.update_row(conn, telecmi_contacts, local.row_id, values)
    if row.fields != local.base:
        epoch = queue.next_epoch(conn)
        contacts.save_base(
            conn, local.row_id, policy.account, row.fields, "user_list", None, epoch, row.phone_e164
        )
    changelog.changed(conn, TABLE, local.row_id, taken, at, "upstream")
