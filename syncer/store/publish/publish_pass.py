"""One pass: brings a copy up to date, incrementally or by comparing every row.

Runs in one thread, with its own connection to the mirror. `sync/publish` decides when a pass is due and records its
result.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from syncer.store.db.read_only import AreForgotten, ReadOnlyDatabase
from syncer.store.publish import forgetting, reading, schema
from syncer.store.publish.comparing import blocks
from syncer.store.publish.copy import Copy, Position
from syncer.store.publish.reading import Changes

#: The most marks and log entries in one transaction.
BATCH = 2000


@dataclass(frozen=True, slots=True)
class Pass:
    """The task of a pass."""

    source: str
    token: str  #: identifies the state that the pass leaves behind
    at: str
    whole: bool  #: compare every row
    put_back: bool  #: the copy may have been restored from a backup
    forgotten: AreForgotten
    regions: tuple[str, ...]  #: for numbers without a country code


@dataclass(slots=True)
class Done:
    """The result of a pass."""

    mark: int
    seq: int
    rows: int = 0  #: rows that were sent or compared
    written: int = 0  #: rows of the copy that differed
    removed: int = 0

    def add(self, written: int, removed: int) -> None:
        """Add the counts of a transaction."""
        self.written += written
        self.removed += removed


def publish(
    path: Path, copy: Copy, position: Position | None, todo: Pass, progress: Callable[[int], None]
) -> Done:
    """Publish what changed after `position`. If there is none, or the task says so, compare all rows first."""
    with ReadOnlyDatabase(path) as db:
        if todo.whole or position is None or position.mark is None:
            done = _compare_all(db, copy, todo, progress)
            before = todo.token
        else:
            done = Done(position.mark, position.seq)
            before = position.token
        while True:
            with db.read() as conn:
                changes = reading.changes(conn, done.mark, done.seq, BATCH)
            if not changes.count and (changes.mark, changes.seq) == (done.mark, done.seq):
                return done
            if changes.forgotten:
                with db.read() as conn:
                    forgetting.remove_forgotten(conn, copy, todo.forgotten, todo.regions, orphans=True)
            done.add(*copy.apply(changes, before, todo.token, todo.at))
            before, done.mark, done.seq = todo.token, changes.mark, changes.seq
            done.rows += changes.count
            progress(done.rows)
            if not changes.more:
                return done


def _compare_all(db: ReadOnlyDatabase, copy: Copy, todo: Pass, progress: Callable[[int], None]) -> Done:
    """Compare every row. The position moves at the end, and a pass that is killed keeps what it has corrected."""
    with db.read() as conn:
        done = Done(*reading.newest(conn))
        # Marks are not read one by one here. A restored copy may have edits of people who were forgotten long ago.
        forgotten = todo.put_back or reading.is_forgetting(conn)
    copy.begin_whole(todo.source, todo.token)
    with copy.transaction() as there:
        schema.ensure_views(there, copy.place.schema)
    with db.read() as conn:
        forgetting.remove_forgotten(conn, copy, todo.forgotten, todo.regions, orphans=forgotten)
    for block in blocks(db, copy):
        done.rows += block.count
        if block.rows or block.gone:
            part = Changes(done.mark, done.seq, {block.published: block.rows}, {block.published: block.gone})
            done.add(*copy.apply(part, todo.token, todo.token, None))
        progress(done.rows)
    copy.apply(Changes(done.mark, done.seq), todo.token, todo.token, todo.at)
    return done
