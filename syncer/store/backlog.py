"""Keeps SQLite from copying its log into the file at every commit while a pull writes block after block.

Most blocks write the same pages of the indexes again, so that copying them once for several blocks is a
third of the work. A shell's commit would copy what ours did not, and its user wait for it: so a snapshot
is kept open beside our connection, and nobody can copy what came after that. It ends right before a commit
of ours, which then copies all, before a shell can. How long it may stay is seen to by who writes.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

#: When so many bytes of the log are held back, the next commit copies them.
MOST = 6 * 1024 * 1024

#: Writes that changed fewer rows hold nothing back.
FEWEST = 200

#: What holds back gives way to who waits for it (a checkpoint that cuts the log) after so many milliseconds.
PATIENCE_MS = 100

#: So many milliseconds others may be held up until whoever reads from the log has gone.
MOMENT_MS = 20


class Backlog:
    """What of the log is not copied yet, because more is to come. Used by one thread at a time."""

    def __init__(self, path: Path, replaced: Callable[[], bool]) -> None:
        self._path = path
        self._replaced = replaced
        self._snapshot: sqlite3.Connection | None = None
        self.held = False  #: whether anything is held back
        self.full = False  #: whether that is as much as may be

    def wrote(self, driver: sqlite3.Connection, rows: int) -> None:
        """A block of so many rows was just committed: what comes next is held back."""
        if self.held:
            (page,) = driver.execute("PRAGMA page_size").fetchone()
            _, log, copied = driver.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            # -1: somebody else is at copying, and how much is left cannot be told
            self.full = log < 0 or (log - copied) * page >= MOST
        elif rows >= FEWEST and _all_copied(driver):
            self._hold()

    def let_go(self) -> None:
        """Hold nothing back any more: the next commit copies it, whoever's it is."""
        self.held = self.full = False
        if self._snapshot is not None:
            self._snapshot.rollback()

    def close(self) -> None:
        """Let go, and close what that took."""
        self.let_go()
        if self._snapshot is not None:
            self._snapshot.close()
            self._snapshot = None

    def _hold(self) -> None:
        """Hold back from here on. Where that fails everything is copied at once, which costs time and no more."""
        try:
            if self._snapshot is None:
                if self._replaced():
                    return  # to open what is there now would spoil the log
                uri = f"{self._path.absolute().as_uri()}?mode=rw"
                self._snapshot = sqlite3.connect(uri, uri=True, check_same_thread=False, isolation_level=None)
            self._snapshot.execute("BEGIN")
            self._snapshot.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone()
            self.held = True
        except sqlite3.Error:
            self.close()


def _all_copied(driver: sqlite3.Connection) -> bool:
    """Copy what is left of the log, so that the next write begins it anew; False if somebody is in the way.

    The commit before has copied nearly all, and what came meanwhile is copied while nobody has to wait. But a
    shell that writes all the while is in the log again before that ends: the log would grow without end, until
    SQLite cuts it in the midst of a commit. So the last of it is copied while nobody writes: right after a
    copying old versions have their WAL-reset bug, when somebody does.
    """
    driver.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    with patience(driver, MOMENT_MS):
        _, log, copied = driver.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
    return bool(log == copied >= 0)  # -1: somebody else is at it


@contextlib.contextmanager
def patience(driver: sqlite3.Connection, milliseconds: int) -> Iterator[None]:
    """Wait that long for whoever stands in the way, and as long as usual afterwards."""
    (usual,) = driver.execute("PRAGMA busy_timeout").fetchone()
    driver.execute(f"PRAGMA busy_timeout = {milliseconds}")
    try:
        yield
    finally:
        driver.execute(f"PRAGMA busy_timeout = {usual}")
