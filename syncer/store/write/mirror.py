"""Loads and writes the plain mirrors, whose rows come only from the vendor.

`core/rows.py` decides what to do with each row.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, Integer, update

from syncer.core.model import Note, Row, Value
from syncer.core.rows import (
    RowDecision,
    RowInsert,
    RowRemoval,
    RowUnchanged,
    RowUpdate,
    Stored,
    decide_row,
    is_older,
    keep_columns,
)
from syncer.store.db import statements
from syncer.store.db.mirrors import Mirror
from syncer.store.db.read_only import chunks, first, tuples
from syncer.store.db.tables import metadata, telecmi_notes
from syncer.store.write import changelog
from syncer.store.write.reconciler import Context, Deferred, Reconciler, StoredMatch


def _integer(value: Any) -> int | None:
    """A number that fits into an INTEGER column."""
    try:
        number = int(value)
    except (TypeError, ValueError):
        return None
    return number if abs(number) < 2**63 else None


class MirrorReconciler(Reconciler):
    """One listing of a plain mirror, or of the part of it that `scope` selects: columns and their values."""

    def __init__(
        self,
        mirror: Mirror,
        context: Context,
        name: str = "",
        scope: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        super().__init__(mirror, context)
        self.name = name or mirror.name
        self._live_rows = f"FROM {mirror.name} r WHERE r.account = ? AND r.deleted_at IS NULL"
        self._scope = scope
        self._where = "".join([" AND account = ?", *(f" AND {column} = ?" for column in scope)])
        self._bound = (context.account, *scope.values())
        self._table = metadata.tables[mirror.name]
        ours = {"id", "account", mirror.key, *scope, "first_seen_at", "last_changed_at", "deleted_at", "raw"}
        content = [column for column in self._table.columns if column.name not in ours]
        #: The vendor's columns; those that are compared, and written if they differ; those that hold numbers.
        self._content = tuple(column.name for column in content)
        self._compared = tuple(name for name in self._content if name not in mirror.derived)
        self._numbers = frozenset(column.name for column in content if isinstance(column.type, Integer))

    def _fit(self, row: Row) -> Row:
        """The row with the vendor's values in the types of the columns. Invalid numbers become NULL."""
        fitted: dict[str, Value] = {}
        for name in self._content:
            value: Any = row.values.get(name)
            if value is not None:
                if name in self._numbers:
                    value = _integer(value)
                elif type(value) is not str:
                    value = str(value)
            fitted[name] = value
        return row._replace(values=fitted)

    # -- reading

    def _load(self, conn: Connection, keys: Iterable[str]) -> dict[str, Stored]:
        mirror = self.mirror
        columns = ", ".join(("id", mirror.key, "raw", "deleted_at", *self._content))
        query = (
            f"SELECT {columns} FROM {mirror.name} "
            f"WHERE {mirror.key} IN (SELECT value FROM json_each(?)){self._where}"
        )
        out = {}
        for block in chunks(keys):
            for row_id, key, raw, deleted_at, *values in tuples(conn, query, json.dumps(block), *self._bound):
                content = dict(zip(self._content, values, strict=True))
                out[key] = Stored(row_id, content, raw, deleted_at)
        return out

    def _look_up(self, conn: Connection, rows: Sequence[Row]) -> dict[str, StoredMatch]:
        mirror = self.mirror
        query = (
            f"SELECT {mirror.key}, id, raw FROM {mirror.name} WHERE deleted_at IS NULL "
            f"AND {mirror.key} IN (SELECT value FROM json_each(?)){self._where}"
        )
        listed = {row.key: row for row in rows}
        # Enough for most rows of a listing without changes. Only the others need all columns.
        known = {
            key: StoredMatch(row_id, same=True)
            for key, row_id, raw in tuples(conn, query, json.dumps(list(listed)), *self._bound)
            if raw == listed[key].raw and listed[key].deleted_at is None
        }
        for key, there in self._load(conn, listed.keys() - known.keys()).items():
            decision = self._decide(there, self._fit(listed[key]))
            known[key] = StoredMatch(there.id, same=isinstance(decision, RowUnchanged))
        return known

    def _stored_rows(self, conn: Connection, keys: Iterable[str]) -> dict[str, Row]:
        stored = self._load(conn, keys)
        return {
            key: Row(key, {**there.values, self.mirror.key: key}, there.raw)
            for key, there in stored.items()
            if there.raw is not None and there.deleted_at is None
        }

    def _decide(self, stored: Stored | None, row: Row) -> RowDecision:
        """What to do with a fitted row."""
        return decide_row(
            stored, row, content=self._compared, stamps=self.mirror.stamps, ignored=self.context.ignored
        )

    # -- writing

    def _write(self, conn: Connection, rows: Sequence[Row]) -> None:
        stored = self._load(conn, [row.key for row in rows])
        new = []
        for listed in rows:
            there, row = stored.get(listed.key), self._fit(listed)
            match self._decide(there, row):
                case RowInsert():
                    new.append(row)
                case RowRemoval(row_id):
                    self.seen.add(row_id)
                    self.vanishing.add(row_id)
                case RowUpdate(row_id, blanks=blanks) as change:
                    self.seen.add(row_id)
                    if blanks or is_older(there, row, self.mirror.newest_by):
                        self.deferred[row.key] = Deferred(listed, row_id, blanks)
                    else:
                        self._change(conn, row, there, change)
                case RowUnchanged():
                    pass
        self._insert(conn, new)

    def _insert(self, conn: Connection, rows: Sequence[Row]) -> None:
        at = self.context.at
        stamps = ("first_seen_at", "last_changed_at")
        columns = ("account", *self._scope, self.mirror.key, *self._content, *stamps, "raw")
        values = [(*self._bound, row.key, *row.values.values(), at, at, row.raw) for row in rows]
        ids = statements.insert_listed(conn, self._table, columns, values, at)
        for row_id, row in zip(ids, rows, strict=True):
            self.seen.add(row_id)
            self._add_notes(conn, row_id, row.notes)
        self.added += len(ids)

    def _change(self, conn: Connection, row: Row, there: Stored | None, change: RowUpdate) -> None:
        assert there is not None
        at = self.context.at
        values: dict[str, Any] = {name: row.values[name] for name in self._compared} | {"raw": row.raw}
        if change.changes or change.restores:
            values |= {"last_changed_at": at, "deleted_at": None}
            changes = dict(change.changes)
            if change.restores:
                changes["deleted_at"] = (there.deleted_at, None)
            if not self.mirror.inserts_only:
                changelog.changed(conn, self.table, change.id, changes, at, "upstream")
            self.changed += 1
        else:
            self.raw_only += 1
            if len(change.volatile) == 1:
                self.volatile.update(change.volatile)
        statements.update_row(conn, self._table, change.id, values)
        self._add_notes(conn, change.id, row.notes)

    def _add_notes(self, conn: Connection, row_id: int, notes: Sequence[Note]) -> None:
        """Insert new notes. Notes are never removed."""
        if not notes:
            return
        there = tuples(conn, "SELECT msg, date, agent FROM telecmi_notes WHERE contact_row = ?", row_id)
        new = [note for note in dict.fromkeys(notes) if (note.msg, note.date, note.agent) not in there]
        columns = ("account", "contact_row", "msg", "date", "agent", "first_seen_at")
        values = [(self.context.account, row_id, n.msg, n.date, n.agent, self.context.at) for n in new]
        if values:
            statements.insert_listed(conn, telecmi_notes, columns, values, self.context.at)

    def write_deferred(self, conn: Connection, allowed: frozenset[tuple[int, str]]) -> None:
        """See `Reconciler`. If a blank is refused, `raw` stays the old one, so the next listing shows it again."""
        stored = self._load(conn, self.deferred)
        for key, deferred in self.deferred.items():
            there, row = stored.get(key), self._fit(deferred.row)
            decision = self._decide(there, row)
            if there is None or not isinstance(decision, RowUpdate):
                continue
            refused = [name for name in decision.blanks if (there.id, name) not in allowed]
            if refused:
                row = keep_columns(there, row, refused, self.mirror.number)
                decision = self._decide(there._replace(raw=None), row)
                if not isinstance(decision, RowUpdate) or not decision.changes:
                    continue
            self._change(conn, row, there, decision)
        self.deferred.clear()

    # -- the end of a listing

    def unseen(self, conn: Connection) -> tuple[list[int], list[int]]:
        """See `Reconciler`."""
        live = tuples(conn, f"SELECT r.id {self._live_rows}", self.context.account)
        return sorted(row_id for (row_id,) in live if row_id not in self.seen), []

    def remove(self, conn: Connection, row_id: int, at: str) -> None:
        """See `Reconciler`. The row becomes a tombstone."""
        table = self._table
        conn.execute(
            update(table)
            .where(table.c.id == row_id, table.c.deleted_at.is_(None))
            .values(deleted_at=at, last_changed_at=at)
        )
        changelog.removed(conn, self.table, row_id, at)


def count_between(
    conn: Connection,
    mirror: Mirror,
    account: str,
    since_ms: int,
    until_ms: int,
    scope: Mapping[str, str] = MappingProxyType({}),
) -> int:
    """How many live rows of an account, or of the part that `scope` selects, are in a time span."""
    query = (
        f"SELECT count(*) FROM {mirror.name} "
        f"WHERE account = ? AND deleted_at IS NULL AND {mirror.dated_by} >= ? AND {mirror.dated_by} < ?"
        + "".join(f" AND {name} = ?" for name in scope)
    )
    return int(first(conn, query, account, *mirror.span(since_ms, until_ms), *scope.values()))
