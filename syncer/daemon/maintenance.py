"""The daemon's tasks besides its jobs: the scan, old records, the file, backups, the ping.

A task that fails is logged once and tried again when it is due. None of them ends the daemon.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from syncer.config.targets import NotifyTarget
from syncer.daemon import file_maintenance
from syncer.daemon.job_runner import JobRunner
from syncer.errors import StoreError, SyncerError
from syncer.locks import Locks
from syncer.logs import Edges
from syncer.remote.ping import Pinger
from syncer.store.db import migrations
from syncer.store.read import metric_queries
from syncer.store.write import outbox
from syncer.sync import jobs

#: The interval of the scan, and of deleting old records, in seconds.
DAILY = 86400.0

#: The interval of updating statistics, and the longest interval of checking for a due backup, in seconds.
HOURLY = 3600.0

#: The interval of checking the write-ahead log, in seconds.
OFTEN = 60.0

#: The interval of checking for late jobs, in seconds.
LATE = 10.0

#: The shortest time between two pings, in seconds.
PING_GAP = 60.0


class Maintenance:
    """The maintenance tasks of one config."""

    def __init__(
        self, runner: JobRunner, locks: Locks, edges: Edges, log: Any, mono: Callable[[], float]
    ) -> None:
        self._runner = runner
        self._env = runner.env
        self._db = runner.env.store.db
        self._locks = locks
        self._edges = edges
        self._log = log
        self._mono = mono
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._failed: dict[str, str] = {}
        self._last_ping: float | None = None
        url = runner.env.settings.monitor.ping_url
        self._pinger = Pinger(url) if url else None

    @property
    def problems(self) -> list[str]:
        """The tasks that failed last time, as sentences."""
        return list(self._failed.values())

    def start(self) -> None:
        """Set the alarms of all tasks."""
        self._add("the scan", DAILY, self.scan, first=0.0)
        self._add("deleting old records", DAILY, self.delete_old_records, first=300.0)
        if self._env.settings.of(NotifyTarget):
            self._add("the check for late jobs", LATE, self.note_late_jobs, first=LATE)
        self._add("maintenance of the file", HOURLY, self.optimize, first=600.0)
        self._add("maintenance of the write-ahead log", OFTEN, self.shrink, first=OFTEN)
        backup = self._env.settings.backup
        if backup.enabled:
            every = min(backup.every.total_seconds(), HOURLY)
            self._add("the backup", every, self.backup, first=min(every, 5.0))

    async def close(self) -> None:
        """Stop running tasks. An unfinished backup is discarded."""
        for task in self._tasks.values():
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=2.0)
        if self._pinger is not None:
            await self._pinger.aclose()

    def _add(self, what: str, every: float, work: Callable[[], Awaitable[None]], *, first: float) -> None:
        async def ring() -> None:
            self._begin(what, work)

        self._runner.schedule.add(what, every, ring, first=first)

    def _begin(self, what: str, work: Callable[[], Awaitable[None]]) -> None:
        """Start it in a task, unless it is already running."""
        task = self._tasks.get(what)
        if task is None or task.done():
            self._tasks[what] = asyncio.create_task(self._do(what, work), name=what)

    async def _do(self, what: str, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except SyncerError as error:
            self._failed[what] = f"{what} failed: {error}"
            self._edges.failing(what, self._log, f"{what} failed", problem=str(error))
        except Exception:  # noqa: BLE001 - logged with its traceback; the daemon continues
            self._log.exception(f"a bug ended {what}, and the daemon goes on; please report these lines")
        else:
            self._failed.pop(what, None)
            self._edges.recovered(what, self._log, f"{what} works again")

    # -- one by one ----------------------------------------------------------------------------------

    async def scan(self) -> None:
        """Run the scan, and restore missing triggers."""
        await jobs.scan(self._env)
        for what in await self._env.store.call(lambda: migrations.heal(self._db)):
            self._log.warning("the database was repaired", what=what)
        await self._runner.check()

    async def note_late_jobs(self) -> None:
        """Record which jobs have become late, so they are reported. A job that has not run yet is not late."""
        store = self._env.store
        self._runner.check_clock()  # while the machine slept no job could run
        if not await store.read(outbox.has_late_jobs):
            return
        if await store.write(outbox.note_late_jobs, self._env.stamp(), self._runner.ran):
            await self._runner.check()

    async def delete_old_records(self) -> None:
        """Delete records that are older than the config keeps them."""
        env = self._env
        deleted, others = await file_maintenance.delete_old_records(
            env.store, self._locks, env.settings.retention, env.now()
        )
        if deleted or others:
            self._log.info("old records were deleted", runs=deleted, log_entries=others)

    async def optimize(self) -> None:
        """Update SQLite's statistics."""
        await self._env.store.call(lambda: file_maintenance.optimize(self._db))

    async def shrink(self) -> None:
        """Write back a large write-ahead log while no job runs."""
        if not self._runner.idle or file_maintenance.wal_size(self._db) <= file_maintenance.LARGE_WAL:
            return
        await self._env.store.call(lambda: file_maintenance.shrink_wal(self._db))
        size = file_maintenance.wal_size(self._db)
        if size > file_maintenance.HUGE_WAL:
            raise StoreError(
                f"the write-ahead log has grown to {size >> 20} MiB: some program keeps the database open in "
                "a long read; end that program"
            )

    async def backup(self) -> None:
        """Back up the database if the newest backup is old enough."""
        settings, now = self._env.settings, self._env.now()
        config, path = settings.backup, settings.database.path
        if not file_maintenance.backup_due(config, path, now):
            return
        made = await file_maintenance.in_background(lambda: file_maintenance.make_backup(config, path, now))
        self._log.info("a backup was made and checked", file=made.name, bytes=made.stat().st_size)

    async def ping(self) -> None:
        """Ping the monitoring service, at most once a minute, and only if every job is healthy."""
        if self._pinger is None:
            return
        if self._last_ping is not None and self._mono() - self._last_ping < PING_GAP:
            return
        if any(worker.problem or not worker.runs for worker in self._runner.workers):
            return
        if any(job.stale for job in await self._env.store.read(metric_queries.read_jobs)):
            return
        self._last_ping = self._mono()
        self._begin("the ping", self._pinger.ping)
