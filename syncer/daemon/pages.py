"""Builds the pages `/healthz` and `/metrics`, and runs the web server.

`store/read/metric_queries` has the queries.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from syncer.config import VENDORS, Http
from syncer.daemon import file_maintenance
from syncer.logs import Edges
from syncer.store.db import schema_diff
from syncer.store.read import attention, metric_queries
from syncer.sync import registry
from syncer.sync.env import Env

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from syncer.daemon.listener import Server
    from syncer.daemon.lookup import Lookups

#: (provider, account) -> requests, and seconds of waiting for the budget, since the daemon started.
Spent = dict[tuple[str, str], tuple[int, float]]


class ListenError(Exception):
    """The pages' address cannot be used."""


def listen(http: Http) -> socket.socket:
    """Bind the address of the config. ListenError if that fails."""
    host, port = http.address
    try:
        found = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        raise ListenError(
            f"http.listen: {host} is not an address of this machine ({error.strerror})"
        ) from None
    family, kind, protocol, _, address = found[0]
    # With an explicit protocol: otherwise asyncio does not turn off Nagle's delay.
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise ListenError(
            f"http.listen: {host}:{port} cannot be used ({error.strerror}); "
            "name a free address of this machine, or end the program that has it"
        ) from None
    listener.setblocking(False)
    return listener


class RouteProvider(Protocol):
    """The page for people (`console`), which the daemon does not import."""

    def routes(self) -> Sequence[BaseRoute]:
        """Its routes."""
        ...

    def close(self) -> None:
        """Stop answering."""
        ...


#: Creates the page for people from a function that returns the current environment.
OpenConsole = Callable[[Callable[[], Env]], RouteProvider]


class Pages:
    """The pages of the daemon.

    `env` returns the current environment, `problems` the maintenance tasks that failed. `ring` rings a doorbell.
    """

    def __init__(
        self,
        env: Callable[[], Env],
        problems: Callable[[], list[str]],
        ring: Callable[[str, str], bool],
        started: datetime,
        edges: Edges,
        log: Any,
        open_console: OpenConsole | None = None,
    ) -> None:
        self.task: asyncio.Task[None] | None = None  #: the running server
        self._env = env
        self._problems = problems
        self._ring = ring
        self._started = started
        self._edges = edges
        self._log = log
        self._totals = metric_queries.Totals()
        self._spent: Spent = {}
        self._server: Server | None = None
        self._listener: socket.socket | None = None
        self._address: tuple[str, int] | None = None
        self._lookups: Lookups | None = None
        self._open_console = open_console
        self._console: RouteProvider | None = None

    def listen(self, http: Http) -> socket.socket:
        """A socket for this address: a second handle on the one in use, if the address stays. Raises ListenError."""
        if self._listener is not None and self._address == http.address:
            return self._listener.dup()
        return listen(http)

    def serve(self, listener: socket.socket, http: Http) -> None:
        """Start answering on this socket."""
        self._listener, self._address = listener, http.address
        # Imported late, here and in `metrics`: the web server and Prometheus' library take 0.1 s and 4 MB, and are
        # off by default.
        from syncer.daemon import web
        from syncer.daemon.listener import Server
        from syncer.daemon.lookup import Lookups

        jobs = registry.jobs_by_table()
        self._lookups = Lookups(lambda: self._env().settings, jobs, lambda: self._env().now(), self._log)
        more: list[BaseRoute] = [web.doorbell(self._ring), *self._lookups.routes()]
        if http.console and self._open_console is not None:
            self._console = self._open_console(self._env)
            more += self._console.routes()
        app = web.create_app(self.health, self.metrics, http.allowed_hosts, more)
        self._server = Server(app, self._edges, self._log)
        self.task = asyncio.create_task(self._server.serve(sockets=[listener]), name="pages")
        host, port = http.address
        self._log.info("serving /healthz and /metrics", host=host, port=port)

    async def close(self) -> None:
        """Stop answering."""
        server, task = self._server, self.task
        self._server = self.task = self._listener = None
        if server is not None and task is not None:
            server.finish()
            await asyncio.wait([task], timeout=2.0)
            task.cancel()
        if self._lookups is not None:
            self._lookups.close()
            self._lookups = None
        if self._console is not None:
            self._console.close()
            self._console = None

    def keep(self, env: Env) -> None:
        """Keep the request counts of clients that are about to be closed."""
        self._spent = self._by_account(env)

    async def health(self) -> tuple[bool, dict[str, Any]]:
        """Whether the schema is right and no enabled job of an account is stale, and the body.

        What waits for a person is named, but does not make the daemon unhealthy.
        """
        store = self._env().store
        if broken := (await store.read(schema_diff.compare)).in_words():
            return False, {"status": "failing", "reasons": broken, "attention": [], "jobs": []}
        found = await store.read(metric_queries.read_jobs)
        waiting = await store.read(attention.load)
        mirrored = tuple(job for job in found if job.provider in VENDORS)
        reasons = metric_queries.stale_reasons(mirrored)
        # The mirror is healthy even if a target is down.
        targets = metric_queries.stale_reasons(tuple(job for job in found if job not in mirrored))
        body = {
            "status": "failing" if reasons else "ok",
            "reasons": reasons,
            "attention": self._problems() + [f"{one}: {one.command}" for one in waiting] + targets,
            "jobs": [metric_queries.as_json(job) for job in found],
        }
        return not reasons, body

    async def metrics(self) -> bytes:
        """The page for Prometheus."""
        from syncer.daemon import metrics

        env = self._env()
        config, path = env.settings.backup, env.settings.database.path
        read = await env.store.read(metric_queries.read_figures, self._totals)
        made = file_maintenance.backups(config.path, path, env.now()) if config.enabled else []
        live = metrics.Live(
            started=self._started.timestamp(),
            spent=self._by_account(env),
            sizes=list(metric_queries.file_sizes(path)),
            last_backup=made[-1][0].timestamp() if made else None,
            backups=config.enabled,
        )
        return metrics.render(read, self._totals, live)

    def _by_account(self, env: Env) -> Spent:
        out = dict(self._spent)
        for source in env.sources.values():
            if source.api is None:
                continue
            key = (source.account.kind, source.account.name)
            requests, waits = out.get(key, (0, 0.0))
            out[key] = (requests + source.api.requests, waits + source.api.waits)
        return out
