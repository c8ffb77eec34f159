"""The statements for contacts that only a user's own list (TeleCMI v2) holds.

Each also stands in `telecmi_contacts`, without a `contact_id`, so that people may edit it there; an
edit makes an add of it. Which values it stands for is decided here from the list's own row.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, Select, exists, insert, or_, select, update

from syncer.core.contacts import Local
from syncer.core.merge import dirty_fields, is_dirty
from syncer.core.model import FIELDS, Fields
from syncer.core.normalise import split_name
from syncer.store import contacts, log, queue
from syncer.store.contacts import TABLE, Policy
from syncer.store.tables import contact_base, telecmi_contacts, telecmi_user_contacts

_C, _B, _U = telecmi_contacts.c, contact_base.c, telecmi_user_contacts.c


def derived(name: str | None, mobile: str, email: str | None) -> Fields:
    """The directory's fields that a row of the user's list stands for."""
    first, last = split_name(name)
    return Fields(phone_no=mobile, first_name=first, last_name=last, email_id=email or "")


def bring_in_line(conn: Connection, policy: Policy, at: str) -> tuple[int, int, int]:
    """Make, change and remove the rows that stand for the user's list alone; (added, changed, removed).

    To be called only after a complete listing of the directory and a later, whole one of the list.
    """
    added = _add(conn, policy, at)
    changed, removed = _follow(conn, policy, at)
    return added, changed, removed


def needs_work(conn: Connection, policy: Policy) -> bool:
    """Whether `bring_in_line` would write anything."""
    if conn.execute(_missing(policy).limit(1)).first() is not None:
        return True
    return bool(_followers(conn, policy))


def _missing(policy: Policy) -> Select[Any]:
    in_directory = exists().where(
        _B.account == policy.account,
        _B.source != "gone",
        or_(_B.phone_e164 == _U.phone_e164, _B.phone_no == _U.mobile),
    )
    here = exists().where(
        _C.account == policy.account, _C.deleted_at.is_(None), _C.phone_e164 == _U.phone_e164
    )
    return (
        select(telecmi_user_contacts)
        .where(_U.account == policy.account, _U.deleted_at.is_(None), ~in_directory, ~here)
        .order_by(_U.time.desc(), _U.id)
    )


def _add(conn: Connection, policy: Policy, at: str) -> int:
    rows: dict[str, Row[Any]] = {}
    for row in conn.execute(_missing(policy)):  # one number in two spellings: the newest counts
        rows.setdefault(row.phone_e164 or row.mobile, row)
    for row in rows.values():
        fields = derived(row.name, row.mobile, row.email)
        values = {name: fields.get(name) or None for name in FIELDS}
        row_id = int(
            conn.execute(
                insert(telecmi_contacts)
                .values(
                    account=policy.account,
                    phone_e164=row.phone_e164,
                    first_seen_at=at,
                    last_changed_at=at,
                    raw=row.raw,
                    **values,
                )
                .returning(_C.id)
            ).scalar_one()
        )
        epoch = queue.tick(conn)
        contacts.save_base(conn, row_id, policy.account, fields, "user_list", None, epoch, row.phone_e164)
        log.inserted(conn, TABLE, row_id, at)
    return len(rows)


def _followers(conn: Connection, policy: Policy) -> list[tuple[Local, Row[Any] | None]]:
    """Rows that stand for the list alone and differ from it: with the list's row, or without.

    Without one are those that the list dropped, and those whose number the directory shows again.
    """
    rows = (
        conn.execute(select(_B.row_id).where(_B.account == policy.account, _B.source == "user_list"))
        .scalars()
        .all()
    )
    listed: dict[str, Row[Any]] = {}
    for row in conn.execute(
        select(telecmi_user_contacts)
        .where(_U.account == policy.account, _U.deleted_at.is_(None))
        .order_by(_U.time, _U.id.desc())
    ):
        listed[row.phone_e164 or row.mobile] = row
    directory = contact_base.alias()
    shown = {
        row_id
        for (row_id,) in conn.execute(
            select(_B.row_id)
            .join(directory, (directory.c.account == _B.account) & (directory.c.phone_e164 == _B.phone_e164))
            .where(_B.account == policy.account, _B.source == "user_list", directory.c.source == "directory")
        )
    }
    out: list[tuple[Local, Row[Any] | None]] = []
    for local in contacts.load_rows(conn, rows).values():
        assert local.base is not None
        there = listed.get(_base_phone(conn, local.row_id) or local.base.phone_no)
        if local.row_id in shown:
            there = None
        if there is None:
            if local.deleted or not dirty_fields(local.base, local.fields, policy.region):
                out.append((local, None))
        elif derived(there.name, there.mobile, there.email) != local.base or local.raw != there.raw:
            out.append((local, there))
    return out


def _follow(conn: Connection, policy: Policy, at: str) -> tuple[int, int]:
    changed = removed = 0
    for local, there in _followers(conn, policy):
        assert local.base is not None
        if there is None and local.deleted:
            contacts.forget_base(conn, local.row_id, queue.tick(conn))
            continue
        if there is None:
            contacts.tombstone(conn, local.row_id, at)
            removed += 1
            continue
        new = derived(there.name, there.mobile, there.email)
        taken = {
            name: (local.fields.get(name), new.get(name))
            for name in FIELDS
            if new.get(name) != local.base.get(name)
            and not is_dirty(name, local.base.get(name), local.fields.get(name), policy.region)
        }
        values: dict[str, object] = {name: now or None for name, (_, now) in taken.items()}
        if taken:
            values["last_changed_at"] = at
            changed += 1
        conn.execute(update(telecmi_contacts).where(_C.id == local.row_id).values(raw=there.raw, **values))
        if new != local.base:
            contacts.save_base(
                conn, local.row_id, policy.account, new, "user_list", None, queue.tick(conn), there.phone_e164
            )
        log.changed(conn, TABLE, local.row_id, taken, at, "upstream")
    return changed, removed


def _base_phone(conn: Connection, row_id: int) -> str | None:
    return conn.execute(select(_B.phone_e164).where(_B.row_id == row_id)).scalar()
