"""The largest memory that a whole process held, by the number of contacts."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.bench import Bench, one
from benchmarks.office import raw_config, write_config
from benchmarks.report import Line, Sample
from benchmarks.upstream import ROOT, Upstream
from benchmarks.usage import peak_mb

#: What the goal allows, in MB.
LIMIT = 100.0


def memory(bench: Bench) -> Iterator[Line]:
    """First and second pass of `syncer sync`, and the daemon through its first round, all jobs on."""
    for contacts in (10_000, 100_000, 1_000_000) if bench.big else (10_000, 100_000):
        with bench.room() as room, Upstream(**sizes(contacts)) as upstream:
            config = whole_config(upstream.port)
            write_config(config, room / "syncer.toml")
            peaks = []
            for _ in range(2):
                told = bench.child(
                    "command", args=["--config", str(room / "syncer.toml"), "sync"], limit=7200
                )
                assert told["code"] == 0, told
                peaks.append(told["peak"])
        yield _line(f"`syncer sync`, {contacts:,} contacts: first pass, second pass", peaks)
        with bench.room() as room, Upstream(**sizes(contacts)) as upstream:
            write_config(whole_config(upstream.port), room / "syncer.toml")
            with running(room) as daemon:
                wait_for_first_round(room / "mirror.db", limit=7200)
                yield _line(f"the daemon, {contacts:,} contacts: its first round", [peak_mb(daemon.pid)])


def _line(what: str, peaks: list[float]) -> Line:
    return Line(what, Sample.of(peaks, "MB"), limit=LIMIT, judged="ours")


def sizes(contacts: int) -> dict[str, Any]:
    """The lists of a business: the user's own is shorter, as it takes ten times the requests."""
    return {"directory": contacts, "users": contacts // 10, "smartflo": contacts}


def whole_config(port: int) -> dict[str, Any]:
    """Both vendors, every job on its default schedule."""
    return raw_config(port, telecmi={}, smartflo={})


@contextlib.contextmanager
def running(room: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The daemon, for as long as the `with` lasts."""
    command = [sys.executable, "-m", "syncer", "--config", str(room / "syncer.toml"), "run"]
    with (room / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, stderr=log, env={**os.environ, "NO_COLOR": "1"})
    try:
        yield process
        assert process.poll() is None, (room / "log").read_text()[-2000:]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def wait_for_first_round(path: Path, *, limit: float, jobs: int = 5) -> None:
    """Until every job has ended well once."""
    end = time.monotonic() + limit
    query = "SELECT count(DISTINCT job) FROM sync_runs WHERE outcome = 'ok'"
    while time.monotonic() < end:
        with contextlib.suppress(Exception):
            if one(path, query) >= jobs:
                return
        time.sleep(0.2)
    raise RuntimeError(f"the first round was not done after {limit:.0f} s")
