"""What every run needs: the settings, the database, the clock, a client for each account."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from syncer.clock import Clock
from syncer.config import Account, Settings
from syncer.core.normalise import utc_text
from syncer.logs import get_logger, register_secret
from syncer.remote.client import ApiClient
from syncer.remote.tokens import TokenStore
from syncer.store.db.connection import Connection, Database
from syncer.store.write.forget import Forgotten
from syncer.sync import registry
from syncer.sync.vendors import Source

P = ParamSpec("P")
T = TypeVar("T")


class Store:
    """The database for coroutines. Each call is one transaction, and all of them run in one thread."""

    def __init__(self, db: Database, executor: Executor | None = None) -> None:
        self.db = db
        self._executor = executor

    async def read(self, fn: Callable[Concatenate[Connection, P], T], *args: P.args, **kw: P.kwargs) -> T:
        """Run `fn(connection, ...)` on a snapshot."""
        return await self._within(self.db.read, lambda conn: fn(conn, *args, **kw))

    async def write(self, fn: Callable[Concatenate[Connection, P], T], *args: P.args, **kw: P.kwargs) -> T:
        """Run `fn(connection, ...)` in a short write transaction."""
        return await self._within(self.db.write, lambda conn: fn(conn, *args, **kw))

    async def edit(self, fn: Callable[Concatenate[Connection, P], T], *args: P.args, **kw: P.kwargs) -> T:
        """Run `fn(connection, ...)` in a write transaction on behalf of a person: the triggers check it."""
        return await self._within(self.db.edit, lambda conn: fn(conn, *args, **kw))

    async def apply(self, fn: Callable[Concatenate[Connection, P], T], *args: P.args, **kw: P.kwargs) -> T:
        """Run `fn(connection, ...)` in a write transaction of listed rows.

        It does not wait for the disk. A power failure may undo it, and the next pull repeats it.
        """
        return await self._within(partial(self.db.write, lasting=False), lambda conn: fn(conn, *args, **kw))

    async def _within(
        self,
        transaction: Callable[[], AbstractContextManager[Connection]],
        fn: Callable[[Connection], T],
    ) -> T:
        def work() -> T:
            with transaction() as conn:
                return fn(conn)

        return await self.call(work)

    async def call(self, work: Callable[[], T]) -> T:
        """Run work in the database's thread."""
        if self._executor is None:
            return work()
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)


#: Called with the progress of a run: job, account, rows so far, rows expected (None: unknown).
Progress = Callable[[str, str, int, int | None], None]


def no_progress(job: str, account: str, done: int, total: int | None) -> None:
    """Show nothing."""
    del job, account, done, total


def disk_of(folder: Path) -> tuple[int, int]:
    """The size of a folder's disk and its free space, in bytes; zeros if unknown."""
    try:
        found = shutil.disk_usage(folder)
    except OSError:
        return 0, 0
    return found.total, found.free


@dataclass(slots=True)
class Env:
    """What every run needs."""

    settings: Settings
    store: Store
    clock: Clock
    sources: Mapping[str, Source[Any, Any]]  #: by label: `telecmi.main`
    progress: Progress = no_progress
    log: Any = field(default_factory=get_logger)
    #: Jobs that send only say what they would send. Used on a copy of the database.
    plan_only: bool = False
    #: Collects the voicemails that are listed, so `verify` can find those that are not.
    shown: set[str] | None = None
    #: Called with a name after each step of a push: tests kill the process there.
    step: Callable[[str], None] = field(default=lambda _: None)
    #: The size of a folder's disk and its free space, in bytes.
    disk: Callable[[Path], tuple[int, int]] = disk_of
    #: Runs file operations outside of the event loop.
    in_thread: Callable[..., Awaitable[Any]] = asyncio.to_thread

    @property
    def forgotten(self) -> Forgotten:
        """Tells which numbers were forgotten."""
        return Forgotten(self.store.db.path)

    def now(self) -> datetime:
        """The wall clock."""
        return self.clock.now()

    def stamp(self) -> str:
        """The wall clock, in the form in which times are stored."""
        return utc_text(self.clock.now())

    async def aclose(self) -> None:
        """Close every connection."""
        for source in self.sources.values():
            await source.aclose()


def build(
    settings: Settings,
    db: Database,
    clock: Clock,
    *,
    executor: Executor | None = None,
    transport: Any = None,
    tokens: TokenStore | None = None,
) -> Env:
    """Create the clients of all accounts and targets. `transport` replaces the network in tests."""
    for secret in settings.secrets():
        register_secret(secret)
    path = settings.database.path
    tokens = tokens or TokenStore(path.with_name(f"{path.name}.tokens"), get_logger().warning)
    sources = {}
    for account in settings.accounts:
        api = _api(account, clock, transport)
        connect = registry.resolve(registry.CLIENTS[account.kind])
        sources[account.label] = Source(account, api, connect(api, account, tokens))
    for target in settings.targets:
        if target.kind in registry.TARGETS:
            sources[target.label] = registry.resolve(registry.TARGETS[target.kind])(target, clock)
    return Env(settings, Store(db, executor), clock, sources)


def _api(account: Account, clock: Clock, transport: Any) -> ApiClient:
    return ApiClient(
        source=account.label,
        base_url=account.base_url,
        requests_per_second=account.requests_per_second,
        concurrency=account.concurrency,
        timeout=account.timeout.total_seconds(),
        ca_file=account.ca_file,
        transport=transport,
        rand=clock.rand,
        sleep=clock.sleep,
        now=clock.now,
    )
