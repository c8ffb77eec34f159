"""A whole installation in one process: settings, a real SQLite file, the sandbox's vendors, virtual time.

Tests of runs use it: they edit like people, misbehave like vendors, and check the result. HTTP is real httpx against
the sandbox's app (`ASGITransport`), only without sockets.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import math
import os
import sqlite3
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import httpx

from syncer.config import Settings
from syncer.config.load import settings_from
from syncer.remote.tokens import TokenStore
from syncer.sandbox import World, create_app
from syncer.store.db import migrations
from syncer.store.db.connection import Database
from syncer.sync import jobs, registry
from syncer.sync.env import Env, build, disk_of
from syncer.sync.open_database import open_database
from syncer.sync.run import Run
from tests.rows import OpenDatabase

T = TypeVar("T")

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)

#: A folder in memory, for tests that open many databases; None if there is none.
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


class VirtualClock:
    """Time that passes only if code waits, or a test advances it."""

    def __init__(self, start: datetime = NOON) -> None:
        self.at = start
        self.slept: list[float] = []

    def now(self) -> datetime:
        return self.at

    async def sleep(self, seconds: float) -> None:
        """Let time pass at once."""
        self.slept.append(seconds)
        self.at += timedelta(seconds=seconds)
        await asyncio.sleep(0)

    def rand(self) -> float:
        return 0.5

    def pass_(self, **span: float) -> None:
        self.at += timedelta(**span)


#: Changes a vendor's answer: `(path, request body or query, the answer's JSON)` -> JSON.
Rewrite = Callable[[str, dict[str, Any], Any], Any]


class Rewriting(httpx.AsyncBaseTransport):
    """The sandbox's vendors, with changed answers."""

    def __init__(self, inner: httpx.AsyncBaseTransport, rewrite: Rewrite) -> None:
        self._inner = inner
        self._rewrite = rewrite

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The answer, changed if it is JSON."""
        response = await self._inner.handle_async_request(request)
        content = await response.aread()
        asked = dict(request.url.params) | (json.loads(request.content) if request.content else {})
        try:
            body = self._rewrite(request.url.path, asked, json.loads(content))
        except json.JSONDecodeError:
            return response
        return httpx.Response(response.status_code, content=json.dumps(body).encode())


@cache
def blank_database() -> bytes:
    """A new database file: creating it takes longer than most tests."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "blank.db")
        with Database(path) as db:
            migrations.upgrade(db)
        return path.read_bytes()


def forget_home(database: Path) -> None:
    """Remove the home from a test's copy, so that edits are sent from it."""
    with closing(sqlite3.connect(database)) as conn, conn:
        conn.execute("UPDATE sync_guard SET active = 1")
        conn.execute("DELETE FROM home")
        conn.execute("UPDATE sync_guard SET active = 0")


#: The sandbox's credentials.
LOGIN: dict[str, Any] = {
    "app_id": 1111113,
    "secret": "sandbox-secret",
    "user_id": "101_1111113",
    "password": "sandbox-password",
}


