"""Who did it: the names that go on record with local changes and decisions. `cli` is the command line."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final

from sqlalchemy import Connection

from syncer.store.db.read_only import raw
from syncer.store.read.feed import last_seq

CLI: Final = "cli"


@contextlib.contextmanager
def acting(conn: Connection, who: str) -> Iterator[None]:
    """What the block logs was done by `who`. Within one transaction, so that nobody else writes meanwhile."""
    before = last_seq(conn)
    yield
    driver = raw(conn)
    (guard,) = driver.execute("SELECT active FROM sync_guard WHERE id = 1").fetchone()
    driver.execute("UPDATE sync_guard SET active = 1 WHERE id = 1")
    driver.execute("UPDATE change_log SET actor = ? WHERE seq > ?", (who, before))
    driver.execute("UPDATE sync_guard SET active = ? WHERE id = 1", (guard,))


@contextlib.contextmanager
def deciding(conn: Connection, number: int, who: str) -> Iterator[None]:
    """The block carries out what `who` decided about a change of the queue."""
    with acting(conn, who):
        yield
    raw(conn).execute("UPDATE change_queue SET decided_by = ? WHERE id = ?", (who, number))
