"""Copies: what a kill leaves of an unfinished one, and restoring one."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from syncer import files
from syncer.errors import SchemaError, StoreBusyError, StoreError
from syncer.store.db import copies
from tests.store.conftest import Mirror


def numbers(path: Path) -> list[str]:
    """The phone numbers in a database, as SQLite shows them to anybody."""
    with contextlib.closing(sqlite3.connect(path)) as conn:
        assert conn.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return [row[0] for row in conn.execute("SELECT phone_no FROM telecmi_contacts ORDER BY id")]


def others(path: Path) -> list[str]:
    """What lies next to the database, its locks aside."""
    names = [one.name for one in path.parent.iterdir() if one.is_file()]
    return sorted(name for name in names if name not in (path.name, f"{path.name}-wal", f"{path.name}-shm"))


# -- what a kill leaves --------------------------------------------------------------------------------

BACKING_UP = """
import sys
from pathlib import Path
from syncer.store.db import copies
from syncer.store.db.connection import Database

with Database(Path(sys.argv[1]), create=False) as db:
    print("now", flush=True)
    copies.backup(db, Path(sys.argv[2]))
"""


def kill_a_backup(mirror: Mirror, target: Path) -> None:
    """Kill a process that has begun to copy a large database."""
    with mirror.db.edit() as conn:
        conn.exec_driver_sql("CREATE TABLE ballast (x)")
        conn.exec_driver_sql(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000) "
            "INSERT INTO ballast SELECT randomblob(1000) FROM n"
        )
    child = subprocess.Popen([sys.executable, "-c", BACKING_UP, mirror.path, target], stdout=subprocess.PIPE)
    assert child.stdout is not None and child.stdout.readline() == b"now\n"
    while not (parts := list(target.parent.glob("*.part*"))) or not parts[0].stat().st_size:
        assert child.poll() is None
        time.sleep(0.001)
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()


def test_a_killed_backup_leaves_no_target_and_its_part_is_cleared(mirror: Mirror, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    kill_a_backup(mirror, folder / "copy.db")
    assert not (folder / "copy.db").exists() and list(folder.glob("*.part*"))
    copies.backup(mirror.db, folder / "other.db")
    assert [path.name for path in folder.iterdir()] == ["other.db"]


def test_parts_of_any_version_are_cleared_and_nothing_else(tmp_path: Path) -> None:
    ours = [
        "copy.db.syncer.part-123",
        "copy.db.syncer.part-123-journal",
        "syncer-20261121T052833Z.db.part",
        "syncer-20261121T052833Z.db.part-wal",
        "syncer-20261121T052833Z.db.part.part-77",
        "syncer.db.before-0001-20261121T052833Z.part-77",
    ]
    kept = ["book.part-1", "film.part", "syncer-20261121T052833Z.db", "syncer.db", "x.syncer.part-"]
    for name in (*ours, *kept):
        (tmp_path / name).write_text("half")
    (tmp_path / "link.syncer.part-1").symlink_to("book.part-1")
    copies.clear_parts(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*kept, "link.syncer.part-1"])
    copies.clear_parts(tmp_path / "none")


def test_a_copy_that_is_being_made_is_left_alone(mirror: Mirror, tmp_path: Path) -> None:
    with copies._part_of(tmp_path / "copy.db") as part:
        child = "import sys; from pathlib import Path; from syncer.store.db import copies; copies.clear_parts(Path(sys.argv[1]))"
        subprocess.run([sys.executable, "-c", child, tmp_path], check=True)
        assert part.exists()


# -- restoring -----------------------------------------------------------------------------------------


@pytest.fixture
def backed_up(mirror: Mirror, tmp_path: Path) -> Path:
    """A backup with one contact, of a mirror that has another one more since."""
    folder = tmp_path / "backups"
    folder.mkdir()
    mirror.contact("919200000001", contact_id="c-1")
    copies.backup(mirror.db, folder / "backup.db")
    mirror.contact("919200000002", contact_id="c-2")
    return folder / "backup.db"


def test_a_restored_database_is_the_backup_and_the_old_one_is_kept(mirror: Mirror, backed_up: Path) -> None:
    mirror.db.close()
    kept = copies.restore(backed_up, mirror.path, None)
    assert numbers(mirror.path) == ["919200000001"]
    assert kept is not None and numbers(kept) == ["919200000001", "919200000002"]
    assert mirror.path.stat().st_mode & 0o777 == 0o600
    assert others(mirror.path) == [kept.name], "no part is left"
    again = copies.restore(kept, mirror.path, None)
    assert numbers(mirror.path) == ["919200000001", "919200000002"], "a restore can be taken back"
    assert again is not None and numbers(again) == ["919200000001"]


@pytest.mark.parametrize("suffix", ["-wal", "-shm", "-journal"])
def test_no_old_log_reaches_the_restored_file(
    mirror: Mirror, backed_up: Path, tmp_path: Path, suffix: str
) -> None:
    """Of a damaged database, too, whose log SQLite cannot copy into it."""
    log = Path(f"{mirror.path}-wal").read_bytes()
    mirror.db.close()
    mirror.path.write_bytes(b"SQLite format 3\x00" + b"\xff" * 5000)
    Path(f"{mirror.path}{suffix}").write_bytes(log)
    kept = copies.restore(backed_up, mirror.path, None)
    assert kept is not None
    assert numbers(mirror.path) == ["919200000001"]
    assert kept.read_bytes()[16:20] == b"\xff" * 4, "kept as it was"
    assert suffix == "-journal" or Path(f"{kept}{suffix}").read_bytes() == log


def test_where_no_database_is_left_its_log_is_put_aside(mirror: Mirror, backed_up: Path) -> None:
    log = Path(f"{mirror.path}-wal").read_bytes()
    mirror.db.close()
    mirror.path.unlink()
    Path(f"{mirror.path}-wal").write_bytes(log)
    assert copies.restore(backed_up, mirror.path, None) is None
    assert numbers(mirror.path) == ["919200000001"]
    assert [name.partition(".replaced")[0] for name in others(mirror.path)] == [mirror.path.name]


def test_a_copy_with_a_log_of_its_own_is_restored_whole(
    mirror: Mirror, backed_up: Path, tmp_path: Path
) -> None:
    """As a file that was kept by an earlier restore may have one."""
    copy = tmp_path / "copies" / "live.db"
    copy.parent.mkdir()
    for suffix in ("", "-wal"):
        shutil.copy(f"{mirror.path}{suffix}", f"{copy}{suffix}")
    before = copy.read_bytes(), Path(f"{copy}-wal").read_bytes()
    mirror.db.close()
    copies.restore(copy, mirror.path, None)
    assert numbers(mirror.path) == ["919200000001", "919200000002"]
    assert (copy.read_bytes(), Path(f"{copy}-wal").read_bytes()) == before, "the backup is only read"


def _newer(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as conn, conn:
        conn.execute("UPDATE alembic_version SET version_num = '9999'")


def _damaged(path: Path) -> None:
    content = bytearray(path.read_bytes())
    for at in range(3000, len(content), 2000):
        content[at : at + 200] = b"\xff" * 200
    path.write_bytes(content)


def _foreign(path: Path) -> None:
    path.unlink()
    with contextlib.closing(sqlite3.connect(path)) as conn, conn:
        conn.execute("CREATE TABLE notes (x)")


@pytest.mark.parametrize(
    "spoil, error, says",
    [
        (_newer, SchemaError, "newer version"),
        (_damaged, StoreError, "not a sound backup"),
        (_foreign, StoreError, "not a database of syncer"),
        (lambda path: path.write_bytes(b""), StoreError, "not a database of syncer"),
        (lambda path: path.write_bytes(b"x" * 5000), StoreError, "not a sound backup"),
        (lambda path: os.truncate(path, 5000), StoreError, "not a sound backup"),
        (lambda path: path.unlink(), StoreError, "could not be restored"),
    ],
    ids=["newer", "damaged", "foreign", "empty", "no database", "cut", "gone"],
)
def test_what_cannot_be_restored_changes_nothing(
    mirror: Mirror, backed_up: Path, spoil: Callable[[Path], None], error: type[Exception], says: str
) -> None:
    mirror.db.close()
    spoil(backed_up)
    before = mirror.path.read_bytes()
    with pytest.raises(error, match=says):
        copies.restore(backed_up, mirror.path, None)
    assert mirror.path.read_bytes() == before and others(mirror.path) == []


def test_the_database_is_no_backup_of_itself(mirror: Mirror) -> None:
    mirror.db.close()
    with pytest.raises(StoreError, match="is the database itself"):
        copies.restore(mirror.path, mirror.path, None)


OPEN = """
import sqlite3, sys
conn = sqlite3.connect(sys.argv[1])
conn.execute("SELECT count(*) FROM telecmi_contacts").fetchone()
print("open", flush=True)
sys.stdin.readline()
"""


def test_a_database_that_somebody_has_open_is_not_replaced(mirror: Mirror, backed_up: Path) -> None:
    """An idle shell would go on editing a file that nobody sees."""
    mirror.db.close()
    child = subprocess.Popen(
        [sys.executable, "-c", OPEN, mirror.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdout is not None and child.stdout.readline() == b"open\n"
    with pytest.raises(StoreBusyError, match="open in another program"):
        copies.restore(backed_up, mirror.path, None)
    assert numbers(mirror.path) == ["919200000001", "919200000002"]
    child.communicate(b"\n")
    copies.restore(backed_up, mirror.path, None)
    assert numbers(mirror.path) == ["919200000001"]


RESTORING = """
import sys
from pathlib import Path
from syncer.store.db import copies

