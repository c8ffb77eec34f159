"""The idle daemon, and how soon it pushes an edit."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.bench import Bench, directory_only, one
from benchmarks.daemon import running, wait_for_first_round
from benchmarks.office import write_config
from benchmarks.report import Line, Sample, short
from benchmarks.rows.memory import whole_config
from benchmarks.rows.pull import LATENCY
from benchmarks.upstream import Upstream
from benchmarks.usage import cpu_s, memory_mb

#: Edits to time.
EDITS = 20


def edit(bench: Bench) -> Iterator[Line]:
    """From the commit of a shell's UPDATE to the arrival of its request upstream."""
    took = []
    contacts = bench.contacts // 10
    with bench.room() as room, Upstream(directory=contacts, latency=LATENCY) as upstream:
        config = directory_only(upstream.port, contacts={"every": "1h"}, push={"every": "1h"})
        bench.office(room, config, contacts=contacts)
        write_config(config, room / "syncer.toml")
        path = room / "mirror.db"
        before = one(path, "SELECT max(id) FROM sync_runs") or 0
        with running(room):
            wait_for_first_round(path, limit=600, jobs=2, after=before)
            for n in range(1, EDITS + 1):
                upstream.control()
                # The edits arrive at different points of the daemon's polling interval.
                time.sleep(0.31 + n * 0.137 % 1.0)
                with contextlib.closing(sqlite3.connect(path)) as shell, shell:
                    shell.execute("UPDATE telecmi_contacts SET company = 'Edited' WHERE id = ?", (n,))
                began = time.monotonic()
                _wait_until_done(path, n)
                (came,) = upstream.control()["writes"]
                took.append(came - began)
    yield Line(
        f"{EDITS} edits: from a shell's commit to the request's arrival",
        Sample.of(took),
        limit=1,
        judged="ours",
    )


def _wait_until_done(path: Path, edits: int) -> None:
    end = time.monotonic() + 60
    while one(path, "SELECT count(*) FROM change_queue WHERE state = 'done'") < edits:
        if time.monotonic() > end:
            raise RuntimeError("an edit did not go out within a minute")
        time.sleep(0.02)


def idle(bench: Bench) -> Iterator[Line]:
    """The daemon with only its schedule: all jobs of both vendors, at default intervals."""
    with bench.room() as room, Upstream(directory=1000, users=100, smartflo=1000) as upstream:
        write_config(whole_config(upstream.port), room / "syncer.toml")
        with running(room) as daemon:
            wait_for_first_round(room / "mirror.db", limit=600)
            time.sleep(5)
            used, began = cpu_s(daemon.pid), time.monotonic()
            time.sleep(bench.idle_s)
            share = 100 * (cpu_s(daemon.pid) - used) / (time.monotonic() - began)
            held = memory_mb(daemon.pid)
    minutes = f"{short(bench.idle_s / 60)} min"
    yield Line(
        f"idle daemon over {minutes}: share of a core", Sample.of([share], "%"), limit=0.2, judged="ours"
    )
    yield Line(f"idle daemon after {minutes}: memory", Sample.of([held], "MB"), limit=80, judged="ours")
