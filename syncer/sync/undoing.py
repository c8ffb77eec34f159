"""Undoes people's edits of contacts by further edits. `core/undo.py` decides what happens to each contact."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from syncer.core.undo import Undo, undo
from syncer.store.db.connection import Connection, Database
from syncer.store.db.read_only import chunks
from syncer.store.read import undo_queries
from syncer.store.read.undo_queries import History, Span
from syncer.store.write import actors, imports

#: The most contacts that are read or written at once.
TRANSACTION = 100


class Undoing:
    """One undo of people's edits within some spans of the change log."""

    def __init__(self, db: Database, spans: Sequence[Span], region_of: Callable[[str], str]) -> None:
        self._db = db
        self._spans = spans
        self._region_of = region_of
        with db.read() as conn:
            rows = undo_queries.contacts(conn, spans)
        self._blocks = list(chunks(rows, TRANSACTION))

    def plan(self) -> Iterator[Undo]:
        """What would happen to each contact. Contacts that need no change are left out."""
        for block in self._blocks:
            with self._db.read() as conn:
                plan = self._decide(conn, block)
            yield from plan

    def apply(self, batch: int | None, stamp: Callable[[], str]) -> Iterator[Undo]:
        """Undo the edits, and yield what happened to each contact. If it is interrupted, a second call undoes the rest."""
        for n, block in enumerate(self._blocks, start=1):
            with self._db.edit(lasting=n == len(self._blocks)) as conn, actors.acting(conn, actors.CLI):
                plan = self._decide(conn, block)
                for one in plan:
                    imports.take_back(conn, one)
            yield from plan
        if batch is not None:
            with self._db.write() as conn:
                imports.set_undone(conn, batch, stamp())

    def _decide(self, conn: Connection, rows: Sequence[int]) -> list[Undo]:
        history = History(conn, rows, self._spans)
        found = [
            undo(current, history.edits[row], history.later[row], self._region_of(account))
            for row, (account, current) in sorted(history.current.items())
        ]
        return [one for one in found if one.action != "nothing"]
