"""Records who made local changes and decisions."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final

from sqlalchemy import Connection

from syncer.store.db.read_only import raw
from syncer.store.read.feed import last_seq
from syncer.store.write.edits import as_program

#: The name of the command line.
CLI: Final = "cli"


@contextlib.contextmanager
def acting(conn: Connection, who: str) -> Iterator[None]:
    """Record `who` with all entries of the log that the block adds, within one transaction."""
    before = last_seq(conn)
    yield
    with as_program(conn):
        raw(conn).execute("UPDATE change_log SET actor = ? WHERE seq > ?", (who, before))


@contextlib.contextmanager
def deciding(conn: Connection, number: int, who: str) -> Iterator[None]:
    """Record `who` with a decision about a change of the queue, which the block carries out."""
    with acting(conn, who):
        yield
    raw(conn).execute("UPDATE change_queue SET decided_by = ? WHERE id = ?", (who, number))
