"""What every command shares: its config, its logs, and the ways to open the database.

Nothing slow is imported before it is needed.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import click

from syncer import files
from syncer.errors import SyncerError, UsageError

if TYPE_CHECKING:
    from syncer.config import Settings
    from syncer.store.db.connection import Database
    from syncer.store.db.read_only import Reader, ReadOnlyDatabase

T = TypeVar("T")

#: A sync of two accounts has fewer files open than this.
FILES_OF_A_SYNC = 24


@dataclass(slots=True)
class App:
    """The options before the command, and what depends on them."""

    config: Path | None = None
    log_level: str | None = None
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def config_path(self) -> Path:
        """The config file in use. Raises ConfigError if there is none."""
        from syncer.config import find_config

        return find_config(self.config, self.environ, Path.cwd())

    def settings(self, logs: str | None = None, *, credentials: str = "unused") -> Settings:
        """Load the config, and set up logging at level `logs` unless --log-level says otherwise.

        Commands that only read pass no level: they log nothing, and start faster. Commands that call a vendor say
        what they do with the `credentials` (see `config.Credentials`).
        """
        from syncer.config import Credentials
        from syncer.config.load import load_settings

        settings = load_settings(self.config_path(), self.environ, Credentials(credentials))
        level = self.log_level or logs
        if level is not None:
            from syncer.logs import register_secret, set_up_logs

            for secret in settings.secrets():
                register_secret(secret)
            set_up_logs(level, self.environ)
        return settings

    def now(self) -> datetime:
        """The wall clock, UTC."""
        from syncer.clock import SystemClock

        return SystemClock().now()

    def stamp(self) -> str:
        """The wall clock, as text for the database."""
        from syncer.core.normalise import utc_text

        return utc_text(self.now())

    @contextlib.contextmanager
    def reading(self, settings: Settings) -> Iterator[ReadOnlyDatabase]:
        """Open the database read-only. An older one is migrated first, a missing one is an error."""
        from syncer.store.db.read_only import ReadOnlyDatabase
        from syncer.store.db.revision import is_current

        with ReadOnlyDatabase(settings.database.path) as db:
            if is_current(db) and not _unread_marks(db, settings):
                yield db
                return
        with self.writing(settings):
            pass
        with ReadOnlyDatabase(settings.database.path) as db:
            yield db

    @contextlib.contextmanager
    def query(self, settings: Settings) -> Iterator[Reader]:
        """Read from one snapshot of the database."""
        with self.reading(settings) as db, db.read() as conn:
            yield conn

    @contextlib.contextmanager
    def deciding(self, settings: Settings) -> Iterator[Database]:
        """Open the database for decisions about existing rows. It is not created."""
        from syncer.store.db.connection import Database

        with self.reading(settings):
            pass
        with Database(settings.database.path, group=settings.database.group, create=False) as db:
            yield db

    @contextlib.contextmanager
    def writing(self, settings: Settings) -> Iterator[Database]:
        """Open the database for writing: created, migrated, with the accounts of the config in it."""
        from syncer.sync.open_database import open_database

        with under_schema_lock(settings, lambda: open_database(settings)) as db:
            yield db


def _unread_marks(db: ReadOnlyDatabase, settings: Settings) -> bool:
    """Whether `callback_marks` has numbers that a person typed and no program has read yet."""
    from syncer.store.write.callbacks import unread_marks

    with db.read() as conn:
        return bool(unread_marks(conn, settings.regions))


pass_app = click.make_pass_decorator(App)


def under_schema_lock(settings: Settings, work: Callable[[], T]) -> T:
    """Do work that may migrate the database. Raises LockedError if another process holds the lock for too long."""
    import asyncio

    from syncer.locks import Locks
    from syncer.sync.open_database import SCHEMA_LOCK

    async def locked() -> T:
        async with Locks(settings.database.path, "syncer", settings.database.group).hold([SCHEMA_LOCK]):
            return work()

    return asyncio.run(locked())


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """A new file to write to, readable by its owner only, and removed if the block fails.

    UsageError if it exists or cannot be written.
    """
    handle = _create(path)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
    except BaseException as error:
        path.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise UsageError(f"{path} cannot be written: {error.strerror}") from None
        raise


def _create(path: Path) -> int:
    try:
        if not os.path.lexists(path) and (other := files.outsider(path)):
            raise UsageError(f"root does not write {path}: {other}; name a file in a folder of root's own")
        return files.create(path)
    except FileExistsError:
        what = "is a folder; name a file in it" if path.is_dir() else "exists already; it was left as it is"
        raise UsageError(f"{path} {what}") from None
    except FileNotFoundError:
        raise UsageError(f"{path} cannot be written: there is no folder {path.parent}") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None


def require_open_files() -> None:
    """Refuse if this process may open too few files for the connections, locks and files of a sync."""
    if files.room() < FILES_OF_A_SYNC:
        raise SyncerError(files.NO_ROOM)


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's coroutine; SIGTERM stops it at a safe point, as ctrl-c does."""
    import asyncio
    import signal

    async def main() -> T:
        task = asyncio.ensure_future(work)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await task

    try:
        return asyncio.run(main())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
