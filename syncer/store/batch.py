"""Writes that are collected while rows are judged, and carried out together.

What is written is the caller's to know; no row may stand in one batch twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Table

from syncer.core.contacts import Local, Move
from syncer.core.model import Value
from syncer.core.queue import SETTLED, advance
from syncer.store import bulk, log, queue
from syncer.store.tables import change_queue


@dataclass(slots=True)
class Batch:
    """Changes of rows, what the log tells of them, and the contacts of which no request is waited for any more."""

    _updates: dict[tuple[Table, tuple[str, ...]], list[tuple[Any, ...]]] = field(default_factory=dict)
    _log: list[log.Entry] = field(default_factory=list)
    _agreed: list[int] = field(default_factory=list)

    def update(self, table: Table, row_id: int, values: Mapping[str, Any]) -> None:
        """Set columns of one row: only such as differ, since each brings its indexes with it."""
        if values:
            rows = self._updates.setdefault((table, tuple(values)), [])
            rows.append((*values.values(), row_id))

    def tell(
        self, table: str, row_id: int, changes: Mapping[str, tuple[Value, Value]], at: str, origin: str
    ) -> None:
        """An entry in the log for each field: (old, new)."""
        if changes:
            self._log += log.entries(table, row_id, changes, at, origin)

    def settle(self, local: Local, step: Move, at: str) -> None:
        """A change of the queue comes to its end; see `settles`."""
        (change,) = (one for one in local.changes if one.id == step.change_id)
        state = advance(change.state, step.event)
        self.update(change_queue, change.id, queue.moved(state, at, step.note, {}))

    def agree(self, row_id: int) -> None:
        """The base of a contact moved: what was sent of it before has done its work."""
        self._agreed.append(row_id)

    def write(self, conn: Connection) -> None:
        """Carry out all of it."""
        for (table, columns), rows in self._updates.items():
            bulk.update_rows(conn, table, columns, rows)
        log.write(conn, self._log)
        queue.drop_intents(conn, *self._agreed)


def settles(local: Local, step: Move) -> bool:
    """Whether a move does nothing but end one of the contact's changes."""
    change = next((one for one in local.changes if one.id == step.change_id), None)
    if change is None or step.operation is not None or step.clashes is not None:
        return False
    return advance(change.state, step.event) in SETTLED
