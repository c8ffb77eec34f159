"""How long edits in a shell wait while a pull is running."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.bench import DIRECTORY, Bench, directory_only, in_background, succeeded
from benchmarks.report import Line, Sample
from benchmarks.upstream import Upstream

#: Seconds between two edits, and between two attempts of an edit.
PAUSE, AGAIN = 0.02, 0.001

NOTE = (
    "an UPDATE is tried every millisecond until it succeeds, as with a shell's busy_timeout; the time includes its own "
    "commit (a flush to disk)"
)


def waiting(bench: Bench) -> Iterator[Line]:
    """An UPDATE every 20 ms: during a first pull, during one with many changes, and without a pull."""
    first: list[float] = []
    many: list[float] = []
    alone: list[float] = []
    with Upstream(directory=bench.contacts) as upstream:
        for n in range(bench.few):
            with bench.room() as room:
                orders = bench.office(room, directory_only(upstream.port, push={"enabled": False}))
                path = room / "mirror.db"
                _insert_own(path)
                for longest in (first, many):
                    with _editing(path) as waits:
                        succeeded(bench.child("sync", **orders, jobs=DIRECTORY))
                    longest.append(max(waits) * 1000)
                    upstream.control(bulk=bench.contacts // 10, start=n * bench.contacts // 10)
                with _editing(path) as waits:
                    time.sleep(3)
                alone.append(max(waits) * 1000)
    base = Sample.of(alone, "ms")
    what = f"longest wait of a shell's UPDATE, {bench.contacts:,} contacts"
    yield Line(f"{what}: first pull", Sample.of(first, "ms"), "without a pull", base, 100, "ours", (NOTE,))
    yield Line(f"{what}: a tenth changed", Sample.of(many, "ms"), "without a pull", base, 50, "ours")


def _insert_own(path: Path) -> None:
    """Add a local contact, so there is one to edit during the first pull."""
    with contextlib.closing(sqlite3.connect(path)) as shell, shell:
        shell.execute(
            "INSERT INTO telecmi_contacts (phone_no, first_name, last_name) VALUES ('9300000001', 'Asha', 'Example')"
        )


@contextlib.contextmanager
def _editing(path: Path) -> Iterator[list[float]]:
    """Keep editing. The list receives the duration of each edit, in seconds."""
    waits: list[float] = []

    def work(stop: threading.Event) -> None:
        with contextlib.closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as shell:
            n = 0
            while not stop.wait(PAUSE):
                n += 1
                began = time.perf_counter()
                while True:
                    try:
                        shell.execute("UPDATE telecmi_contacts SET company = ? WHERE id = 1", (f"Edit {n}",))
                        break
                    except sqlite3.OperationalError:
                        time.sleep(AGAIN)
                waits.append(time.perf_counter() - began)

    with in_background(work):
        yield waits
