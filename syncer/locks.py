"""Locks between processes: one run of a job at a time, one daemon at a time.

They are files next to the database, locked with flock. The system releases the locks of a process that dies.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime
from pathlib import Path

from syncer import files
from syncer.errors import LockedError, StoreError

#: How long a `sync` waits for the locks of its jobs, in seconds.
PATIENCE = 10.0

#: How often it tries again, in seconds.
_STEP = 0.1

#: The lock of a database's one daemon.
DAEMON = "daemon"


class Locks:
    """The locks of one database, which `group` may share. `who` describes this holder to others."""

    def __init__(self, database: Path, who: str, group: str | None = None) -> None:
        self._database = database
        self._group = group
        self._folder = database.with_name(f"{database.name}.locks")
        self._who = who

    def try_acquire(self, name: str) -> int | None:
        """Take one lock without waiting; None if another process (or run) has it."""
        try:
            handle = self._open(f"{name}.lock")
        except OSError as error:
            raise StoreError(
                f"the lock {name}.lock cannot be taken ({error.strerror}): "
                f"check the owner and mode of the folder {self._folder.name}"
            ) from None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(handle)
            return None
        since = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
        _sign(handle, f"{self._who}, process {os.getpid()}, since {since} UTC")
        return handle

    def _open(self, name: str) -> int:
        files.make_folder(self._database.parent, self._group)
        folder = files.open_folder(self._folder, make=True)
        try:
            files.settle(folder, self._group)  # users who may write the database may lock it
            handle = files.open_plain(name, os.O_RDWR | os.O_CREAT, folder=folder)
            with files.closed_on_error(handle):
                files.share(handle, folder)
        finally:
            os.close(folder)
        return handle

    def release(self, handle: int) -> None:
        """Release a lock."""
        _sign(handle, "")
        os.close(handle)

    def holder(self, name: str) -> str:
        """Who has the lock, from the text in its file."""
        try:
            written = files.read(self._folder / f"{name}.lock", 1000)
            return written.decode(errors="replace").strip() or "another process"
        except OSError:
            return "another process"

    def held_by(self, name: str) -> str | None:
        """Who has the lock now, from the text in its file, or None. Creates nothing."""
        try:
            handle = files.open_plain(self._folder / f"{name}.lock", os.O_RDONLY)
        except OSError:
            return None
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return self.holder(name)
        finally:
            os.close(handle)
        return None

    @contextlib.asynccontextmanager
    async def hold(self, names: Iterable[str], patience: float = PATIENCE) -> AsyncIterator[None]:
        """Hold all of these. They are taken in a fixed order, so processes cannot deadlock.

        Raises LockedError, without holding any, if one is not released within `patience` seconds.
        """
        import asyncio  # imported late: slow, and not needed to see who has a lock

        handles: list[int] = []
        deadline = asyncio.get_running_loop().time() + patience
        try:
            for name in sorted(set(names)):
                while (handle := self.try_acquire(name)) is None:
                    if asyncio.get_running_loop().time() >= deadline:
                        raise LockedError(name, self.holder(name))
                    await asyncio.sleep(_STEP)
                handles.append(handle)
            yield
        finally:
            for handle in handles:
                self.release(handle)


def _sign(handle: int, text: str) -> None:
    """Write who has a lock into its file. A full disk may refuse that, and the lock holds without it."""
    with contextlib.suppress(OSError):
        os.ftruncate(handle, 0)
        os.pwrite(handle, text.encode(), 0)
