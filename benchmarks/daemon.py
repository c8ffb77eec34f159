"""Runs the daemon in its own process."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.bench import one
from benchmarks.upstream import ROOT


@contextlib.contextmanager
def running(room: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The running daemon."""
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
    """Wait until this many jobs have succeeded in runs after number `after`."""
    end = time.monotonic() + limit
    query = f"SELECT count(DISTINCT job) FROM sync_runs WHERE outcome = 'ok' AND id > {after}"
    while time.monotonic() < end:
        with contextlib.suppress(Exception):
            if one(path, query) >= jobs:
                return
        time.sleep(0.2)
    raise RuntimeError(f"the first round was not done after {limit:.0f} s")


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int) -> None:
    """Wait until something listens on a port."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise RuntimeError(f"nothing listened on port {port} within a minute")
