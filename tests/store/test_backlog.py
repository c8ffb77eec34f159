"""The log is copied once for several blocks, by us and not by a shell's commit, and nobody waits for it in vain."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from syncer.cycle.env import Store
from syncer.store import backlog, bulk
from syncer.store.connect import Connection, Database
from syncer.store.tables import set_aside
from tests.store.conftest import Mirror

COLUMNS = ("job", "account", "digest", "reason", "raw", "first_seen_at", "last_seen_at")


def block(conn: Connection, number: int, rows: int = 300) -> None:
    """Write a block of rows whose index is in no order."""
    stamp = "2026-11-21T12:00:00.000Z"
    values = [
        ("telecmi-contacts", "main", f"{hash((number, n)):x}", "invented", "x" * 400, stamp, stamp)
        for n in range(rows)
    ]
    bulk.insert_rows(conn, set_aside, COLUMNS, values)


def write(db: Database, number: int, rows: int = 300) -> bool:
    """A block as a pull writes it; whether anything is held back after it."""
    with db.write(lasting=False) as conn:
        block(conn, number, rows)
    db.hold_back()
    return db.holds_back


def log(conn: sqlite3.Connection) -> tuple[int, int]:
    """Copy what can be copied: pages of the log, and how many of them are copied."""
    _, pages, copied = conn.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    return pages, copied


def test_a_shells_commit_does_not_copy_what_a_pull_holds_back(mirror: Mirror) -> None:
    row = mirror.contact()
    shell = mirror.client("wal_autocheckpoint = 1")
    assert write(mirror.db, 1) and write(mirror.db, 2)
    shell.execute("UPDATE telecmi_contacts SET company = 'Sample Press' WHERE id = ?", (row,))
    shell.commit()
    pages, copied = log(shell)
    assert pages - copied > 100  # neither that commit nor we ourselves could copy it
    shell.close()


def test_a_small_write_holds_nothing_back(mirror: Mirror) -> None:
    assert not write(mirror.db, 1, rows=backlog.FEWEST // 4)


def test_what_is_held_back_stays_small_and_is_copied_by_a_commit_of_ours(mirror: Mirror) -> None:
    beside = mirror.client("wal_autocheckpoint = 0")
    largest = 0
    for number in range(60):
        write(mirror.db, number)
        pages, copied = log(beside)
        largest = max(largest, (pages - copied) * 1024)
    assert backlog.MOST < largest < 1.5 * backlog.MOST  # the bound, and what a block adds
    wal = mirror.path.with_name(f"{mirror.path.name}-wal").stat().st_size
    assert wal < 2 * backlog.MOST  # and so the log began anew from time to time
    beside.close()


class Raced:
    """A connection beside which a shell writes whenever it copies, so that it never copies all."""

    def __init__(self, mirror: Mirror) -> None:
        self._driver = mirror.client()
        self._shell = mirror.client("wal_autocheckpoint = 0")
        self._reader = mirror.client()

    def execute(self, sql: str) -> sqlite3.Cursor:
        if "PASSIVE" not in sql:
            return self._driver.execute(sql)
        self._reader.execute("BEGIN")
        self._reader.execute("SELECT 1 FROM telecmi_contacts").fetchone()
        self._shell.execute("UPDATE telecmi_contacts SET company = company || '.'")
        self._shell.commit()
        done = self._driver.execute(sql)
        self._reader.rollback()
        return done

    def close(self) -> None:
        for conn in (self._driver, self._shell, self._reader):
            conn.close()


def test_a_shell_that_always_comes_between_does_not_make_the_log_grow(mirror: Mirror) -> None:
    mirror.contact(company="Sample Press")
    raced: Any = Raced(mirror)
    held = backlog.Backlog(mirror.path, mirror.db.replaced)
    with Database(mirror.path, checkpoints=False) as db:
        for number in range(60):
            if held.full:
                held.let_go()
            with db.write(lasting=False) as conn:
                block(conn, number)
            held.wrote(raced, 300)
    assert mirror.path.with_name(f"{mirror.path.name}-wal").stat().st_size < 2 * backlog.MOST
    held.close()
    raced.close()


@contextlib.contextmanager
def copying(path: Path) -> Iterator[None]:
    """Another process that is in the middle of copying the log: it has SQLite's lock for that."""
    code = (
        "import fcntl, struct, sys\n"
        f"file = open({str(path)!r} + '-shm', 'r+b')\n"
        "lock = struct.pack('hhqqi4x', fcntl.F_WRLCK, 0, 121, 1, 0)\n"
        "fcntl.fcntl(file, fcntl.F_SETLKW, lock)\n"
        "print('locked', flush=True)\n"
        "sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "locked\n"
        yield
        process.communicate()


def test_nothing_is_held_back_while_somebody_else_copies(mirror: Mirror) -> None:
    with copying(mirror.path):
        assert not write(mirror.db, 1)
    assert write(mirror.db, 2)
    with copying(mirror.path):  # how much is left is not known then, so that it may be too much
        write(mirror.db, 3)
        assert not write(mirror.db, 4)
    assert write(mirror.db, 5)


@pytest.mark.parametrize("instead", [None, "junk", "a copy"])
def test_a_file_that_is_not_ours_any_more_is_not_opened(mirror: Mirror, instead: str | None) -> None:
    ours = mirror.path.rename(mirror.path.with_suffix(".away"))
    if instead == "junk":
        mirror.path.write_bytes(b"no database" * 1000)
    elif instead == "a copy":
        shutil.copy(ours, mirror.path)
    assert not write(mirror.db, 1)
    assert mirror.path.exists() == (instead is not None)
    assert mirror.path.with_name(f"{mirror.path.name}-wal").exists()  # a new file would have taken it along
    ours.rename(mirror.path)
    assert write(mirror.db, 2)


@contextlib.contextmanager
def handles_left(number: int) -> Iterator[None]:
    """No more than so many files can be opened."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = max(int(handle.name) for handle in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 4, limits[1]))
    taken = []
    try:
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        for _ in range(number):
            os.close(taken.pop())
        yield
    finally:
        for handle in taken:
            os.close(handle)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_a_hold_that_fails_is_no_error_and_leaves_nothing_open(mirror: Mirror) -> None:
    held = backlog.Backlog(mirror.path, mirror.db.replaced)
    with Database(mirror.path, checkpoints=False) as db:
        with db.write(lasting=False) as conn:
            block(conn, 1)
        beside = mirror.client()
        with handles_left(1):
            held.wrote(beside, 300)
        assert not held.held
        held.wrote(beside, 300)
        assert held.held
    held.close()
    beside.close()


def test_a_connection_that_does_not_copy_holds_nothing_back(mirror: Mirror) -> None:
    with Database(mirror.path, checkpoints=False) as db:
        assert not write(db, 1) and not write(db, 2)


def test_a_write_that_has_to_last_does_not_wait_for_the_disk_in_the_lock(mirror: Mirror) -> None:
    beside = mirror.client("wal_autocheckpoint = 0")
    write(mirror.db, 1)
    write(mirror.db, 2)
    with mirror.db.write():
        pages, copied = log(beside)
        assert pages == copied  # all that came before is in the file, and on the disk
    beside.close()


def test_a_file_that_cannot_grow_stops_no_write_that_finds_room(mirror: Mirror) -> None:
    for number in range(6):
        write(mirror.db, number)
    mirror.db.relax()
    assert write(mirror.db, 6) and write(mirror.db, 7)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (mirror.path.stat().st_size, limits[1]))
    try:
        with mirror.db.write() as conn:  # what was held back cannot be copied, and stays in the log
            block(conn, 8, rows=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert mirror.sql("SELECT count(*) FROM set_aside") == [(8 * 300 + 1,)]
    assert mirror.sql("PRAGMA integrity_check") == [("ok",)]


def test_who_cuts_the_log_gets_his_turn(mirror: Mirror) -> None:
    write(mirror.db, 1)
    write(mirror.db, 2)
    cut: list[int] = []

    def cutting() -> None:
        other = mirror.client(timeout=10.0)
        busy = 1
        for _ in range(3):  # it waits for readers, but not for somebody who copies at that moment
            if busy:
                busy = other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        cut.append(busy)
        other.close()

    thread = threading.Thread(target=cutting)
    mirror.db.pragma("PRAGMA busy_timeout = 30000")
    thread.start()
    for number in range(3, 2000):  # he waits for the snapshot, and keeps the lock: so we let go of it
        write(mirror.db, number, rows=20)
        if cut:
            break
    thread.join()
    assert cut == [0]


def test_between_runs_nothing_is_held_back(mirror: Mirror) -> None:
    for number, end in enumerate((mirror.db.relax, mirror.db.let_go)):
        assert write(mirror.db, 2 * number) and write(mirror.db, 2 * number + 1)
        end()
        other = mirror.client()
        pages, copied = log(other)
        assert pages == copied
        assert other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
        other.close()


def test_a_pull_that_waits_for_its_vendor_holds_nothing_back(mirror: Mirror) -> None:
    held: list[bool] = []

    async def pull() -> None:
        store = Store(mirror.db, held_back=0.0)
        for number in (1, 2):
            await store.judged(lambda _, made=number: made, block, large=False)
            held.append(mirror.db.holds_back)
        await asyncio.sleep(0.01)
        held.append(mirror.db.holds_back)

    asyncio.run(pull())
    assert held == [True, True, False]


def test_a_pull_that_is_broken_off_holds_nothing_back(mirror: Mirror) -> None:
    begun, going_on = threading.Event(), threading.Event()

    def slow(conn: Connection, number: int) -> None:
        block(conn, number)
        begun.set()
        assert going_on.wait(30)

    async def pull() -> None:
        with ThreadPoolExecutor(1) as executor:
            loop, store = asyncio.get_running_loop(), Store(mirror.db, executor, held_back=0.0)
            pulling = asyncio.create_task(store.judged(lambda _: 1, slow, large=False))
            assert await asyncio.to_thread(begun.wait, 30)
            pulling.cancel()
            await asyncio.wait([pulling])
            await asyncio.sleep(0.01)
            going_on.set()
            await loop.run_in_executor(executor, lambda: None)

    asyncio.run(pull())
    assert not mirror.db.holds_back


def test_pages_of_a_new_file_are_small_and_those_of_an_old_one_stay(tmp_path: Path) -> None:
    old = tmp_path / "old.db"
    with sqlite3.connect(old) as conn:
        conn.execute("PRAGMA page_size = 4096")
        conn.execute("CREATE TABLE t (x)")
    conn.close()
    sizes = []
    for path in (old, tmp_path / "new.db"):
        with Database(path) as db:
            sizes.append(db.pragma("PRAGMA page_size")[0][0])
    assert sizes == [4096, 1024]
