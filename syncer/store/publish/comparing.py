"""Compares a published copy with the mirror: blocks by their digest, then single rows where digests differ."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from syncer.core.model import Value
from syncer.core.published import digest, digest_of_all
from syncer.store.db.read_only import ReadOnlyDatabase
from syncer.store.publish import reading
from syncer.store.publish.copy import Copy
from syncer.store.publish.reading import Rows
from syncer.store.publish.tables import PUBLISHED, Published

#: Rows in a block.
BLOCK = 1000


@dataclass(frozen=True, slots=True)
class Block:
    """Some rows of a table, and how they differ in the copy."""

    published: Published
    count: int  #: rows of the mirror in the block
    rows: Rows  #: those that are missing or different in the copy
    missing: list[Value]  #: keys of those that are missing in the copy
    gone: list[Value]  #: keys of rows that only the copy has


def blocks(db: ReadOnlyDatabase, copy: Copy) -> Iterator[Block]:
    """All tables, block by block in the order of their keys."""
    for published in PUBLISHED.values():
        after: Value = None
        while True:
            with db.read() as conn:
                rows = reading.block(conn, published, after, BLOCK)
            whole = len(rows) < BLOCK
            upto = None if whole else rows[-1][0]
            yield _compare(copy, published, rows, after, upto)
            if whole:
                break
            after = upto


def _compare(copy: Copy, published: Published, rows: Rows, after: Value, upto: Value) -> Block:
    count, found = copy.digest(published, after, upto)
    if count == 0:
        return Block(published, len(rows), rows, [row[0] for row in rows], [])
    ours = {row[0]: digest(row, published.kinds) for row in rows}
    if count == len(rows) and found == digest_of_all(ours.values()):
        return Block(published, len(rows), [], [], [])
    theirs = copy.digests(published, after, upto)
    suspects = [row for row in rows if theirs.get(row[0]) != ours[row[0]]]
    differing = copy.differing(published, suspects)  # PostgreSQL may format an equal value differently
    return Block(
        published,
        len(rows),
        [row for row in suspects if row[0] in differing],
        [row[0] for row in suspects if row[0] not in theirs],
        [key for key in theirs if key not in ours],
    )
