"""The queries of `verify`: differences between the mirror and a copy of it into which upstream was pulled."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection, select, text

from syncer.core.contacts import QueuedChange
from syncer.core.merge import dirty_fields
from syncer.core.model import FIELDS, Operation
from syncer.core.queue import SETTLED
from syncer.store.db.mirrors import MIRRORS
from syncer.store.db.read_only import chunks
from syncer.store.db.tables import (
    absences,
    change_queue,
    held,
    held_rows,
    metadata,
    telecmi_contacts,
)
from syncer.store.read import feed, status_queries
from syncer.store.read.feed import Entry
from syncer.store.write import contacts
from syncer.store.write.contacts import Policy


@dataclass(frozen=True, slots=True)
class Difference:
    """A row or a field that differs between local and upstream."""

    table_name: str
    row_id: int  #: in the mirror. For a missing row: the id that it would get
    kind: str  #: `insert`: only upstream has it; `delete`: only the mirror has it; `update`: a field differs
    field: str | None = None
    old: str | None = None  #: the local value
    new: str | None = None  #: the upstream value
    key: str | None = None  #: the vendor's id of the row
    name: str | None = None  #: personal data, shown only at a terminal
    change: int | None = None  #: the queued change that will settle it
    state: str | None = None  #: the state of that change


def logged(conn: Connection, after: int) -> list[Difference]:
    """What changed in the copy after an entry of its log, with each row and field once."""
    return _keyed(conn, fold(feed.entries(conn, after)))


def fold(entries: Iterable[Entry]) -> list[Difference]:
    """One difference per row or field, from the first value to the last. Undone changes are left out."""
    born: set[tuple[str, int]] = set()
    found: dict[tuple[str, int, str | None], Difference] = {}
    for entry in entries:
        row = (entry.table_name, entry.row_id)
        at = (*row, entry.field)
        if entry.kind == "insert":
            born.add(row)
            found[at] = Difference(*row, "insert")
        elif entry.kind == "delete":
            gone = [one for one in found if one[:2] == row]
            for one in gone:
                del found[one]
            if row not in born:
                found[at] = Difference(*row, "delete")
        elif entry.field == "deleted_at":  # a tombstone locally, and live upstream
            found.pop((*row, None), None)
            found[(*row, None)] = Difference(*row, "insert")
        elif row not in born:
            old = found[at].old if at in found else entry.old
            found[at] = Difference(*row, "update", entry.field, old, entry.new)
    return [one for one in found.values() if one.kind != "update" or one.old != one.new]


def missed(conn: Connection, tables: Sequence[str], account: str) -> list[Difference]:
    """Live rows that a complete listing did not show. A second such listing may remove them."""
    out = []
    for name in tables:
        table = metadata.tables[name]
        query = (
            select(table.c.id)
            .join(absences, (absences.c.row_id == table.c.id) & (absences.c.table_name == name))
            .where(table.c.account == account, table.c.deleted_at.is_(None))
        )
        out += [Difference(name, row_id, "delete") for row_id in conn.execute(query).scalars()]
    return _keyed(conn, out)


def held_back(conn: Connection, job: str, account: str, decision: str | None) -> list[Difference]:
    """Rows and values kept by a safety limit (`decision` None) or a person (`rejected`)."""
    query = (
        select(held_rows.c.table_name, held_rows.c.row_id, held_rows.c.field)
        .join(held, held.c.id == held_rows.c.held_id)
        .where(held.c.job == job, held.c.account == account, held.c.decision.is_(decision))
        .where(held_rows.c.settled == 0)
        .order_by(held_rows.c.table_name, held_rows.c.row_id, held_rows.c.field)
    )
    out = []
    for name, row_id, column in conn.execute(query).all():
        if not column:
            out.append(Difference(name, row_id, "delete"))
            continue
        table = metadata.tables[name]
        value = conn.execute(select(table.c[column]).where(table.c.id == row_id)).scalar()
        out.append(Difference(name, row_id, "update", column, None if value is None else str(value)))
    return _keyed(conn, out)


def waiting(conn: Connection, policy: Policy) -> list[Difference]:
    """Local edits that are not upstream yet, row by row."""
    query = select(change_queue.c.contact_row).where(
        change_queue.c.account == policy.account, change_queue.c.state.not_in(list(SETTLED))
    )
    ids = sorted(set(conn.execute(query).scalars()))
    out = []
    for row_id, local in contacts.load_rows(conn, ids).items():
        for change in local.changes:
            row = Difference(
                telecmi_contacts.name,
                row_id,
                "delete",
                key=local.contact_id,
                change=change.id,
                state=str(change.state),
            )
            if change.operation is Operation.DELETE:
                out.append(replace(row, kind="insert"))  # it is still there upstream
            elif local.base is None or local.contact_id is None:
                out.append(row)
            else:
                names = set(dirty_fields(local.base, local.fields, policy.region))
                mine = set(change.clashes) if change.clashes else names - _clashing(local.changes, change.id)
                for name in [one for one in FIELDS if one in mine]:
                    clash = change.clashes.get(name)
                    theirs = clash.remote if clash else local.base.get(name)
                    out.append(
                        replace(row, kind="update", field=name, old=local.fields.get(name), new=theirs)
                    )
    return sorted(out, key=lambda one: one.change or 0)


def _clashing(changes: Iterable[QueuedChange], but: int) -> set[str]:
    return {name for change in changes if change.id != but for name in change.clashes}


def unlisted(
    conn: Connection, table: str, account: str, since_ms: int, until_ms: int, shown: set[str]
) -> list[str]:
    """The vendor's ids of rows in a time span that upstream did not show, for tables that keep such rows."""
    mirror = MIRRORS[table]
    low, high = mirror.span(since_ms, until_ms)
    query = text(
        f"SELECT {mirror.key} FROM {table} WHERE account = :account AND deleted_at IS NULL "
        f"AND {mirror.dated_by} >= :since AND {mirror.dated_by} < :until ORDER BY {mirror.dated_by}"
    )
    keys = conn.execute(query, {"account": account, "since": low, "until": high}).scalars()
    return [key for key in keys if key not in shown]


def _keyed(conn: Connection, rows: Sequence[Difference]) -> list[Difference]:
    """The same with `key` and `name` filled in."""
    keys: dict[tuple[str, int], str | None] = {}
    for name in {one.table_name for one in rows} & MIRRORS.keys():
        table = metadata.tables[name]
        for block in chunks({one.row_id for one in rows if one.table_name == name}):
            query = select(table.c.id, table.c[MIRRORS[name].key]).where(table.c.id.in_(block))
            keys |= {(name, row_id): key for row_id, key in conn.execute(query)}
    return [
        replace(
            one,
            key=keys.get((one.table_name, one.row_id)),
            name=status_queries.name_of(conn, one.table_name, one.row_id),
        )
        for one in rows
    ]
