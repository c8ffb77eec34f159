"""`syncer run`: starts everything in order, handles signals, and ends at a safe point."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from syncer.clock import Clock, SystemClock
from syncer.config import Settings
from syncer.config.load import load_settings
from syncer.core.secret import Secret
from syncer.daemon.attention import Attention
from syncer.daemon.doorbell import Doorbell
from syncer.daemon.job_runner import JobRunner, Watch
from syncer.daemon.maintenance import Maintenance
from syncer.daemon.notify import Notifier
from syncer.daemon.pages import ListenError, OpenConsole, Pages, listen
from syncer.daemon.worker import Worker
from syncer.errors import ConfigError, LockedError, SchemaError, StoreBusyError, StoreError, SyncerError
from syncer.locks import DAEMON, Locks
from syncer.logs import Edges, get_logger, set_up_logs
from syncer.store.db.connection import Database
from syncer.sync import env as environment
from syncer.sync import registry
from syncer.sync.open_database import SCHEMA_LOCK, is_outdated, open_database, register, upgrade_apart

T = TypeVar("T")

#: Exit codes (docs/commands.md).
DONE, FAILED, BUSY, CONFIG = 0, 1, 75, 78

#: Seconds without an answer of the database's thread after which the watchdog is no longer notified.
SILENCE = 60.0

#: The most seconds between two watchdog notifications.
PULSE = 30.0

#: The most seconds from the signal to the end. The documented limit is 10.
END_BY = 8.5


def main(
    config_path: Path,
    environ: Mapping[str, str],
    log_level: str | None = None,
    console: OpenConsole | None = None,
) -> int:
    """Run the daemon until SIGTERM or SIGINT. Returns the exit code. `console` makes the page for people.

    78: the config is wrong, or a newer version wrote the database; 75: another daemon or a migration uses the
    database; 1: the database cannot be used, or a port is taken; 0: ended by a signal.
    """
    set_up_logs(log_level or "info", environ)
    log = get_logger()
    try:
        settings = load_settings(config_path, environ)
        return asyncio.run(Service(config_path, environ, settings, console=console).run())
    except ConfigError as error:
        for problem in error.problems:
            log.error(problem)
        return CONFIG
    except SchemaError as error:
        log.error(str(error))
        return CONFIG
    except (LockedError, StoreBusyError) as error:
        log.error(str(error))
        return BUSY
    except (SyncerError, ListenError) as error:
        log.error(str(error))
        return FAILED


class Service:
    """One daemon: what outlives a change of the config, and the job runner of the current config."""

    def __init__(
        self,
        config_path: Path,
        environ: Mapping[str, str],
        settings: Settings,
        clock: Clock | None = None,
        *,
        console: OpenConsole | None = None,
    ) -> None:
        self._config_path = config_path
        self._environ = environ
        self._settings = settings
        self._clock = clock or SystemClock()
        self._notify = Notifier(environ)
        self._log = get_logger()
        self._edges = Edges()
        self._locks = Locks(settings.database.path, "the daemon (syncer run)", settings.database.group)
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="database")
        self._stop = asyncio.Event()
        self._reload = asyncio.Event()
        self._watch = Watch(time.monotonic, self._edges, self._log)
        self._attention = Attention(self._log, self._update_status)
        self._doorbell = Doorbell(self._doorbell_keys, lambda label: self._runner.ring(label))
        self._pages = Pages(
            lambda: self._runner.env,
            lambda: self._maintenance.problems,
            self._doorbell.ring,
            self._clock.now(),
            self._edges,
            self._log,
            console,
        )
        self._db: Database
        self._runner: JobRunner
        self._maintenance: Maintenance

    async def run(self) -> int:
        """Run, with the daemon's lock."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload.set)
        handle = self._locks.try_acquire(DAEMON)
        if handle is None:  # `syncer status` may hold it for a moment to check for a daemon
            await asyncio.sleep(0.2)
            handle = self._locks.try_acquire(DAEMON)
        if handle is None:
            raise LockedError(
                "a daemon of this database",
                self._locks.holder(DAEMON),
                "one is enough: stop it first to replace it",
            )
        try:
            return await self._with_database()
        finally:
            self._locks.release(handle)

    async def _with_database(self) -> int:
        self._notify.status("starting: preparing the database")
        http = self._settings.http
        listener = listen(http) if http else None
        try:
            if await self._on_database_thread(partial(is_outdated, self._settings)):
                await upgrade_apart(self._config_path, self._environ)
            # Not at the same time as a `sync` that starts at this moment.
            async with self._locks.hold([SCHEMA_LOCK], END_BY):
                self._db = await self._on_database_thread(partial(open_database, self._settings))
            try:
                self._runner, self._maintenance = self._assemble(self._settings)
                return await self._work(listener)
            finally:
                await self._on_database_thread(self._db.close)
        finally:
            if listener is not None:
                listener.close()
            self._executor.shutdown()

    def _doorbell_keys(self) -> dict[str, Secret]:
        accounts = self._settings.accounts
        return {account.label: account.doorbell_key for account in accounts if account.doorbell_key}

    async def _on_database_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    def _assemble(self, settings: Settings) -> tuple[JobRunner, Maintenance]:
        """The job runner and maintenance of a config, not yet started. Raises ConfigError if it cannot be used."""
        registry.prepare(settings, registry.specs(settings))
        env = environment.build(settings, self._db, self._clock, executor=self._executor)
        runner = JobRunner(
            env,
            self._locks,
            self._edges,
            mono=time.monotonic,
            finished=self._after_run,
            attention=self._attention,
            chatty=sys.stderr.isatty(),
        )
        return runner, Maintenance(runner, self._locks, self._edges, self._log, time.monotonic)

    async def _work(self, listener: socket.socket | None) -> int:
        """Run until a signal."""
        self._start_jobs()
        if listener is not None and self._settings.http is not None:
            self._pages.serve(listener, self._settings.http)
        forever = [
            asyncio.create_task(self._watch.watch(lambda: self._runner), name="watch"),
            asyncio.create_task(self._feed_watchdog(), name="watchdog"),
        ]
        self._log.info("started", jobs=len(self._runner.workers))
        self._notify.ready()
        code = FAILED
        try:
            code = await self._until_the_end(forever)
        finally:
            self._log.info("stopping")
            self._notify.stopping()
            self._exit_if_stuck(code)
            for task in forever:
                task.cancel()
            self._doorbell.close()
            await self._stop_jobs()
            await self._pages.close()
            self._log.info("stopped")
        return code

    async def _until_the_end(self, forever: list[asyncio.Task[None]]) -> int:
        stop = asyncio.create_task(self._stop.wait())
        while True:
            reload = asyncio.create_task(self._reload.wait())
            lasting = [*forever, *self._runner.tasks, *([self._pages.task] if self._pages.task else [])]
            await asyncio.wait([stop, reload, *lasting], return_when=asyncio.FIRST_COMPLETED)
            if stop.done():
                reload.cancel()
                return DONE
            ended = [task for task in lasting if task.done()]
            if ended:
                for task in (stop, reload):
                    task.cancel()
                self._log_ended(ended)
                return FAILED
            self._reload.clear()
            await self._reload_config()

    def _log_ended(self, ended: list[asyncio.Task[None]]) -> None:
        for task in ended:
            error = None if task.cancelled() else task.exception()
            if isinstance(error, StoreError):
                self._log.error(str(error))
                continue
            self._log.error(
                "a bug ended the daemon; please report these lines", part=task.get_name(), exc_info=error
            )

    def _start_jobs(self) -> None:
        """Start the jobs and maintenance of the current config. Every job runs at once."""
        self._maintenance.start()
        self._runner.start()
        self._watch.reset()
        self._update_status()

    async def _stop_jobs(self, hurry: asyncio.Event | None = None) -> None:
        """Stop the jobs at a safe point. Transactions are never interrupted."""
        if not await self._runner.stop(hurry):
            self._log.warning("a run did not stop in time")
        await self._maintenance.close()
        self._pages.keep(self._runner.env)
        await self._runner.env.aclose()

    # -- a new config ------------------------------------------------------------------------------

    async def _reload_config(self) -> None:
        """SIGHUP: read the config again. If it cannot be used, log why and keep the old one."""
        self._notify.reloading()
        try:
            settings = load_settings(self._config_path, self._environ)
            await self._apply_config(settings)
            self._log.info(
                "reload: the config was read again and is in force", jobs=len(self._runner.workers)
            )
        except ConfigError as error:
            for problem in error.problems:
                self._log.error("reload: the old config stays, the new one is wrong", problem=problem)
        except (SyncerError, ListenError) as error:
            self._log.error("reload: the old config stays", problem=str(error))
        self._update_status()
        self._notify.ready()

    async def _apply_config(self, settings: Settings) -> None:
        """Check everything that can be wrong with the new config before the old job runner is stopped."""
        if settings.database != self._settings.database:
            raise ConfigError(
                ["[database] cannot change while the daemon runs; restart it to use another file."]
            )
        moved = settings.http != self._settings.http
        listener = self._pages.listen(settings.http) if moved and settings.http else None
        try:
            runner, maintenance = self._assemble(settings)
            await runner.env.store.call(lambda: register(self._db, settings))
        except BaseException:
            if listener is not None:
                listener.close()
            raise
        await self._stop_jobs(hurry=self._stop)
        self._runner, self._maintenance, self._settings = runner, maintenance, settings
        if moved:
            await self._pages.close()
            if listener is not None and settings.http is not None:
                self._pages.serve(listener, settings.http)
        self._start_jobs()

    # -- systemd and logs ----------------------------------------------------------------------

    async def _after_run(self, worker: Worker) -> None:
        self._update_status()
        with contextlib.suppress(StoreError):  # the watch has the same error, and logs it
            await self._runner.check(worker if worker.sends else None)  # there may be something to send
            await self._maintenance.ping()

    def _update_status(self) -> None:
        workers = self._runner.workers
        wrong = [f"{w.spec.job} of {w.spec.label}: {w.problem}" for w in workers if w.problem]
        if wrong:
            more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
            text = f"unhealthy: {wrong[0]}{more}"
        elif all(worker.runs for worker in workers):
            text = f"all {len(workers)} jobs are healthy"
        else:
            text = f"{len(workers)} jobs are running, the first round is in progress"
        waiting = "; ".join(self._maintenance.problems + [str(one) for one in self._attention.waiting])
        self._notify.status(f"{text}; for you to settle: {waiting}" if waiting else text)

    async def _feed_watchdog(self) -> None:
        """Notify systemd's watchdog while the loop runs, the database answers, and no run is overdue."""
        every = min(self._notify.watchdog or PULSE, PULSE)
        while True:
            silent = time.monotonic() - self._watch.answered
            late = [worker.name for worker in self._runner.workers if worker.late]
            if silent > SILENCE or late:
                self._edges.failing(
                    "life",
                    self._log,
                    "something hangs, so the watchdog is not notified",
                    late=late,
                    database_silent_s=round(silent),
                )
            else:
                self._edges.recovered("life", self._log, "nothing hangs any more")
                self._notify.alive()
            await asyncio.sleep(every)

    def _exit_if_stuck(self, code: int) -> None:
        """End the process if the shutdown takes too long.

        The database's thread may be waiting for another program's lock, or a lookup for a name server. This is safe:
        SQLite rolls back what was not committed, and the next start closes open runs.
        """

        def leave() -> None:
            self._log.warning("something did not end in time; leaving without it")
            os._exit(code)

        asyncio.get_running_loop().call_later(END_BY, leave)
