"""Pushes in processes of their own, which kill themselves at a numbered step; see `test_crash`.

An order is `{"folder", "url", "kill_at", "rounds", "hour"}`; a round is a list of jobs. What should hold afterwards is
left to the test.
"""

from __future__ import annotations

import asyncio
import json
import math
import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx

from syncer.config import Settings
from syncer.config.load import settings_from
from syncer.remote.client import ApiClient
from syncer.remote.tokens import TokenStore
from syncer.store.db.connection import Database
from syncer.sync import jobs, registry
from syncer.sync.env import Env, Store, build
from syncer.sync.open_database import open_database
from tests.office import NOON, VirtualClock, unpaced
from tests.sync.forks import Steps, serve
from tests.sync.push_bench import Bench, newcomer


class SteppingStore(Store):
    """A store that reports each commit."""

    def __init__(self, inner: Store, step: Callable[[str], None]) -> None:
        super().__init__(inner.db)
        self.step = step

    async def write(self, fn: Any, *args: Any, **kw: Any) -> Any:
        made = await super().write(fn, *args, **kw)
        self.step(f"commit {getattr(fn, 'func', fn).__name__}")
        return made

    async def apply(self, fn: Any, *args: Any, **kw: Any) -> Any:
        made = await super().apply(fn, *args, **kw)
        self.step(f"commit {fn.__name__}")
        return made


class SteppingWire(httpx.AsyncBaseTransport):
    """A network that reports each call before it is sent, and each answer."""

    def __init__(self, inner: httpx.AsyncBaseTransport, step: Callable[[str], None]) -> None:
        self.inner = inner
        self.step = step

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.step(f"before {request.url.path}")
        response = await self.inner.handle_async_request(request)
        response.stream = httpx.ByteStream(await response.aread())
        self.step(f"after {request.url.path}")
        return response


def settings_of(folder: Path, url: str) -> Settings:
    """One account with deletes allowed, and a ready token: no login among the steps."""
    account = {
        "base_url": url,
        "token": "sandbox-user-token",
        "max_deletions": "100%",
        "voicemails": {"enabled": False},
        "user_contacts": {"enabled": False},
        "push": {"deletes": True},
    }
    raw = {"database": {"url": "sqlite:///mirror.db"}, "telecmi": {"main": account}}
    return unpaced(settings_from(raw, folder, {}))


def work(order: dict[str, Any]) -> None:
    """One life of the program: the jobs of each round, an hour apart."""
    settings = settings_of(Path(order["folder"]), order["url"])
    clock = VirtualClock(NOON + timedelta(hours=order["hour"]))
    db = open_database(settings)
    step = Steps(order["kill_at"])
    rounds = []
    for names in order["rounds"]:
        env = build(settings, db, clock, tokens=TokenStore(None))
        watch(env, step)
        before = len(step.names)
        runs = asyncio.run(run(env, registry.select(registry.specs(settings), names, None)))
        outcomes = [f"{one.outcome} {one.problem}".strip() for one in runs]
        rounds.append({"steps": step.names[before:], "outcomes": outcomes, "tables": tables(db)})
        clock.pass_(hours=1)
    db.close()
    Path(order["folder"], "result.json").write_text(json.dumps(rounds))


def tables(db: Database) -> list[Any]:
    """All that may not move any more once a push has done its work."""
    names = ("telecmi_contacts", "contact_base", "change_queue", "change_log", "push_intents")
    with db.read() as conn:
        return [[list(row) for row in conn.exec_driver_sql(f"SELECT * FROM {n} ORDER BY 1")] for n in names]


def watch(env: Env, step: Callable[[str], None]) -> None:
    """Let the steps be counted."""
    env.store = SteppingStore(env.store, step)
    for source in env.sources.values():
        source.api.transport = SteppingWire(source.api.transport, step)


async def run(env: Env, chosen: Any) -> Any:
    """The scan and the jobs, as one start of the program does them."""
    try:
        return await jobs.run_all(env, chosen, full=False, person=True)
    finally:
        await env.aclose()


def warm_up() -> None:
    """Do once what the children will do: what is imported and compiled now need not be in each of them."""
    ApiClient(
        source="warm", base_url="http://127.0.0.1:1", requests_per_second=math.inf, concurrency=1, timeout=1
    )
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(
            Path(folder), only=("telecmi-contacts", "telecmi-push"), telecmi={"push": {"deletes": True}}
        )
        bench.insert(**newcomer(1))
        bench.edit(1, company="New")
        bench.edit(2, last_name="")
        bench.delete(3)
        bench.run()
        bench.run()
        bench.close()


if __name__ == "__main__":
    warm_up()
    serve(work)
