"""The reconciliation scan: finds edits that no trigger caught, and heals the queue.

"Dirty" is derived: a row differs from its base. Triggers only notice it sooner. Runs at start and
daily; what it finds instead of a trigger is marked so, and a delete among it waits for a person.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, exists, func, insert, or_, select, update

from syncer.core.contacts import Local, NewChange
from syncer.core.merge import dirty_fields
from syncer.core.model import FIELDS, Operation, State
from syncer.core.normalise import to_e164
from syncer.core.queue import OPEN, Event
from syncer.store import contacts, log, queue
from syncer.store.contacts import TABLE, Policy
from syncer.store.tables import change_queue, contact_base, telecmi_contacts

_C, _B, _Q = telecmi_contacts.c, contact_base.c, change_queue.c


@dataclass(frozen=True, slots=True)
class Found:
    """What the scan mended."""

    edits: int = 0
    inserts: int = 0
    deletes: int = 0

    def __bool__(self) -> bool:
        return bool(self.edits or self.inserts or self.deletes)


def scan(conn: Connection, policy: Policy, at: str, *, only_account: bool) -> Found:
    """Bring the queue in line with the rows of one account.

    `only_account` says that rows without an account belong to this one.
    """
    if only_account:
        nameless = func.coalesce(_C.account, "") == ""
        conn.execute(update(telecmi_contacts).where(nameless).values(account=policy.account))
        conn.execute(update(change_queue).where(_Q.account == "").values(account=policy.account))
    contacts.fill_phones(conn, policy.account, policy.region)
    deletes = _vanished(conn, policy, at) + _tombstones(conn, policy, at) + _orphans(conn, policy, at)
    return Found(_edits(conn, policy, at), _inserts(conn, policy, at), deletes)


def needed(conn: Connection, policy: Policy, *, only_account: bool) -> bool:
    """Whether `scan` might have something to do; a reading alone."""
    anything, unread = _needed_queries(policy, only_account)
    if conn.execute(anything).scalar():
        return True
    return any(to_e164(phone, policy.region) is not None for phone in conn.execute(unread).scalars())


@cache
def _needed_queries(policy: Policy, only_account: bool) -> tuple[Select[Any], Select[Any]]:
    """Whether anything is amiss; and the numbers that were not read yet. Made once: it costs more than asking."""
    queries = [
        _vanished_query(policy),
        _tombstone_query(policy),
        _orphan_query(policy),
        _dirty_query(policy),
        _insert_query(policy),
    ]
    if only_account:
        queries.append(select(_C.id).where(func.coalesce(_C.account, "") == ""))
        queries.append(select(_Q.id).where(_Q.account == ""))
    unread = select(_C.phone_no).where(
        _C.account == policy.account, _C.phone_e164.is_(None), func.coalesce(_C.phone_no, "") != ""
    )
    return select(or_(*(query.exists() for query in queries))), unread


def _no_open_change(*, delete: bool) -> ColumnElement[bool]:
    operation = _Q.operation == Operation.DELETE if delete else _Q.operation != Operation.DELETE
    return ~exists().where(_Q.contact_row == _C.id, operation, _Q.state.in_(list(OPEN)))


def _vanished_query(policy: Policy) -> Select[Any]:
    there = exists().where(_C.id == _B.row_id)
    return select(contact_base).where(_B.account == policy.account, _B.source != "gone", ~there)


def _vanished(conn: Connection, policy: Policy, at: str) -> int:
    """Rows that were deleted for good while the trigger was missing: they come back as tombstones."""
    rows = conn.execute(_vanished_query(policy)).all()
    for row in rows:
        values = {name: getattr(row, name) or None for name in FIELDS}
        conn.execute(
            insert(telecmi_contacts).values(
                id=row.row_id,
                account=row.account,
                contact_id=row.contact_id,
                phone_e164=row.phone_e164,
                first_seen_at=at,
                last_changed_at=at,
                deleted_at=at,
                **values,
            )
        )
        log.removed(conn, TABLE, row.row_id, at, "local")
        _hold_delete(conn, policy, row.row_id, at)
    return len(rows)


def _tombstone_query(policy: Policy) -> Select[Any]:
    return (
        select(_C.id)
        .join(contact_base, and_(_B.row_id == _C.id, _B.source != "gone"))
        .where(_C.account == policy.account, _C.deleted_at.is_not(None), _no_open_change(delete=True))
    )


def _tombstones(conn: Connection, policy: Policy, at: str) -> int:
    rows = conn.execute(_tombstone_query(policy)).scalars().all()
    for row_id in rows:
        _hold_delete(conn, policy, row_id, at)
    return len(rows)


def _orphan_query(policy: Policy) -> Select[Any]:
    there = exists().where(_C.id == _Q.contact_row)
    known = exists().where(_B.row_id == _Q.contact_row, _B.source != "gone")
    settleable = [state for state in OPEN if state is not State.SENDING]
    return select(_Q.id, _Q.contact_row).where(
        _Q.account == policy.account, _Q.state.in_(settleable), ~there, ~known
    )


def _orphans(conn: Connection, policy: Policy, at: str) -> int:
    """Changes of rows that upstream never had, deleted for good while the trigger was missing."""
    rows = conn.execute(_orphan_query(policy)).all()
    for row in rows:
        queue.move(conn, row.id, Event.GIVE_UP, at, note="the contact was deleted")
        log.removed(conn, TABLE, row.contact_row, at, "local")
    return len(rows)


def _hold_delete(conn: Connection, policy: Policy, row_id: int, at: str) -> None:
    note = "found by the scan, not by a trigger: a person has to say whether it goes upstream"
    new = NewChange(Operation.DELETE, State.HELD, note=note)
    queue.add_change(conn, policy.account, row_id, new, at, found_by="scan")


def _dirty_query(policy: Policy) -> Select[Any]:
    differs = or_(*(func.coalesce(getattr(_C, name), "") != getattr(_B, name) for name in FIELDS))
    return (
        select(_C.id)
        .join(contact_base, and_(_B.row_id == _C.id, _B.source != "gone"))
        .where(_C.account == policy.account, _C.deleted_at.is_(None), differs, _no_open_change(delete=False))
    )


def _edits(conn: Connection, policy: Policy, at: str) -> int:
    """Rows that differ from their base without a change that says so."""
    found = 0
    rows = conn.execute(_dirty_query(policy)).scalars().all()
    for local in contacts.load_rows(conn, rows).values():
        assert local.base is not None
        dirty = dirty_fields(local.base, local.fields, policy.region)
        if not dirty:
            continue
        found += 1
        _log_edit(conn, local, dirty, at)
        if "phone_no" in dirty:  # only the trigger would have noticed
            e164 = to_e164(local.fields.phone_no, policy.region)
            conn.execute(update(telecmi_contacts).where(_C.id == local.row_id).values(phone_e164=e164))
        operation = Operation.UPDATE if local.source == "directory" else Operation.ADD
        new = NewChange(operation, State.QUEUED)
        queue.add_change(conn, policy.account, local.row_id, new, at, found_by="scan")
    return found


def _log_edit(conn: Connection, local: Local, dirty: tuple[str, ...], at: str) -> None:
    assert local.base is not None
    changes = {
        name: (local.base.get(name), local.fields.get(name))
        for name in dirty
        if log.newest_value(conn, TABLE, local.row_id, name) != local.fields.get(name)
    }
    log.changed(conn, TABLE, local.row_id, changes, at, "local")
    if changes:
        conn.execute(update(telecmi_contacts).where(_C.id == local.row_id).values(last_changed_at=at))


def _insert_query(policy: Policy) -> Select[Any]:
    known = exists().where(_B.row_id == _C.id, _B.source != "gone")
    return select(_C.id, _C.first_seen_at).where(
        _C.account == policy.account, _C.deleted_at.is_(None), ~known, _no_open_change(delete=False)
    )


def _inserts(conn: Connection, policy: Policy, at: str) -> int:
    """Rows that upstream never had and that no change adds."""
    rows = conn.execute(_insert_query(policy)).all()
    for row in rows:
        if row.first_seen_at is None:
            stamps = {"first_seen_at": at, "last_changed_at": at}
            conn.execute(update(telecmi_contacts).where(_C.id == row.id).values(**stamps))
            log.inserted(conn, TABLE, row.id, at, "local")
        queue.add_change(
            conn, policy.account, row.id, NewChange(Operation.ADD, State.QUEUED), at, found_by="scan"
        )
    return len(rows)
