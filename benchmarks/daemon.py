"""The daemon as a process of its own, for the rows that watch it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.bench import one
from benchmarks.upstream import ROOT


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


def wait_for_first_round(path: Path, *, limit: float, jobs: int = 5, after: int = 0) -> None:
    """Until so many jobs have ended well; runs up to number `after` are older."""
    end = time.monotonic() + limit
    query = f"SELECT count(DISTINCT job) FROM sync_runs WHERE outcome = 'ok' AND id > {after}"
    while time.monotonic() < end:
        with contextlib.suppress(Exception):
            if one(path, query) >= jobs:
                return
        time.sleep(0.2)
    raise RuntimeError(f"the first round was not done after {limit:.0f} s")