print("now", flush=True)
copies.restore(Path(sys.argv[1]), Path(sys.argv[2]), None)
"""


def test_a_kill_leaves_the_old_database_or_the_restored_one(mirror: Mirror, backed_up: Path) -> None:
    mirror.db.close()
    found = set()
    for number in range(12):
        child = subprocess.Popen(
            [sys.executable, "-c", RESTORING, backed_up, mirror.path], stdout=subprocess.PIPE
        )
        assert child.stdout is not None and child.stdout.readline() == b"now\n"
        time.sleep(0.003 * number)
        child.kill()
        child.wait()
        child.stdout.close()
        found.add(tuple(numbers(mirror.path)))
    assert found <= {("919200000001",), ("919200000001", "919200000002")}
    copies.restore(backed_up, mirror.path, None)
    assert numbers(mirror.path) == ["919200000001"]
    assert not list(mirror.path.parent.glob("*.part*"))


# -- renaming ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rename, swap", [(files.rename_new, files.exchange), (files.link_new, files.exchange_in_steps)]
)
def test_renaming_never_goes_over_a_file(
    tmp_path: Path, rename: Callable[[Path, Path], None], swap: Callable[[Path, Path], None]
) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_text("1")
    rename(one, other)
    assert not one.exists() and other.read_text() == "1" and other.stat().st_nlink == 1
    one.write_text("2")
    with pytest.raises(FileExistsError):
        rename(one, other)
    swap(one, other)
    assert (one.read_text(), other.read_text()) == ("1", "2")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "other"]
