"""Compares a published copy with the mirror, block by block: by digests first, and row by row where those differ."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from syncer.core.published import Value, digest, digest_of_all
from syncer.store.db.read_only import ReadOnlyDatabase
from syncer.store.publish import reading
from syncer.store.publish.copy import Copy
from syncer.store.publish.reading import Rows
from syncer.store.publish.tables import PUBLISHED, Published

#: Rows that are read, and compared, at once.
BLOCK = 1000


@dataclass(frozen=True, slots=True)
class Block:
    """Some rows of a table, and how the copy differs in them."""

    published: Published
    count: int  #: rows of the mirror in it
    rows: Rows  #: those that the copy lacks or has otherwise
    missing: list[Value]  #: keys of those that it lacks
    gone: list[Value]  #: keys of rows that only the copy has


def blocks(db: ReadOnlyDatabase, copy: Copy) -> Iterator[Block]:
    """All tables, in the order of their keys."""
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
    odd = [row for row in rows if theirs.get(row[0]) != ours[row[0]]]
    differing = copy.differing(published, odd)  # PostgreSQL may show a value in another way
    return Block(
        published,
        len(rows),
        [row for row in odd if row[0] in differing],
        [row[0] for row in odd if row[0] not in theirs],
        [key for key in theirs if key not in ours],
    )
