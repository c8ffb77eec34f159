"""A log is written into the file that it belongs to, and into no other that somebody put there."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from syncer.errors import StoreError
from syncer.locks import Locks
from syncer.store.db import copies, identity, migrations
from syncer.store.db.connection import Database
from syncer.store.db.read_only import ReadOnlyDatabase, first
from syncer.sync.open_database import SCHEMA_LOCK
from tests.rows import insert

# -- how a backup is made, and how it gets to its place ------------------------------------------------


def by_syncer(path: Path, copy: Path) -> None:
    with Database(path, create=False) as db:
        copies.backup(db, copy)


def by_vacuum(path: Path, copy: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as shell:
        shell.execute(f"VACUUM INTO '{copy}'")


def by_shell(path: Path, copy: Path) -> None:
    """`sqlite3 syncer.db '.backup copy.db'`."""
    with (
        contextlib.closing(sqlite3.connect(path)) as shell,
        contextlib.closing(sqlite3.connect(copy)) as target,
    ):
        shell.backup(target)


def by_vacuum_and_used(path: Path, copy: Path) -> None:
    """A copy that others wrote to since: its counter is as high as ours."""
    by_vacuum(path, copy)
    for _ in range(20):
        with contextlib.closing(sqlite3.connect(copy)) as shell:
            shell.execute("PRAGMA user_version = 0")


def move(copy: Path, path: Path) -> None:
    """`mv`, and what rsync does."""
    copy.replace(path)


def overwrite(copy: Path, path: Path) -> None:
    """`cp`: the file keeps its inode."""
    shutil.copyfile(copy, path)


def remove_first(copy: Path, path: Path) -> None:
    """`rm` and `cp`: a file system may give the new file the old inode."""
    path.unlink()
    shutil.copyfile(copy, path)


WAYS = [move, overwrite, remove_first]
COPIES = [by_syncer, by_vacuum, by_vacuum_and_used, by_shell]

# -- a process that is killed --------------------------------------------------------------------------


def killed(work: Callable[[], None]) -> None:
    """Do this in a process that is then killed."""
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            work()
            os.kill(os.getpid(), signal.SIGKILL)
        os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)


def start(path: Path) -> Database:
    """What the daemon and `sync` do first."""
    locks = Locks(path, "a test")
    handle = locks.try_acquire(SCHEMA_LOCK)
    assert handle is not None
    db = Database(path)
    migrations.upgrade(db)
    db.make_distinct()
    locks.release(handle)
    return db


def add(db: Database, *names: str) -> None:
    for name in names:
        with db.write() as conn:
            insert(conn, "telecmi_contacts", account="main", last_name=name)


def names(path: Path, opener: type[Database] | type[ReadOnlyDatabase] | None = None) -> list[str]:
    """Who is there, for the next process that opens the file (`opener` first); it has to be sound then."""
    if opener is not None:
        with opener(path) as db, db.read() as conn:
            first(conn, "SELECT 1 FROM telecmi_contacts")
    with Shell(path) as shell:
        assert shell.run("PRAGMA integrity_check") == [["ok"]]
        return [row[0] for row in shell.run("SELECT last_name FROM telecmi_contacts ORDER BY id")]


class Shell:
    """Somebody else's process with the database open."""

    CODE = """
import json, sqlite3, sys
conn = sqlite3.connect(sys.argv[1], isolation_level=None)
for line in sys.stdin:
    print(json.dumps(conn.execute(line).fetchall()), flush=True)
conn.close()
"""

    def __init__(self, path: Path) -> None:
        command = [sys.executable, "-Sc", self.CODE, str(path)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, statement: str) -> list[Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(statement + "\n")
        self._process.stdin.flush()
        found: list[Any] = json.loads(self._process.stdout.readline())
        return found

    def __enter__(self) -> Shell:
        return self

    def __exit__(self, *exc: object) -> None:
        self._process.communicate()


def aside(path: Path) -> list[str]:
    return sorted(one.name.partition(".replaced-")[0] for one in path.parent.glob("*.replaced-*"))


@pytest.fixture
def path(tmp_path: Path, fresh_file: Path) -> Path:
    path = tmp_path / "mirror.db"
    shutil.copy(fresh_file, path)
    with start(path) as db:
        add(db, "Earlier")
    return path


@pytest.mark.parametrize("opener", [Database, ReadOnlyDatabase])
@pytest.mark.parametrize("put", WAYS)
@pytest.mark.parametrize("copy", COPIES)
def test_the_log_of_a_killed_process_is_not_written_into_a_backup(
    path: Path,
    copy: Callable[[Path, Path], None],
    put: Callable[[Path, Path], None],
    opener: type[Database] | type[ReadOnlyDatabase],
    caplog: pytest.LogCaptureFixture,
) -> None:
    backup = path.with_name("backup.db")

    def work() -> None:
        db = start(path)
        add(db, "Kept")
        copy(path, backup)
        add(db, *(f"Later {n}" for n in range(30)))

    killed(work)
    put(backup, path)
    assert names(path, opener) == ["Earlier", "Kept"]
    assert aside(path) == ["mirror.db-shm", "mirror.db-wal"]
    assert "does not belong to the new file and was put aside" in caplog.text


@pytest.mark.parametrize("put", WAYS)
def test_nor_into_a_plain_copy_of_an_earlier_day(path: Path, put: Callable[[Path, Path], None]) -> None:
    earlier = path.with_name("earlier.db")
    shutil.copy(path, earlier)  # nobody has it open

    def work() -> None:
        add(start(path), "Later")

    killed(work)
    put(earlier, path)
    assert names(path, ReadOnlyDatabase) == ["Earlier"]


def test_nor_into_a_new_file_where_the_old_one_was_removed(path: Path) -> None:
    killed(lambda: add(start(path), "Later"))
    path.unlink()
    with start(path) as db, db.read() as conn:
        assert conn.exec_driver_sql("SELECT count(*) FROM telecmi_contacts").scalar() == 0
    assert aside(path) == ["mirror.db-shm", "mirror.db-wal"]


def commit(db: Database) -> None:
    add(db, "Later")


def copy_all(db: Database) -> None:
    add(db, "Later")
    db.pragma("PRAGMA wal_checkpoint(PASSIVE)")


def change_schema(db: Database) -> None:
    """In a shell that copies its change into the file, unseen by us."""
    add(db, "Later")
    with contextlib.closing(sqlite3.connect(db.path)) as shell:
        shell.execute("CREATE TABLE notes (text)")
        shell.execute("PRAGMA wal_checkpoint(PASSIVE)")


def begin_again(db: Database) -> None:
    """The log begins again from its start."""
    for _ in range(3):
        copy_all(db)
        db.require_files()


@pytest.mark.parametrize("last", [commit, copy_all, change_schema, begin_again])
def test_what_a_killed_process_wrote_is_there_at_the_next_start(
    path: Path, last: Callable[[Database], None]
) -> None:
    killed(lambda: last(start(path)))
    assert names(path, ReadOnlyDatabase)[:2] == ["Earlier", "Later"]
    assert aside(path) == []


def test_a_folder_that_was_copied_as_a_whole_keeps_its_log(path: Path, tmp_path: Path) -> None:
    killed(lambda: add(start(path), "Later"))
    there = shutil.copytree(tmp_path, tmp_path.with_name(f"{tmp_path.name}-copy"))
    assert names(there / path.name, ReadOnlyDatabase) == ["Earlier", "Later"]


@pytest.mark.parametrize("junk", [b"", b"{", b"[1]", b'{"database": "x"}', bytes(300)])
def test_a_record_that_says_nothing_leaves_the_log_to_sqlite(path: Path, junk: bytes) -> None:
    killed(lambda: add(start(path), "Later"))
    (path.with_name(f"{path.name}.locks") / identity.RECORD).write_bytes(junk)
    assert names(path, ReadOnlyDatabase) == ["Earlier", "Later"]


# -- while a process has it open -----------------------------------------------------------------------


@pytest.mark.parametrize("copy", COPIES)
@pytest.mark.parametrize("put", WAYS)
def test_a_backup_that_is_put_over_an_open_database_stays_as_it_is(
    path: Path, copy: Callable[[Path, Path], None], put: Callable[[Path, Path], None]
) -> None:
    backup = path.with_name("backup.db")
    db = start(path)
    copy(path, backup)
    add(db, *(f"Later {n}" for n in range(30)))
    put(backup, path)
    assert db.replaced()
    for _ in range(2):  # for good, and not a second time otherwise
        with pytest.raises(StoreError, match="was removed or replaced while it was in use; its old log"):
            add(db, "Too late")
    db.close()
    assert aside(path) == ["mirror.db-shm", "mirror.db-wal"]
    assert names(path) == ["Earlier"]


def test_a_file_that_is_moved_away_has_all_that_was_written(path: Path) -> None:
    db = start(path)
    add(db, "Later")
    away = path.rename(path.with_name("away.db"))
    with pytest.raises(StoreError, match="removed or replaced"):
        add(db, "Too late")
    db.close()
    assert names(away) == ["Earlier", "Later"]


def test_a_change_of_the_schema_by_somebody_else_is_no_other_file(path: Path) -> None:
    with start(path) as db:
        with contextlib.closing(sqlite3.connect(path)) as shell:
            shell.execute("CREATE TABLE notes (text)")
            shell.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.require_files()
        add(db, "Later")
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as shell:
            shell.execute("VACUUM")
            shell.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        add(db, "Latest")
    assert names(path) == ["Earlier", "Later", "Latest"]


LOST = {"log": ("-wal",), "index": ("-shm",), "log and index": ("-wal", "-shm")}


@pytest.mark.parametrize("lost", LOST)
def test_a_log_that_is_removed_takes_nothing_along(path: Path, lost: str) -> None:
    db = start(path)
    add(db, "Later")
    for suffix in LOST[lost]:
        identity.beside(path, suffix).unlink()
    with pytest.raises(
        StoreError, match=r"the log \(mirror\.db-wal, mirror\.db-shm\) .* was removed or replaced"
    ):
        add(db, "Too late")
    db.close()
    assert names(path) == ["Earlier", "Later"]
    assert aside(path) == []


@pytest.mark.parametrize(
    "lost", ["index", "log and index"]
)  # SQLite itself takes no edit without the log alone
def test_nor_what_somebody_wrote_since(path: Path, lost: str) -> None:
    db = start(path)
    add(db, "Later")
    for suffix in LOST[lost]:
        identity.beside(path, suffix).unlink()
    with Shell(path) as shell:
        shell.run("CREATE TABLE notes AS SELECT 'by a person' AS text")
        with pytest.raises(StoreError, match="removed or replaced"):
            add(db, "Too late")
        db.close()
        assert shell.run("SELECT text FROM notes") == [["by a person"]]
    with Shell(path) as shell:
        assert shell.run("SELECT text FROM notes") == [["by a person"]]
    if lost == "index":
        assert names(path) == ["Earlier", "Later"]
        return
    # The shell has begun a log of its own, so that ours cannot be copied into the file: it is kept.
    assert names(path) == ["Earlier"]
    [saved] = path.parent.glob("*-wal.replaced-*")
    assert b"Later" in saved.read_bytes()


def test_a_pipe_with_the_number_of_the_file_is_not_taken_for_it(tmp_path: Path) -> None:
    """Numbers of files are unlike on one device only: in /dev/shm they are as small as those of pipes."""
    reading, writing = os.pipe()
    try:
        number, device = os.fstat(reading).st_ino, tmp_path.stat().st_dev
        assert identity._descriptor(os.fstat(reading).st_dev, number) in (reading, writing)
        assert identity._descriptor(device, number) is None
    finally:
        os.close(reading)
        os.close(writing)


def test_a_descriptor_that_is_something_else_by_now_is_not_read(tmp_path: Path) -> None:
    """Another connection of this process had opened it, and has closed it."""
    path = tmp_path / "there.db"
    with Database(path) as db:
        migrations.upgrade(db)
    shell = sqlite3.connect(path)
    shell.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    watched = identity.OpenFiles(path)
    shell.close()
    pipes = [os.pipe() for _ in range(8)]  # they take the numbers that have just become free
    try:
        watched.note()
        assert watched.lost() == "log", "which went with the other connection"
        assert watched.save_log() is None
    finally:
        for handle in (one for pair in pipes for one in pair):
            os.close(handle)
