"""Merges listed contacts of the organization's directory with the rows that people edit.

`core/contacts.py` decides what a listed contact means for its row. This module loads rows and applies the decision.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from syncer.core.contacts import (
    Local,
    Reconciliation,
    keep_values,
    reconcile,
    reconcile_listed,
    turned_blank,
)
from syncer.core.merge import is_dirty
from syncer.core.model import FIELDS, DirectoryContact, Fields, Row
from syncer.core.normalise import to_e164
from syncer.core.rows import Bits, differing_fields, same_raw
from syncer.core.upstream_delete import decide_upstream_delete
from syncer.store.db import statements
from syncer.store.db.columns import OPEN_STATES
from syncer.store.db.mirrors import CONTACTS
from syncer.store.db.read_only import raw, tuples
from syncer.store.db.tables import telecmi_contacts
from syncer.store.write import changelog, contacts, holds, queue
from syncer.store.write.contacts import TABLE, Policy
from syncer.store.write.reconciler import Context, Deferred, Reconciler, StoredMatch, phone_of


def as_contact(row: Row) -> DirectoryContact:
    """A listed row as a contact."""
    return DirectoryContact(row.key, Fields.of(row.values), phone_of(row), row.raw)


def _turned_blank(known: Mapping[str, Local], rows: Sequence[Row]) -> list[int]:
    """The ids of rows with a field that has a value in base and is blank upstream."""
    pairs = ((known[row.key], row) for row in rows if row.key in known)
    return [local.row_id for local, row in pairs if turned_blank(local.base, Fields.of(row.values))]


#: All that a listing without changes reads of stored contacts; the last column is 1 if nothing is under way.
_KNOWN = f"""
SELECT c.contact_id, c.id, c.raw, c.deleted_at IS NULL AND b.source = 'directory' AND NOT EXISTS (
    SELECT 1 FROM change_queue q WHERE q.contact_row = c.id AND q.state IN ({OPEN_STATES}))
