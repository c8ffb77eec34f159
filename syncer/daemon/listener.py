"""The server of the pages: uvicorn with limits, so clients cannot use up what the jobs need.

At most `MOST` connections are open, or fewer if the process may open few files. A request has to arrive within a few
seconds. If there is no room, the connection that has waited longest without a request is closed, so honest requests are
answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
from asyncio import BaseTransport
from collections.abc import Iterator
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from syncer.logs import Edges

#: The most and the least connections at a time.
MOST, LEAST = 64, 4

#: File descriptors that are reserved for everything else: the jobs of two accounts use about 20.
RESERVE = 48

#: Seconds for a whole request to arrive, from the connection's start or the first byte after an answer.
PATIENCE = 5.0

#: Seconds that a client may take to read an answer, or a part of it, before it may be closed.
READING = 60.0

#: Seconds without a refused connection after which the overload counts as over.
CALM = 60.0

#: The key of a request's scope for a function that closes its connection at once: a response that cannot be finished
#: must not look complete.
GIVE_UP = "syncer.give_up"

#: The pause after each connection while there is no room, so jobs continue and requests have time to arrive.
PACE = 0.01


def room(descriptors: int) -> int:
    """How many connections to allow, by the limit of file descriptors; below 0: no limit."""
    return MOST if descriptors < 0 else max(LEAST, min(MOST, descriptors - RESERVE))


class Connection(H11Protocol):
    """uvicorn's HTTP/1.1, which closes a connection whose request does not arrive in time."""

    def __init__(self, *args: Any, patience: float, **kw: Any) -> None:
        super().__init__(*args, **kw)
        self.since = self.loop.time()  #: when the client's current state started
        self._patience = patience
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: BaseTransport) -> None:
        """Start the time limit for a request."""
        super().connection_made(transport)  # type: ignore[arg-type]
        self._expect()

    def data_received(self, data: bytes) -> None:
        """A part of a request. It does not extend the time limit."""
        if self._timer is None:
            self._expect()
        super().data_received(data)
        cycle: Any = self.cycle
        if cycle is not None:
            cycle.scope[GIVE_UP] = self.give_up
        if self.busy:
            self._relax()

    def on_response_complete(self) -> None:
        """The next request may come. If none starts, uvicorn's own timer closes the connection."""
        self.since = self.loop.time()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection ended."""
        self._relax()
        super().connection_lost(exc)

    @property
    def busy(self) -> bool:
        """Whether a whole request has arrived and is not answered yet."""
        cycle: Any = self.cycle  # None before the first request
        return bool(cycle and not cycle.more_body and not cycle.response_complete)

    @property
    def sending(self) -> bool:
        """Whether an answer is under way, and the client has not taken all of it."""
        cycle: Any = self.cycle
        return self.busy and bool(cycle.response_started)

    def give_up(self) -> None:
        """Close at once, even if an answer is not sent completely."""
        self._relax()
        self.transport.abort()

    def _expect(self) -> None:
        self.since = self.loop.time()
        self._timer = self.loop.call_later(self._patience, self.give_up)

    def _relax(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Server(uvicorn.Server):
    """uvicorn that accepts connections one by one, without its signal handlers and its ten wake-ups a second."""

    def __init__(self, app: ASGIApp, edges: Edges, log: Any, *, patience: float = PATIENCE) -> None:
        config = uvicorn.Config(
            app,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="error",  # more verbose levels log each request that is not HTTP
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=1,
            timeout_keep_alive=round(patience) or 1,
        )
        super().__init__(config)
        self._edges = edges
        self._log = log
        self._patience = patience
        self._end = asyncio.Event()
        self._crowded = 0.0  #: when a connection was last refused
        self.limit = room(resource.getrlimit(resource.RLIMIT_NOFILE)[0])

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do nothing: the daemon has its own."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept in `main_loop`: asyncio's own server accepts a whole backlog at once, and logs each failure."""
        assert sockets is not None
        self.servers = []
        self._listeners = sockets
        self.started = True

    async def main_loop(self) -> None:
        """Accept connections until the end."""
        tasks = [asyncio.create_task(self._accept(one)) for one in self._listeners]
        end = asyncio.create_task(self._end.wait())
        await asyncio.wait([*tasks, end], return_when=asyncio.FIRST_COMPLETED)
        for task in (*tasks, end):
            if not task.cancel():
                task.result()  # an error here ends the daemon, which logs it

    def finish(self) -> None:
        """Finish the current answers, then end. A long answer that a client is still reading is cut."""
        self.should_exit = True
        for one in list(self.server_state.connections):
            if isinstance(one, Connection) and one.sending:
                one.give_up()
        self._end.set()

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                made, _ = await loop.sock_accept(listener)
            except OSError as error:  # no descriptors, no memory, or the client has already gone
                self._no_room(error.strerror or "no descriptor is left")
                await asyncio.sleep(1.0)
                continue
            full = len(self.server_state.connections) >= self.limit
            if full:
                self._no_room("too many connections")
                await asyncio.sleep(PACE)
            elif loop.time() - self._crowded > CALM:
                self._edges.recovered("pages", self._log, "the pages have room for connections again")
            if full and not self._make_way():
                made.close()
                continue
            await loop.connect_accepted_socket(self._connection, made)

    def _connection(self) -> Connection:
        return Connection(self.config, self.server_state, {}, patience=self._patience)

    def _make_way(self) -> bool:
        """Close the connection that has waited longest without a request. Returns whether there was one."""
        late = asyncio.get_running_loop().time() - READING
        idle = [
            one
            for one in self.server_state.connections
            if isinstance(one, Connection) and (not one.busy or one.since < late)
        ]
        if not idle:
            return False
        min(idle, key=lambda one: one.since).give_up()
        return True

    def _no_room(self, why: str) -> None:
        self._crowded = asyncio.get_running_loop().time()
        self._edges.failing(
            "pages",
            self._log,
            "the pages have no room for connections; those that send no request are closed",
            problem=why,
            connections=len(self.server_state.connections),
        )
