"""The common part of comparing listed rows with the mirror and writing them.

`mirror.py` implements it for rows that come only from the vendor, `directory.py` for contacts that people edit.
`sync` fetches, and decides what a listing proves.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from sqlalchemy import Connection

from syncer.core.model import Row
from syncer.core.rows import Bits, combine, same_raw

#: The most rows in one write transaction: a person who edits waits no longer than these take.
BLOCK = 100

#: The most ids, per table, that are remembered as listed more than once.
MOST_COPIES = 10_000


@dataclass(frozen=True, slots=True)
class Context:
    """The settings of a comparison."""

    account: str
    at: str = ""  #: UTC text, when the run started
    ignored: frozenset[str] = frozenset()  #: vendor fields that change on every read
    listed_twice: frozenset[str] = frozenset()  #: ids that the last listings showed more than once
    forgotten: Callable[[str | None], bool] = field(
        default=lambda _: False
    )  #: whether a number was forgotten


class StoredMatch(NamedTuple):
    """The stored row of a listed one."""

    id: int
    same: bool  #: equal to the listed row: nothing to write


class Deferred(NamedTuple):
    """A row that is written only at the end of the listing."""

    row: Row
    row_id: int
    blanks: tuple[str, ...] = ()  #: columns that it would turn blank


class Reconciler(ABC):
    """Compares the rows of one listing with one table, and writes those that differ.

    `compare` takes listed rows and collects those that differ in `pending`, by id; `write` writes a block of
    them. Rows that were listed more than once with different content wait for the end (`combine_copies`), and so
    do rows that would turn a column blank (`write_deferred`). Of all other rows only bits and counts are kept.
    """

    #: The table's name.
    table: str
    #: The column that says which of two rows with the same id is newer, if there is one.
    newest_by: str | None = None
    #: The column from which `phone_e164` is derived, if there is one.
    number: str | None = None

    @property
    def name(self) -> str:
        """The list's name: that of the table, unless several lists fill the table."""
        return self.table

    def __init__(self, context: Context) -> None:
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
        """The stored rows of listed ones, by id."""

    @abstractmethod
    def _stored_rows(self, conn: Connection, keys: Iterable[str]) -> Mapping[str, Row]:
        """What upstream last listed for rows, by id."""

    @abstractmethod
    def _write(self, conn: Connection, rows: Sequence[Row]) -> None:
        """Write rows, each id once. The stored rows are read again, since they may have changed in the meantime."""

    @abstractmethod
    def write_deferred(self, conn: Connection, allowed: frozenset[tuple[int, str]]) -> None:
        """Write the deferred rows, except blanks that are not `allowed` (row id, column)."""

    @abstractmethod
    def unseen(self, conn: Connection) -> tuple[list[int], list[int]]:
        """Rows that upstream had and that were not listed: (live, deleted locally)."""

    @abstractmethod
    def live_count(self, conn: Connection) -> int:
        """Living rows of the account."""

    @abstractmethod
    def filled_counts(self, conn: Connection, columns: Iterable[str]) -> dict[str, int]:
        """By column: how many live rows have a value."""

    @abstractmethod
    def keys(self, conn: Connection, ids: Iterable[int]) -> dict[int, str]:
        """The vendor's ids of rows."""

    @abstractmethod
    def remove(self, conn: Connection, row_id: int, at: str) -> None:
        """Remove a row that is proven to be gone upstream."""

    # -- the common part

    def compare(self, conn: Connection, rows: Sequence[Row]) -> None:
        """Compare rows with the mirror; those that differ go to `pending`, to be written."""
        self.rows += len(rows)
        known = self._look_up(conn, rows)
        for row in rows:
            there = known.get(row.key)
            if there is None and (row.deleted_at or self.context.forgotten(_phone(row))):
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
        """Collect a row whose id is listed more than once. Its copies are combined at the end."""
        copies = self.copies.setdefault(row.key, [])
        if any(same_raw(row.raw, one.raw) for one in copies):
            return
        copies.append(row)
        if len(copies) == 1 or self.newest_by or row.key in self.context.listed_twice:
            self.distinct += 1
        if there is not None:
            self.seen.add(there.id)

    def _take_again(self, conn: Connection, row: Row, there: StoredMatch | None) -> None:
        """Handle a row whose id came once before in this listing."""
        before = self.pending.get(row.key)
        if before is None and row.key in self.deferred:
            before = self.deferred[row.key].row
        if before is None and there is not None and there.id in self.vanishing:
            self.vanishing.discard(there.id)  # one copy is deleted, another is live
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
        block = [self.pending.pop(key) for key in list(self.pending)[:BLOCK]]
        self._write(conn, block)

    def combine_copies(self, conn: Connection, *, is_full: bool) -> None:
        """Combine the copies of each row that was listed more than once. Different rows go to `pending`.

        If the listing did not show everything (`is_full` off), the stored row counts as a copy.
        """
        stored = {} if is_full else self._stored_rows(conn, self.copies)
        combined = [
            combine([*copies, *([stored[key]] if key in stored else [])], self.newest_by, self.number)
            for key, copies in self.copies.items()
        ]
        known = self._look_up(conn, combined)
        self.pending |= {row.key: row for row in combined if row.key not in known or not known[row.key].same}

    def listed_twice(self, *, is_full: bool) -> list[str]:
        """The ids that the next listing has to treat as listed more than once."""
        once = {key for key, copies in self.copies.items() if len(copies) == 1} if is_full else set()
        return sorted((self.context.listed_twice | self.copies.keys()) - once)[:MOST_COPIES]

    def remove_all(self, conn: Connection, ids: Iterable[int], at: str) -> None:
        """Remove rows that are proven to be gone upstream."""
        for row_id in ids:
            self.remove(conn, row_id, at)

    def remove_deleted(self, conn: Connection, ids: Iterable[int], at: str) -> None:
        """The same for rows that were deleted locally."""
        self.remove_all(conn, ids, at)

    @property
    def blanks(self) -> list[tuple[int, str]]:
        """What the deferred rows would turn blank: (row id, column)."""
        return [(one.row_id, name) for one in self.deferred.values() for name in one.blanks]

    @property
    def wrote(self) -> int:
        """How many rows were written."""
        return self.added + self.changed + self.raw_only

    def shows(self, row_id: int) -> bool:
        """Whether the listing showed a row as live."""
        return row_id in self.seen and row_id not in self.vanishing


def _phone(row: Row) -> str | None:
    phone = row.values.get("phone_e164")
    return phone if isinstance(phone, str) else None
