"""Compares listed rows with the mirror and writes those that differ: the part that all lists share.

`mirror.py` implements it for rows that come only from the vendor, `directory.py` for contacts that people edit.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Connection

from syncer.core.model import Row
from syncer.core.rows import Bits, combine, same_raw
from syncer.store.db.mirrors import Mirror
from syncer.store.db.read_only import AreForgotten, first, tuples

#: The most rows in one write transaction, so that a person who edits waits only briefly.
BLOCK = 100

#: How many ids of a table are remembered as listed more than once.
MOST_COPIES = 10_000


@dataclass(frozen=True, slots=True)
class Context:
    """The settings of a comparison."""

    account: str
    at: str = ""  #: UTC text, when the run started
    ignored: frozenset[str] = frozenset()  #: vendor fields that change on every read
    listed_twice: frozenset[str] = frozenset()  #: ids that the last listings showed more than once
    forgotten: AreForgotten = lambda *_: set()  #: which numbers were forgotten


class StoredMatch(NamedTuple):
    """The stored row that belongs to a listed one."""

    id: int
    same: bool  #: there is nothing to write


class Deferred(NamedTuple):
    """A row that is written only at the end of the listing."""

    row: Row
    row_id: int
    blanks: tuple[str, ...]  #: columns that it would turn blank


class Reconciler(ABC):
    """Compares the rows of one listing with one table, and writes those that differ.

    `compare` collects rows that differ in `pending`, by the vendor's id, and `write` writes a block of them. Rows
    that were listed more than once with different content wait until the end (`combine_copies`), and so do rows
    that would turn a column blank (`write_deferred`). Only bits and counts are kept of all other rows.
    """

    #: SQL: FROM and WHERE of an account's live rows; `r` has the values that upstream showed last.
    _live_rows: str

    def __init__(self, mirror: Mirror, context: Context) -> None:
        self.mirror = mirror
        self.table = mirror.name
        self.name = mirror.name  #: of the list; differs if several lists fill the table
        self.context = context
        self.pending: dict[str, Row] = {}
        self.deferred: dict[str, Deferred] = {}
        self.copies: dict[str, list[Row]] = {}
        self.seen = Bits()  #: ids of the stored rows that were listed
        self.vanishing: set[int] = set()  #: those of `seen` that the vendor calls deleted
        self.rows = 0  #: rows that were listed
        self.distinct = 0  #: different rows among them
        self.added = 0
        self.changed = 0
        self.raw_only = 0  #: rows of which only `raw` or a vendor timestamp was written
        self.volatile: Counter[str] = Counter()  #: vendor fields that were the only difference of a row

    # -- implemented by each list

    @abstractmethod
    def _look_up(self, conn: Connection, rows: Sequence[Row]) -> Mapping[str, StoredMatch]:
        """The stored rows that belong to listed ones, by the vendor's id."""

    @abstractmethod
    def _stored_rows(self, conn: Connection, keys: Iterable[str]) -> Mapping[str, Row]:
        """What upstream listed last, by the vendor's id."""

    @abstractmethod
    def _write(self, conn: Connection, rows: Sequence[Row]) -> None:
        """Write rows, each id once. Reads the stored rows again, since they may have changed in the meantime."""

    @abstractmethod
    def write_deferred(self, conn: Connection, allowed: frozenset[tuple[int, str]]) -> None:
        """Write the deferred rows, except blanks that are not `allowed` (row id, column)."""

    @abstractmethod
    def unseen(self, conn: Connection) -> tuple[list[int], list[int]]:
        """Rows that upstream had and that were not listed: (live, deleted locally)."""

    @abstractmethod
    def remove(self, conn: Connection, row_id: int, at: str) -> None:
        """Remove a row that is proven to be gone upstream."""

    # -- the common part

    def compare(self, conn: Connection, rows: Sequence[Row]) -> None:
        """Compare rows with the mirror, and put those that differ into `pending`."""
        self.rows += len(rows)
        known = self._look_up(conn, rows)
        forgotten = self.context.forgotten(conn, (phone_of(row) for row in rows if row.key not in known))
        for row in rows:
            there = known.get(row.key)
            if there is None and (row.deleted_at or phone_of(row) in forgotten):
                self.distinct += 1
            elif row.key in self.context.listed_twice or row.key in self.copies:
                self._add_copy(row, there)
            elif row.key in self.pending or row.key in self.deferred or (there and there.id in self.seen):
                self._take_again(conn, row, there)
            else:
                self.distinct += 1
                if there is None or not there.same:
                    self.pending[row.key] = row
                if there is not None:
                    self.seen.add(there.id)

    def _add_copy(self, row: Row, there: StoredMatch | None) -> None:
        """Collect a row whose id is listed more than once, to be combined with its copies at the end."""
        copies = self.copies.setdefault(row.key, [])
        if any(same_raw(row.raw, one.raw) for one in copies):
            return
        copies.append(row)
        if len(copies) == 1 or self.mirror.newest_by or row.key in self.context.listed_twice:
            self.distinct += 1
        if there is not None:
            self.seen.add(there.id)

    def _take_again(self, conn: Connection, row: Row, there: StoredMatch | None) -> None:
        """Handle a row whose id was listed once before in this listing."""
        before = self.pending.get(row.key)
        if before is None and row.key in self.deferred:
            before = self.deferred[row.key].row
        if before is None and there is not None and there.id in self.vanishing:
            self.vanishing.discard(there.id)  # the first copy was deleted, this one is live
            self.pending[row.key] = row
            return
        before = before or self._stored_rows(conn, [row.key]).get(row.key)
        if before is None or row.deleted_at or same_raw(before.raw, row.raw):
            return  # the same row again: rows moved between pages
        self.pending.pop(row.key, None)
        self.deferred.pop(row.key, None)
        self.copies[row.key] = [before]
        self._add_copy(row, there)

    def write(self, conn: Connection) -> None:
        """Write one block of what is pending."""
        rows = [self.pending.pop(key) for key in list(self.pending)[:BLOCK]]
        if forgotten := self.context.forgotten(conn, map(phone_of, rows)):  # perhaps since they were compared
            known = self._look_up(conn, rows)
            rows = [row for row in rows if row.key in known or phone_of(row) not in forgotten]
        self._write(conn, rows)

    def combine_copies(self, conn: Connection, *, is_full: bool) -> None:
        """Combine the copies of each row that was listed more than once, and put those that differ into `pending`.

        If the listing did not show everything (`is_full` off), the stored row counts as another copy.
        """
        copies = {key: list(rows) for key, rows in self.copies.items()}
        if not is_full:
            for key, stored in self._stored_rows(conn, copies).items():
                copies[key].append(stored)
        combined = [combine(rows, self.mirror.newest_by, self.mirror.number) for rows in copies.values()]
        known = self._look_up(conn, combined)
        self.pending |= {row.key: row for row in combined if row.key not in known or not known[row.key].same}

    def listed_twice(self, *, is_full: bool) -> list[str]:
        """The ids that the next listing should expect more than once."""
        once = {key for key, copies in self.copies.items() if len(copies) == 1} if is_full else set()
        return sorted((self.context.listed_twice | self.copies.keys()) - once)[:MOST_COPIES]

    def remove_all(self, conn: Connection, ids: Iterable[int], at: str) -> None:
        """Remove rows that are proven to be gone upstream."""
        for row_id in ids:
            self.remove(conn, row_id, at)

    def remove_deleted(self, conn: Connection, ids: Iterable[int], at: str) -> None:
        """Remove rows that were deleted locally, and that are proven to be gone upstream."""
        self.remove_all(conn, ids, at)

    def live_count(self, conn: Connection) -> int:
        """How many live rows the account has."""
        return int(first(conn, f"SELECT count(*) {self._live_rows}", self.context.account))

    def filled_counts(self, conn: Connection, columns: Sequence[str]) -> dict[str, int]:
        """How many live rows have a value, by column."""
        if not columns:
            return {}
        counts = ", ".join(f"count(NULLIF(r.{name}, ''))" for name in columns)
        (found,) = tuples(conn, f"SELECT {counts} {self._live_rows}", self.context.account)
        return dict(zip(columns, found, strict=True))

    def keys(self, conn: Connection, ids: Iterable[int]) -> dict[int, str]:
        """The vendor's ids, by row id."""
        query = f"SELECT id, {self.mirror.key} FROM {self.table} WHERE id IN (SELECT value FROM json_each(?))"
        return dict(tuples(conn, query, json.dumps(list(ids))))

    @property
    def blanks(self) -> list[tuple[int, str]]:
        """The values that deferred rows would turn blank: (row id, column)."""
        return [(one.row_id, name) for one in self.deferred.values() for name in one.blanks]

    @property
    def wrote(self) -> int:
        """How many rows were written."""
        return self.added + self.changed + self.raw_only

    def shows(self, row_id: int) -> bool:
        """Whether the listing showed a row as live."""
        return row_id in self.seen and row_id not in self.vanishing


def phone_of(row: Row) -> str | None:
    """The phone number of a listed row, in E.164."""
    phone = row.values.get("phone_e164")
    return phone if isinstance(phone, str) else None