class Office(OpenDatabase):
    """One business: `world` is the vendors' data, `sql` what any SQLite client sees and does."""

    def __init__(
        self,
        folder: Path,
        *,
        telecmi: dict[str, Any] | None = None,
        smartflo: dict[str, Any] | None = None,
        notify: dict[str, Any] | None = None,
        publish: dict[str, Any] | None = None,
        only: Sequence[str] = (),
        clock: VirtualClock | None = None,
        world: World | None = None,
    ) -> None:
        self.clock = clock or VirtualClock()
        self.world = world or World(clock=lambda: self.clock.now().timestamp())
        self.only = tuple(only)
        self.disk = disk_of  #: how large the disk is, and how much of it is free
        self.rewrite: Rewrite | None = None  #: changes the vendors' answers
        raw: dict[str, Any] = {
            "database": {"url": "sqlite:///mirror.db"},
            "telecmi": {"main": {"base_url": "http://127.0.0.1:1", **LOGIN, **(telecmi or {})}},
            "smartflo": {
                "main": {"base_url": "http://127.0.0.1:1", **(smartflo or {"token": "sandbox-token"})}
            },
        }
        if notify:
            raw["notify"] = notify
        if publish:
            raw["publish"] = publish
        self.settings = unpaced(settings_from(raw, folder, {}))
        self.path = self.settings.database.path
        self.tokens = TokenStore(None)
        self.network: httpx.AsyncBaseTransport = httpx.ASGITransport(create_app(self.world))
        self.at_start: Callable[[Env], object] = lambda env: None  #: called with each new environment
        self._client: tuple[int, sqlite3.Connection] | None = None
        if not self.path.exists():
            self.path.write_bytes(blank_database())
        self.db = open_database(self.settings)

    # -- running

    def env(self) -> Env:
        """A fresh environment, as a new process would have."""
        network = self.network if self.rewrite is None else Rewriting(self.network, self.rewrite)
        env = build(self.settings, self.db, self.clock, transport=network, tokens=self.tokens)
        env.disk = self.disk
        self.at_start(env)
        return env

    def within(self, act: Callable[[Env], Awaitable[T]]) -> T:
        """Do something in a fresh environment."""

        async def work() -> T:
            env = self.env()
            try:
                return await act(env)
            finally:
                await env.aclose()

        return asyncio.run(work())

    def run(self, *names: str, full: bool = False, person: bool = True) -> list[Run]:
        """Run jobs (all, or by name) once, as `syncer sync` does."""
        chosen = registry.select(registry.specs(self.settings), names or self.only, None)
        return self.within(lambda env: jobs.run_all(env, chosen, full=full, person=person))

    def contacts(self, *, full: bool = False) -> Run:
        return self.run("telecmi-contacts", full=full)[0]

    def push(self, *, person: bool = True) -> Run:
        return self.run("telecmi-push", person=person)[0]

    def scan(self) -> int:
        """The reconciliation scan, as every start of the program makes it."""
        return self.within(jobs.scan)

    def restart(self) -> None:
        """Simulate a restart of the process on the same file."""
        self.close()
        self.db = open_database(self.settings)

    # -- people

    def client(self) -> sqlite3.Connection:
        """A SQLite client with its defaults, which a person has open."""
        inode = self.path.stat().st_ino
        if self._client is not None and self._client[0] != inode:  # the file was replaced
            self._client[1].close()
            self._client = None
        if self._client is None:
            self._client = inode, sqlite3.connect(self.path, timeout=5)
        return self._client[1]

    def sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """What a person types into any SQLite client."""
        conn = self.client()
        try:
            rows = conn.execute(statement, values).fetchall()
            conn.commit()
        finally:
            conn.rollback()
        return rows

    def one(self, statement: str, *values: object) -> Any:
        """The first column of the first row, or None."""
        rows = self.sql(statement, *values)
        return rows[0][0] if rows else None

    def row(self, row_id: int) -> dict[str, Any]:
        return self._record("SELECT * FROM telecmi_contacts WHERE id = ?", row_id)

    def row_of(self, contact_id: str) -> int:
        return int(self.one("SELECT id FROM telecmi_contacts WHERE contact_id = ?", contact_id))

    def change(self, number: int) -> dict[str, Any]:
        """A change of the queue by its number."""
        found = self._record("SELECT * FROM change_queue WHERE id = ?", number)
        assert found, f"no change {number}"
        return found

    def _record(self, statement: str, *values: object) -> dict[str, Any]:
        cursor = self.client().execute(statement, values)
        row = cursor.fetchone()
        names = [column[0] for column in cursor.description]
        cursor.close()
        return dict(zip(names, row, strict=True)) if row else {}

    def states(self) -> list[str]:
        return [row[0] for row in self.sql("SELECT state FROM change_queue ORDER BY id")]

    def own(self, statement: str, *values: object) -> None:
        """One statement of the program itself."""
        with self.db.write() as conn:
            conn.exec_driver_sql(statement, values)

    # -- vendors

    def directory(self) -> dict[str, dict[str, Any]]:
        """What the directory holds, by contact_id."""
        contacts = self.world.snapshot()["telecmi"]["1111113"]["contacts"]
        return {one["contact_id"]: one for one in contacts}

    def writes(self, after: int = 0) -> list[tuple[str, Any]]:
        """The write calls that reached the vendor: (operation, body)."""
        return [
            (request.path.rsplit("/", 1)[1], request.body)
            for request in self.world.requests(after)
            if request.path.startswith("/v3/contact/") and not request.path.endswith("/get")
        ]

    def calls(self, after: int = 0) -> list[str]:
        """The paths of all calls that reached a vendor."""
        return [request.path for request in self.world.requests(after)]

    def mark(self) -> int:
        """The number of the newest request."""
        requests = self.world.requests()
        return requests[-1].n if requests else 0

    def fault(
        self, path: str, kind: str, *, times: int | None = 1, applied: str = "before", **more: Any
    ) -> None:
        """Let a vendor fail on purpose; see `syncer.sandbox.faults`."""
        match = {"path": path, **more.pop("match", {})}
        self.world.faults.add({"match": match, "times": times, "kind": kind, "applied": applied, **more})

    # -- what must always hold

    def log_size(self) -> int:
        return int(self.one("SELECT coalesce(max(seq), 0) FROM change_log"))

    def everything(self) -> dict[str, list[tuple[Any, ...]]]:
        """Everything that people can see, except the runs."""
        tables = (
            "telecmi_contacts", "telecmi_user_contacts", "telecmi_notes", "telecmi_voicemails",
            "smartflo_contacts", "smartflo_contact_groups", "change_queue", "change_log", "held",
        )  # fmt: skip
        return {name: self.sql(f"SELECT * FROM {name} ORDER BY 1") for name in tables}

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """Check that what is done meanwhile changes nothing that people can see."""
        before = self.everything()
        yield
        assert self.everything() == before

    def close(self) -> None:
        if self._client is not None:
            self._client[1].close()
            self._client = None
        self.db.close()


def unpaced(settings: Settings) -> Settings:
    """The same settings without a request budget, which would take real time."""
    accounts = tuple(dataclasses.replace(a, requests_per_second=math.inf) for a in settings.accounts)
    return dataclasses.replace(settings, accounts=accounts)
