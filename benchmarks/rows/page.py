"""How long the page takes with a large mirror, at rest and while a pull writes, its size, and its memory use."""

from __future__ import annotations

import contextlib
import http.client
import random
import sqlite3
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

from benchmarks import people
from benchmarks.bench import Bench, directory_only
from benchmarks.daemon import free_port, running, wait_for_first_round, wait_for_port
from benchmarks.office import write_config
from benchmarks.report import Line, Sample, p99
from benchmarks.upstream import Upstream
from benchmarks.usage import memory_mb

#: Requests per page in a round, and calls and voicemails per contact.
REQUESTS, CALLS, VOICEMAILS = 40, 2.0, 0.5

#: The measured pages: the ones with the most rows, and searches with few, many and no results.
PAGES = (
    "/", "/callbacks", "/callbacks?closed=1", "/voicemails", "/voicemails?unknown=1", "/voicemails?q={few}", "/calls",
    "/calls?missed=1", "/calls?q={few}", "/calls?q={many}", "/contacts", "/contacts?q={few}", "/contacts?q={many}",
    "/contacts?q=nobody-of-this-name", "/contacts/7", "/contacts/7/edit", "/queue", "/held", "/health",
)  # fmt: skip

NOTE = "pages are requested one after the other; the lines show the slowest page"


def page(bench: Bench) -> Iterator[Line]:
    """The slowest page."""
    quiet, pulling, sizes, memory = [], [], [], []
    slow: dict[str, float] = {}
    with Upstream(directory=bench.contacts) as upstream:
        for n in range(bench.rounds):
            with bench.room() as room:
                port = free_port()
                config = directory_only(upstream.port, contacts={"every": "1h"}, push={"enabled": False})
                config["http"] = {"listen": f"127.0.0.1:{port}", "console": True}
                bench.office(room, config, contacts=bench.contacts)
                _add_calls(room / "mirror.db", bench.contacts)
                write_config(config, room / "syncer.toml")
                cookie = _session(room / "mirror.db")
                write_config(config | {"http": {"listen": f"127.0.0.1:{port}"}}, room / "syncer.toml")
                with running(room) as daemon:
                    wait_for_first_round(room / "mirror.db", limit=600, jobs=1, after=1)
                    without = memory_mb(daemon.pid)
                write_config(config, room / "syncer.toml")
                with running(room) as daemon:
                    wait_for_first_round(room / "mirror.db", limit=600, jobs=1, after=2)
                    took = _all(port, cookie)
                    slow = {path: sorted(times)[len(times) // 2] for path, (times, _) in took.items()}
                    quiet.append(max(slow.values()))
                    sizes.append(max(size for _, size in took.values()) / 1000)
                    memory.append(memory_mb(daemon.pid) - without)
                upstream.control(bulk=bench.contacts // 10, start=n * bench.contacts // 10)
                with running(room):  # pulls at once
                    wait_for_port(port)
                    took = _all(port, cookie)
                    pulling.append(max(p99(times) for times, _ in took.values()))
    found = ", ".join(
        f"`{path}` {slow[path]:.0f} ms" for path in sorted(slow, key=slow.__getitem__)[::-1][:4]
    )
    what = f"the page, {bench.contacts:,} contacts, {bench.contacts * 5 // 2:,} calls and voicemails"
    yield Line(
        f"{what}: median of the slowest",
        Sample.of(quiet, "ms"),
        limit=100,
        judged="ours",
        notes=(f"{NOTE}; the slowest medians were {found}",),
    )
    yield Line(
        f"{what}: p99 of the slowest while a pull writes", Sample.of(pulling, "ms"), limit=300, judged="ours"
    )
    yield Line(f"{what}: largest response", Sample.of(sizes, "kB"), limit=60, judged="ours")
    yield Line(f"{what}: memory", Sample.of(memory, "MB"), limit=15, judged="ours")


def _all(port: int, cookie: str) -> dict[str, tuple[list[float], int]]:
    """Page -> the times of its requests in ms, and the size of the largest response."""
    first, last = people.names(11)
    few, many = quote(f"{first} {last}"), quote(people.names(3)[0][:2])
    found: dict[str, tuple[list[float], int]] = {}
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as client:
        for path in PAGES:
            times, size = [], 0
            for _ in range(REQUESTS):
                began = time.perf_counter()
                client.request(
                    "GET", path.format(few=few, many=many), headers={"Cookie": f"syncer_session={cookie}"}
                )
                answer = client.getresponse()
                size = max(size, len(answer.read()))
                assert answer.status == 200, (path, answer.status)
                times.append((time.perf_counter() - began) * 1000)
            found[path] = (times, size)
    return found


def _session(database: Path) -> str:
    """The cookie of a new session."""
    from syncer.console.sessions import Sessions
    from syncer.core.console import Role

    sessions = Sessions(database, lambda: datetime.now(UTC))
    made = sessions.spend(sessions.invite("Asha Example", Role.APPROVE, timedelta(days=1)))
    assert made is not None
    return made[0]


def _add_calls(database: Path, contacts: int) -> None:
    """Add calls and voicemails. One caller in six is not among the contacts."""
    chance = random.Random(7)
    now = datetime.now(UTC)

    def row(n: int, every: float) -> tuple[str, str, int]:
        at = now - timedelta(seconds=n * every + chance.random() * every)
        number = f"+91{people.mobile(chance.randrange(contacts * 6 // 5))}"
        return number, at.strftime("%Y-%m-%dT%H:%M:%S.000Z"), round(at.timestamp() * 1000)

    conn = sqlite3.connect(database, isolation_level=None)
    conn.execute("BEGIN IMMEDIATE")
    conn.execute("UPDATE sync_guard SET active = 1")
    for n in range(round(contacts * CALLS)):
        number, at, stamp = row(n, 60.0)
        kind = chance.choice(("answered", "answered", "missed", "out_answered"))
        values = ("main", kind, f"u{n}", number[1:], number, "101", chance.randrange(600), stamp, at, at)
        conn.execute(
            "INSERT INTO telecmi_calls (account, kind, cmiuid, from_number, phone_e164, agent, duration, time, started_at, "
            "first_seen_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            values,
        )
    for n in range(round(contacts * VOICEMAILS)):
        number, at, stamp = row(n, 240.0)
        conn.execute(
            "INSERT INTO telecmi_voicemails (account, voicename, time, from_number, phone_e164, received_at, first_seen_at) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            ("main", f"{stamp}_{n}.wav", stamp, number[1:], number, at, at),
        )
    conn.execute("UPDATE sync_guard SET active = 0")
    conn.execute("COMMIT")
    conn.close()
