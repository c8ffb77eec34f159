"""Locks between processes: one run of a job at a time, one daemon at a time.

Files locked with flock beside the database; a process that dies gives its locks back by itself.
What runs under which lock is left to `cycle`.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import stat
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from syncer.errors import LockedError, StoreError

#: How long a `sync` waits for the locks of its jobs, in seconds.
PATIENCE = 10.0

#: How often it looks again, in seconds.
_STEP = 0.1


class Locks:
    """The locks of one database; `who` is what others read of the holder."""

    def __init__(self, database: Path, who: str) -> None:
        self._database = database
        self._folder = database.with_name(f"{database.name}.locks")
        self._who = who

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.lock"

    def try_acquire(self, name: str) -> int | None:
        """Take one lock without waiting; None when another process (or run) has it."""
        path = self._path(name)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._share(self._folder, folder=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._share(path, folder=False)
        except OSError as error:
            raise StoreError(
                f"the lock {path.name} cannot be taken ({error.strerror}): "
                f"check the owner and mode of the folder {self._folder.name}"
            ) from None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(handle)
            return None
        since = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{self._who}, process {os.getpid()}, since {since} UTC".encode(), 0)
        return handle

    def _share(self, path: Path, *, folder: bool) -> None:
        """Whoever may write the database may lock it: the same owner, group and mode."""
        try:
            found = self._database.stat()
        except FileNotFoundError:
            return
        mode = stat.S_IMODE(found.st_mode) & 0o660
        mode |= (mode & 0o440) >> 2 if folder else 0
        mine = path.stat()
        if (stat.S_IMODE(mine.st_mode), mine.st_gid) == (mode, found.st_gid):
            return
        with contextlib.suppress(PermissionError):  # only the owner can share it
            path.chmod(mode)
            os.chown(path, found.st_uid if os.geteuid() == 0 else -1, found.st_gid)

    def release(self, handle: int) -> None:
        """Give a lock back."""
        os.ftruncate(handle, 0)
        os.close(handle)

    def holder(self, name: str) -> str:
        """Who has the lock, as that process wrote it down."""
        try:
            return self._path(name).read_text(errors="replace").strip() or "another process"
        except OSError:
            return "another process"

    @contextlib.asynccontextmanager
    async def hold(self, names: Iterable[str], patience: float = PATIENCE) -> AsyncIterator[None]:
        """Hold all of these, taken in one order so that nobody waits in a ring.

        Raises LockedError, holding none, when one stays taken for `patience` seconds.
        """
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

    def held(self, names: Sequence[str]) -> list[str]:
        """Which of these another process holds now."""
        taken = []
        for name in names:
            handle = self.try_acquire(name)
            if handle is None:
                taken.append(name)
            else:
                self.release(handle)
        return taken
