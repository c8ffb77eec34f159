"""The scan: finds edits that no trigger saw, and repairs the queue.

A row is edited if it differs from its base; triggers only notice that sooner. Changes that the scan finds are marked,
and its deletes wait for approval.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    case,
    exists,
    false,
    func,
    insert,
    or_,
    select,
    true,
    update,
)

from syncer.core.contacts import Local, NewChange
from syncer.core.merge import dirty_fields
from syncer.core.model import FIELDS, Operation, State
from syncer.core.normalise import to_e164
from syncer.core.queue import OPEN, Event
from syncer.store.db import statements
from syncer.store.db.tables import change_log, change_queue, contact_base, telecmi_contacts
from syncer.store.write import changelog, contacts, queue
from syncer.store.write.contacts import TABLE, Policy

_C, _B, _Q, _L = telecmi_contacts.c, contact_base.c, change_queue.c, change_log.c


@dataclass(frozen=True, slots=True)
class ScanResult:
    """What the scan repaired."""

    edits: int = 0
    inserts: int = 0
    deletes: int = 0

    def __bool__(self) -> bool:
        return bool(self.edits or self.inserts or self.deletes)


def scan(conn: Connection, policy: Policy, at: str, *, only_account: bool) -> ScanResult:
    """Bring the queue in line with the rows of one account.

    `only_account` says that rows without an account belong to this one.
    """
    if only_account:
        nameless = func.coalesce(_C.account, "") == ""
        conn.execute(update(telecmi_contacts).where(nameless).values(account=policy.account))
        conn.execute(update(change_queue).where(_Q.account == "").values(account=policy.account))
    contacts.fill_phones(conn, policy.account, policy.region)
    deletes = _vanished(conn, policy, at) + _tombstones(conn, policy, at) + _orphans(conn, policy, at)
    edits = _edits(conn, policy, at) + _unnoticed_edits(conn, policy, at)
    return ScanResult(edits, _inserts(conn, policy, at), deletes)


def needed(conn: Connection, policy: Policy, *, only_account: bool) -> bool:
    """Whether `scan` may have something to do. Only reads.

    One pass over the contacts in the order of the file. The queries of the scan itself follow an index, which takes
    ten times as long in a large mirror, so they run only if this finds something.
    """
    found, suspects, precise = _needed_queries(policy, only_account)
    if conn.execute(found).scalar():
        return True
    differs = False
    for row in conn.execute(suspects):
        if row.unread and to_e164(row.phone_no, policy.region) is not None:
            return True
        differs = differs or row.differs
    return differs and (bool(conn.execute(precise).scalar()) or bool(_unnoticed(conn, policy)))


@cache
def _needed_queries(policy: Policy, only_account: bool) -> tuple[Select[Any], Select[Any], Select[Any]]:
    """Built once, since building is slower: whether a row has no counterpart, rows that may need the scan, and whether
    one of those does."""
    # Of any account: a comparison of the account would make SQLite follow an index.
    lost: list[Select[Any]] = [_vanished_query(None), _orphan_query(policy)]
    if only_account:
        lost.append(select(_C.id).where(func.coalesce(_C.account, "") == ""))
        lost.append(select(_Q.id).where(_Q.account == ""))
    precise = [_tombstone_query(policy), _dirty_query(policy), _insert_query(policy)]
    return _any(lost), _suspect_query(policy), _any(precise)


def _any(queries: Sequence[Select[Any]]) -> Select[Any]:
    return select(or_(*(query.exists() for query in queries)))


def _suspect_query(policy: Policy) -> Select[Any]:
    """Contacts that are not as their base, and those whose number is not converted to E.164."""
    unread = and_(_C.phone_e164.is_(None), func.coalesce(_C.phone_no, "") != "")
    differs = case(
        (_C.deleted_at.is_not(None), _B.row_id.is_not(None)),
        (_B.row_id.is_(None), true()),
        else_=_differs(),
    )
    ours = case((_C.account == policy.account, or_(unread, differs)), else_=false())
    return (
        select(unread.label("unread"), differs.label("differs"), _C.phone_no)
        .outerjoin(contact_base, and_(_B.row_id == _C.id, _B.source != "gone"))
        .where(ours)
    )


def _differs() -> ColumnElement[bool]:
    return or_(*(func.coalesce(_C[name], "") != _B[name] for name in FIELDS))


def _no_open_change(*, delete: bool) -> ColumnElement[bool]:
    operation = _Q.operation == Operation.DELETE if delete else _Q.operation != Operation.DELETE
    return ~exists().where(_Q.contact_row == _C.id, operation, _Q.state.in_(list(OPEN)))


def _vanished_query(account: str | None) -> Select[Any]:
    """Bases of an account, or of any, whose contact is gone."""
    query = select(contact_base).where(_B.source != "gone", ~exists().where(_C.id == _B.row_id))
    return query if account is None else query.where(_B.account == account)


def _vanished(conn: Connection, policy: Policy, at: str) -> int:
    """Insert tombstones for rows that were really deleted while the trigger was missing."""
    rows = conn.execute(_vanished_query(policy.account)).all()
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
        changelog.removed(conn, TABLE, row.row_id, at, "local")
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
    """Discard changes of rows that upstream never had and that were really deleted while the trigger was missing."""
    rows = conn.execute(_orphan_query(policy)).all()
    for row in rows:
        queue.move(conn, row.id, Event.GIVE_UP, at, note="the contact was deleted")
        changelog.removed(conn, TABLE, row.contact_row, at, "local")
    return len(rows)


def _hold_delete(conn: Connection, policy: Policy, row_id: int, at: str) -> None:
    note = "found by the scan, not by a trigger: a person has to decide whether it goes upstream"
    _add_change(conn, policy, row_id, NewChange(Operation.DELETE, State.HELD, note=note), at)


def _add_change(conn: Connection, policy: Policy, row_id: int, new: NewChange, at: str) -> None:
    queue.add_change(conn, policy.account, row_id, new, at, found_by="scan")


@cache
def _dirty_query(policy: Policy, *, in_queue: bool = False) -> Select[Any]:
    return (
        select(_C.id)
        .join(contact_base, and_(_B.row_id == _C.id, _B.source != "gone"))
        .where(
            _C.account == policy.account,
            _C.deleted_at.is_(None),
            _differs(),
            _no_open_change(delete=False) if not in_queue else ~_no_open_change(delete=False),
        )
    )


def _edits(conn: Connection, policy: Policy, at: str) -> int:
    """Rows that differ from their base and have no change."""
    found = 0
    rows = conn.execute(_dirty_query(policy)).scalars().all()
    for local in contacts.load_rows(conn, rows).values():
        assert local.base is not None
        dirty = dirty_fields(local.base, local.fields, policy.region)
        if not dirty:
            continue
        found += 1
        _log_edit(conn, policy, local, _unlogged(conn, local, dirty), at)
        _queue_edit(conn, policy, local, at)
    return found


@cache
def _unnoticed_query(policy: Policy) -> Select[Any]:
    """Rows with an open change whose values are not all in the log. Usually none."""
    lacking = []
    for name in FIELDS:
        newest = (
            select(func.coalesce(_L.new, ""))
            .where(_L.table_name == TABLE, _L.row_id == _C.id, _L.field == name)
            .order_by(_L.seq.desc())
            .limit(1)
            .correlate(telecmi_contacts)
            .scalar_subquery()
        )
        current = func.coalesce(_C[name], "")
        lacking.append(and_(current != _B[name], newest.is_distinct_from(current)))
    return _dirty_query(policy, in_queue=True).where(or_(*lacking))


def _unnoticed(conn: Connection, policy: Policy) -> list[tuple[Local, list[str]]]:
    """Rows with an open change that were edited again while the trigger was missing."""
    out = []
    rows = conn.execute(_unnoticed_query(policy)).scalars().all()
    for local in contacts.load_rows(conn, rows).values():
        assert local.base is not None
        names = _unlogged(conn, local, dirty_fields(local.base, local.fields, policy.region))
        if names and changelog.born_here(conn, TABLE, local.row_id):  # its first values are not in the log
            names = [n for n in names if changelog.newest_value(conn, TABLE, local.row_id, n) is not None]
        if names:
            out.append((local, names))
    return out


def _unnoticed_edits(conn: Connection, policy: Policy, at: str) -> int:
    """Do what the trigger does: try a refused change again, and queue another one after a change that is being sent."""
    found = _unnoticed(conn, policy)
    for local, names in found:
        _log_edit(conn, policy, local, names, at)
        if local.open(State.QUEUED):
            continue
        if refused := local.open(State.REJECTED):
            queue.move(
                conn, refused[0].id, Event.EDIT, at,
                attempts=0, approved=0, next_attempt_at=None, last_error=None,
            )  # fmt: skip
        else:
            _queue_edit(conn, policy, local, at)
    return len(found)


def _queue_edit(conn: Connection, policy: Policy, local: Local, at: str) -> None:
    operation = Operation.UPDATE if local.source == "directory" else Operation.ADD
    _add_change(conn, policy, local.row_id, NewChange(operation, State.QUEUED), at)


def _unlogged(conn: Connection, local: Local, names: Iterable[str]) -> list[str]:
    """Fields whose current value is not in the log."""
    return [n for n in names if changelog.newest_value(conn, TABLE, local.row_id, n) != local.fields.get(n)]


def _log_edit(conn: Connection, policy: Policy, local: Local, names: Sequence[str], at: str) -> None:
    """Write the log entries that the trigger would have written."""
    assert local.base is not None
    if not names:
        return
    changes = {name: (local.base.get(name), local.fields.get(name)) for name in names}
    changelog.changed(conn, TABLE, local.row_id, changes, at, "local")
    values: dict[str, Any] = {"last_changed_at": at}
    if "phone_no" in names:
        values["phone_e164"] = to_e164(local.fields.phone_no, policy.region)
    statements.update_row(conn, telecmi_contacts, local.row_id, values)


def _insert_query(policy: Policy) -> Select[Any]:
    known = exists().where(_B.row_id == _C.id, _B.source != "gone")
    return select(_C.id, _C.first_seen_at).where(
        _C.account == policy.account, _C.deleted_at.is_(None), ~known, _no_open_change(delete=False)
    )


def _inserts(conn: Connection, policy: Policy, at: str) -> int:
    """Rows that upstream never had and that have no add."""
    rows = conn.execute(_insert_query(policy)).all()
    for row in rows:
        if row.first_seen_at is None:
            stamps = {"first_seen_at": at, "last_changed_at": at}
            statements.update_row(conn, telecmi_contacts, row.id, stamps)
            changelog.inserted(conn, TABLE, row.id, at, "local")
        _add_change(conn, policy, row.id, NewChange(Operation.ADD, State.QUEUED), at)
    return len(rows)