FROM telecmi_contacts c LEFT JOIN contact_base b ON b.row_id = c.id
WHERE c.account = ? AND c.contact_id IN (SELECT value FROM json_each(?))
"""

#: Directory rows that were agreed on up to an epoch. Not sorted: SQLite would keep all rows in memory for that.
#: In the order of the file: with a plain `c.account`, SQLite would follow the index, which takes three times as long.
_AGREED_BEFORE = """
SELECT c.id, c.deleted_at FROM telecmi_contacts c JOIN contact_base b ON b.row_id = c.id
WHERE +c.account = ? AND b.source = 'directory' AND b.touched <= ?
"""

_INSERT_BASES = f"""
INSERT INTO contact_base (row_id, account, source, contact_id, {", ".join(FIELDS)}, phone_e164, touched)
SELECT id, account, 'directory', contact_id, {", ".join(f"COALESCE({name}, '')" for name in FIELDS)}, phone_e164, ?
FROM telecmi_contacts WHERE id BETWEEN ? AND ?
"""

_COLUMNS = ("account", "contact_id", "phone_no", "phone_e164", "first_name", "last_name", "email_id",
            "company", "job_title", "first_seen_at", "last_changed_at", "raw")  # fmt: skip


class DirectoryReconciler(Reconciler):
    """One listing of the directory, or the answers for single contacts.

    `asked_in` is the push epoch in which the rows were requested: contacts that were agreed on since are
    skipped. Without `defer_blanks`, a field that would turn blank keeps its value until the next pull, because
    only a full listing shows how many there are.
    """

    _live_rows = contacts.LIVE_ROWS

    def __init__(
        self, policy: Policy, context: Context, *, asked_in: int = 0, defer_blanks: bool = True
    ) -> None:
        super().__init__(CONTACTS, context)
        self.policy = policy
        self.asked_in = asked_in
        self.defer_blanks = defer_blanks
        self._written = Bits()  #: rows that this listing wrote: they are not skipped if it shows them again

    # -- reading

    def _look_up(self, conn: Connection, rows: Sequence[Row]) -> dict[str, StoredMatch]:
        listed = {row.key: row.raw for row in rows}
        known = tuples(conn, _KNOWN, self.policy.account, json.dumps(list(listed)))
        return {
            key: StoredMatch(row_id, same=bool(at_rest) and same_raw(raw, listed[key], self.context.ignored))
            for key, row_id, raw, at_rest in known
        }

    def _stored_rows(self, conn: Connection, keys: Iterable[str]) -> dict[str, Row]:
        out = {}
        for key, local in contacts.load_by_contact_id(conn, self.policy.account, keys).items():
            if local.base is not None and local.raw is not None:
                values = {**local.base.asdict(), "contact_id": key, "phone_e164": local.phone_e164}
                out[key] = Row(key, values, local.raw)
        return out

    # -- writing

    def _write(self, conn: Connection, rows: Sequence[Row]) -> None:
        account, epoch = self.policy.account, queue.next_epoch(conn)
        known = contacts.load_by_contact_id(conn, account, [row.key for row in rows])
        unknown = [as_contact(row).phone_e164 for row in rows if row.key not in known]
        adopters = contacts.load_adopters(conn, account, {phone for phone in unknown if phone is not None})
        kept = holds.kept_blanks(conn, TABLE, _turned_blank(known, rows))
        new = []
        for row in rows:
            contact = as_contact(row)
            local = known.get(row.key) or adopters.pop(contact.phone_e164 or "", None)
            if local is None:
                new.append(contact)
            elif local.agreed_epoch <= self.asked_in or local.row_id in self._written:
                self._reconcile(conn, local, row, kept.get(local.row_id, set()), epoch)
            if local is not None:
                self.seen.add(local.row_id)
        self._insert(conn, new, epoch)

    def _reconcile(self, conn: Connection, local: Local, row: Row, kept: Collection[str], epoch: int) -> None:
        """Merge one listed contact with its row. `kept` are fields that may not turn blank."""
        policy = self.policy
        contact, outcome, deferred = reconcile_listed(
            local,
            as_contact(row),
            kept,
            defer_blanks=self.defer_blanks,
            region=policy.region,
            on_conflict=policy.on_conflict,
        )
        if deferred:
            self.deferred[row.key] = Deferred(row, local.row_id, deferred)
            return
        if outcome.taken or outcome.restored:
            self.changed += 1
        elif local.base == outcome.base and not (
            outcome.moves or outcome.new or same_raw(local.raw, contact.raw)
        ):
            self.raw_only += 1
            differing = differing_fields(local.raw, contact.raw) - self.context.ignored
            if len(differing) == 1:
                self.volatile.update(differing - set(FIELDS))
        self._written.add(local.row_id)
        _save(conn, local, contact, outcome, policy, self.context.at, epoch)

    def _insert(self, conn: Connection, new: Sequence[DirectoryContact], epoch: int) -> None:
        if not new:
            return
        at, rows = self.context.at, []
        for contact in new:
            phone_no, *others = [value or None for value in contact.fields]
            identity = (self.policy.account, contact.contact_id, phone_no, contact.phone_e164)
            rows.append((*identity, *others, at, at, contact.raw))
        ids = statements.insert_listed(conn, telecmi_contacts, _COLUMNS, rows, at)
        conn.exec_driver_sql(_INSERT_BASES, (epoch, ids[0], ids[-1]))
        for row_id in ids:
            self.seen.add(row_id)
            self._written.add(row_id)
        self.added += len(ids)

    def write_deferred(self, conn: Connection, allowed: frozenset[tuple[int, str]]) -> None:
        """See `Reconciler`. If a blank is refused, `raw` stays the old one, so the next listing shows it again."""
        rows = contacts.load_rows(conn, [deferred.row_id for deferred in self.deferred.values()])
        for row, row_id, blanks in self.deferred.values():
            local = rows.get(row_id)
            if local is None or (local.agreed_epoch > self.asked_in and row_id not in self._written):
                continue  # the row was agreed on after this listing
            refused = [name for name in blanks if (row_id, name) not in allowed]
            contact = keep_values(as_contact(row), local, refused)
            policy = self.policy
            outcome = reconcile(local, contact, region=policy.region, on_conflict=policy.on_conflict)
            epoch = queue.next_epoch(conn)
            self.changed += _save(conn, local, contact, outcome, policy, self.context.at, epoch)
        self.deferred.clear()

    # -- the end of a listing

    def unseen(self, conn: Connection) -> tuple[list[int], list[int]]:
        """See `Reconciler`. Contacts that were agreed on since the listing started are left out."""
        live: list[int] = []
        deleted: list[int] = []
        values = (self.policy.account, self.asked_in)
        for row_id, deleted_at in raw(conn).execute(_AGREED_BEFORE, values):
            if row_id not in self.seen:
                (live if deleted_at is None else deleted).append(row_id)
        return sorted(live), sorted(deleted)

    def remove(self, conn: Connection, row_id: int, at: str) -> None:
        """See `Reconciler`. The row becomes a tombstone, unless it was edited: then an add is queued."""
        local = contacts.load_rows(conn, [row_id]).get(row_id)
        if local is not None:
            handle_upstream_delete(conn, local, self.policy.region, at)

    def remove_deleted(self, conn: Connection, ids: Iterable[int], at: str) -> None:
        """See `Reconciler`. A contact that was restored in the meantime is left to the next listing."""
        for local in contacts.load_rows(conn, ids).values():
            if local.deleted:
                handle_upstream_delete(conn, local, self.policy.region, at)


def handle_upstream_delete(conn: Connection, local: Local, region: str, at: str) -> None:
    """Delete the row of a contact that upstream no longer has, or queue an add if it is still wanted."""
    decision = decide_upstream_delete(local, region, datetime.fromisoformat(at))
    queue.apply_moves(conn, decision.done, at)
    if local.base is not None:
        queue.wake(conn, local.account, to_e164(local.base.phone_no, region), local.row_id, at)
    match decision.row:
        case "forget base":
            contacts.forget_base(conn, local.row_id)
            queue.drop_intents(conn, local.row_id)
        case "add again":
            contacts.unlink(conn, local.row_id, at)  # before the transitions, to keep unanswered requests
        case "delete":
            contacts.tombstone(conn, local.row_id, at)
    queue.apply_moves(conn, decision.moves, at)
    for change in decision.new:
        queue.add_change(conn, local.account, local.row_id, change, at)


def _save(
    conn: Connection,
    local: Local,
    remote: DirectoryContact,
    outcome: Reconciliation,
    policy: Policy,
    at: str,
    epoch: int,
) -> bool:
    """Apply a decision. Returns whether the row changed visibly."""
    _save_row(conn, local, remote, outcome, policy, at)
    region, old, new = policy.region, local.base, outcome.base
    if new != old or local.source != "directory" or local.contact_id != remote.contact_id:
        phone = to_e164(new.phone_no, region)
        contacts.save_base(
            conn, local.row_id, policy.account, new, "directory", remote.contact_id, epoch, phone
        )
    if old is not None and is_dirty("phone_no", old.phone_no, new.phone_no, region):
        queue.wake(conn, local.account, to_e164(old.phone_no, region), local.row_id, at)
    queue.apply_moves(conn, outcome.moves, at)
    for change in outcome.new:
        queue.add_change(conn, policy.account, local.row_id, change, at)
    if outcome.settled and local.intents:
        queue.drop_intents(conn, local.row_id)
    return bool(outcome.taken) or outcome.restored


def _save_row(
    conn: Connection, local: Local, remote: DirectoryContact, outcome: Reconciliation, policy: Policy, at: str
) -> None:
    """Write the row and its entries in the change log."""
    shown = outcome.local.changed_from(local.fields)
    values: dict[str, Any] = {name: new or None for name, new in shown.items()}
    if "phone_no" in values or local.phone_e164 is None:
        e164 = to_e164(outcome.local.phone_no, policy.region)
        if e164 != local.phone_e164:
            values["phone_e164"] = e164
    changes: Mapping[str, tuple[str, str]] = outcome.taken
    if outcome.restored:
        values["deleted_at"] = None
        changelog.changed(conn, TABLE, local.row_id, {"deleted_at": (local.deleted_at, None)}, at, "upstream")
        changes = {n: (local.fields.get(n), outcome.local.get(n)) for n in FIELDS if n in values}
    changelog.changed(conn, TABLE, local.row_id, changes, at, "upstream")
    changelog.changed(conn, TABLE, local.row_id, outcome.overruled, at, "local")  # upstream's lost values
    if not same_raw(local.raw, remote.raw):
        values["raw"] = remote.raw
    if local.contact_id != remote.contact_id:
        values["contact_id"] = remote.contact_id
    if outcome.taken or outcome.restored:
        values["last_changed_at"] = at
    statements.update_row(conn, telecmi_contacts, local.row_id, values)
