"""How long a shell waits that edits while a pull is under way."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.bench import DIRECTORY, Bench, directory_only, ended_well
from benchmarks.report import Line, Sample
from benchmarks.upstream import Upstream

#: Between two edits, and between two tries of one that met a lock, in seconds.
PAUSE, AGAIN = 0.02, 0.001

NOTE = (
    "an UPDATE is tried every millisecond until it is in, as a shell's busy_timeout does; its own commit "
    "(a flush to the disk) is part of what is shown"
)


def waiting(bench: Bench) -> Iterator[Line]:
    """An UPDATE every 20 ms: during the first pull, during one in which all changes, and with nobody else."""
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
                        ended_well(bench.child("sync", **orders, jobs=DIRECTORY))
                    longest.append(max(waits) * 1000)
                    upstream.control(bulk=bench.contacts // 10, start=n * bench.contacts // 10)
                with _editing(path) as waits:
                    time.sleep(3)
                alone.append(max(waits) * 1000)
    base = Sample.of(alone, "ms")
    what = f"longest wait of a shell's UPDATE, {bench.contacts:,} contacts"
    yield Line(f"{what}: first pull", Sample.of(first, "ms"), "nobody else", base, 100, "ours", (NOTE,))
    yield Line(f"{what}: a tenth changed", Sample.of(many, "ms"), "nobody else", base, 50, "ours")


def _insert_own(path: Path) -> None:
    """A contact of our own to edit, so that the first pull has one to meet, too."""
    with contextlib.closing(sqlite3.connect(path)) as shell, shell:
        shell.execute(
            "INSERT INTO telecmi_contacts (phone_no, first_name, last_name) VALUES ('9300000001', 'Asha', 'Example')"
        )


@contextlib.contextmanager
def _editing(path: Path) -> Iterator[list[float]]:
    """Edit without end, for as long as the `with` lasts; how long each edit took."""
    waits: list[float] = []
    stop = threading.Event()

    def work() -> None:
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

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield waits
    finally:
        stop.set()
        thread.join()
