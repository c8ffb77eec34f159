"""Imports the rows of a file: compares them with the mirror and writes them as a person's edits.

`formats` reads the file, and `core/import_plan.py` decides what happens to each row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from typing import NamedTuple

from syncer.core.import_plan import PlannedRow, RowKey, Verdict, decide, key_of, usable
from syncer.core.import_rows import Candidate
from syncer.store.db.connection import Connection, Database
from syncer.store.db.read_only import chunks
from syncer.store.read.import_queries import ContactLookup
from syncer.store.write import imports
from syncer.store.write.contacts import fill_phones
from syncer.store.write.forget import Forgotten

#: How many rows are looked up at once, and the most that are written in one transaction.
BLOCK, TRANSACTION = 1000, 100


class _Work(NamedTuple):
    candidate: Candidate
    key: RowKey
    other: int | None  #: the row of the file that is used for this key, if it is not this one


class Importer:
    """Plans or applies the rows of one file."""

    def __init__(
        self,
        db: Database,
        rows: Iterable[Candidate],
        regions: Mapping[str, str],
        stamp: Callable[[], str],
    ) -> None:
        """`rows` are read twice. `regions` has the region of each account that they name."""
        self._db = db
        self._rows = rows
        self._regions = regions
        self._stamp = stamp
        self._counting: dict[
            RowKey, tuple[int, int]
        ] = {}  #: how usable the row is that counts, and its number
        self.counts: Counter[Verdict] = Counter()

    def plan(self) -> Generator[PlannedRow, None, None]:
        """What would happen to each row, in the order of the file."""
        with self._db.read() as conn:
            lookup = self._lookup(conn)
            for block in self._blocks():
                for _, planned in self._decide(conn, lookup, block):
                    yield self._counted(planned)

    def apply(self, batch: imports.Batch) -> Generator[PlannedRow, None, None]:
        """Write the rows, and yield what happened to each. Stopping early leaves a batch that is written in part."""
        with self._db.write() as conn:
            for account, region in self._regions.items():
                fill_phones(conn, account, region)
        with self._db.read() as conn:
            lookup = self._lookup(conn)
        for block in self._blocks():
            with self._db.read() as conn:
                plan = self._decide(conn, lookup, block)
            for some in chunks(plan, TRANSACTION):
                if any(planned.verdict in (Verdict.ADD, Verdict.UPDATE) for _, planned in some):
                    some = self._write(lookup, batch, [work for work, _ in some])
                for _, planned in some:
                    yield self._counted(planned)
        if batch.id is not None:
            with self._db.write() as conn:
                imports.finish(conn, batch, self._stamp())

    def _write(
        self, lookup: ContactLookup, batch: imports.Batch, block: list[_Work]
    ) -> list[tuple[_Work, PlannedRow]]:
        """Decide again, because somebody may have edited the same contacts meanwhile, and write."""
        with self._db.edit(lasting=False) as conn:  # the last write of the batch waits for the disk
            plan = self._decide(conn, lookup, block)
            done = imports.apply(conn, batch, [(work.key.account, planned) for work, planned in plan])
        return list(zip(block, done, strict=True))

    def _decide(
        self, conn: Connection, lookup: ContactLookup, block: list[_Work]
    ) -> list[tuple[_Work, PlannedRow]]:
        known = lookup.find(conn, {work.key for work in block})
        return [
            (one, decide(one.candidate, one.key, known[one.key], self._regions[one.key.account], one.other))
            for one in block
        ]

    def _lookup(self, conn: Connection) -> ContactLookup:
        return ContactLookup(conn, self._regions, Forgotten(self._db.path).among)

    def _blocks(self) -> Iterator[list[_Work]]:
        for one in self._rows:
            key = self._key(one)
            rank = usable(one)
            if (key.e164 or key.written) and rank > self._counting.get(key, (-1, 0))[0]:
                self._counting[key] = rank, one.row
        for some in chunks(self._rows, BLOCK):
            yield [self._work(one) for one in some]

    def _work(self, candidate: Candidate) -> _Work:
        key = self._key(candidate)
        _, counts = self._counting.get(key, (0, candidate.row))
        return _Work(candidate, key, None if counts == candidate.row else counts)

    def _key(self, candidate: Candidate) -> RowKey:
        return key_of(candidate, self._regions[candidate.account])

    @property
    def totals(self) -> dict[str, int]:
        """The number of rows by verdict."""
        return {verdict.value: self.counts[verdict] for verdict in Verdict}

    def _counted(self, planned: PlannedRow) -> PlannedRow:
        self.counts[planned.verdict] += 1
        return planned
