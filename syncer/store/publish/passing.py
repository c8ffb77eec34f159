"""One pass: brings a copy to where the mirror is, incrementally or by comparing every row.

Works in one thread, on a connection of its own to the mirror. When a pass is due, and what is kept of it, is decided
in `sync/publish`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from syncer.store.db.read_only import ReadOnlyDatabase
from syncer.store.publish import edits, reading, schema
from syncer.store.publish.comparing import blocks
from syncer.store.publish.copy import Copy, Position
from syncer.store.publish.reading import Changes

#: Marks, and entries of the log, that are published in one transaction.
BATCH = 2000


@dataclass(frozen=True, slots=True)
class Pass:
    """What a pass is to do."""

    source: str
    token: str  #: names the state that it leaves
    at: str
    whole: bool  #: compare every row
    put_back: bool  #: the copy is not known to be in the state that we left it in
    forgotten: Callable[[str | None], bool]  #: whether a number belongs to somebody who is to be kept out
    regions: tuple[str, ...]  #: how numbers without a country code are read


@dataclass(slots=True)
class Done:
    """What a pass did."""

    mark: int
    seq: int
    rows: int = 0  #: rows that were sent or looked at
    written: int = 0  #: rows of the copy that differed
    removed: int = 0

    def add(self, written: int, removed: int) -> None:
        """Count what one transaction did."""
        self.written += written
        self.removed += removed


def publish(
    path: Path, copy: Copy, position: Position | None, todo: Pass, progress: Callable[[int], None]
) -> Done:
    """Publish what changed after `position`, after comparing all rows where that is asked for."""
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
                    edits.remove_forgotten(conn, copy, todo.forgotten, todo.regions)
            done.add(*copy.apply(changes, before, todo.token, todo.at))
            before, done.mark, done.seq = todo.token, changes.mark, changes.seq
            done.rows += changes.count
            progress(done.rows)
            if not changes.more:
                return done


def _compare_all(db: ReadOnlyDatabase, copy: Copy, todo: Pass, progress: Callable[[int], None]) -> Done:
    """Compare every row; the position moves at the end. A kill in between leaves what was put right."""
    with db.read() as conn:
        done = Done(*reading.newest(conn))
        # The marks are not read one by one. A copy that was put back may have edits of people forgotten long ago.
        forgotten = todo.put_back or reading.is_forgetting(conn)
    copy.begin_whole(todo.source, todo.token)
    with copy.transaction() as there:
        schema.ensure_views(there, copy.place.schema)
    with db.read() as conn:
        edits.remove_forgotten(conn if forgotten else None, copy, todo.forgotten, todo.regions)
    for block in blocks(db, copy):
        done.rows += block.count
        if block.rows or block.gone:
            part = Changes(done.mark, done.seq, {block.published: block.rows}, {block.published: block.gone})
            done.add(*copy.apply(part, todo.token, todo.token, None))
        progress(done.rows)
    copy.apply(Changes(done.mark, done.seq), todo.token, todo.token, todo.at)
    return done
