"""Opening the file: modes, folders, files of another kind, full disks, and every error in our own terms."""

from __future__ import annotations

import contextlib
import gc
import grp
import os
import resource
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy.exc
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from syncer.errors import SchemaError, StoreBusyError, StoreError, UsageError
from syncer.store.db import connection, copies, migrations, revision, sqlite_errors
from syncer.store.db.connection import Database, map_error
from syncer.store.db.read_only import ReadOnlyDatabase
from tests.rows import insert
from tests.store.conftest import BEFORE, Mirror

SECRET = "Asha-Rao-919200000001"


def mode(path: Path | str) -> int:
    return stat.S_IMODE(Path(path).stat().st_mode)


def some_other_group() -> str:
    """A group of this process that is not its first, or any if it is root."""
    ids = [gid for gid in os.getgroups() if gid != os.getegid()]
    if os.geteuid() == 0:
        ids += [entry.gr_gid for entry in grp.getgrall() if entry.gr_gid not in (0, os.getegid())]
    if not ids:
        pytest.skip("this user is in one group only")
    return grp.getgrgid(ids[0]).gr_name


@contextlib.contextmanager
def powerless() -> Iterator[None]:
    """Without root's power to pass over modes, where the tests run as root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that a powerless user can reach; pytest's own are root's alone."""
    import shutil
    import tempfile

    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    yield folder
    folder.chmod(0o777)
    shutil.rmtree(folder)


# -- modes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_nobody_else_may_read_the_files(tmp_path: Path, umask: int) -> None:
    path = tmp_path / "a" / "b" / "mirror.db"
    old = os.umask(umask)
    try:
        with Database(path) as db:
            migrations.upgrade(db)
            modes = {mode(f"{path}{suffix}") for suffix in ("", "-wal", "-shm")}
    finally:
        os.umask(old)
    assert modes == {0o600} and mode(path.parent) == 0o700


def test_a_file_that_others_could_read_is_closed_to_them(mirror: Mirror) -> None:
    mirror.contact()
    files = [Path(f"{mirror.path}{suffix}") for suffix in ("", "-wal", "-shm")]
    for file in files:
        file.chmod(0o664)
    with Database(mirror.path):
        assert [mode(file) for file in files] == [0o600] * 3


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_a_group_may_share_the_files_and_their_folder(tmp_path: Path, umask: int) -> None:
    group = some_other_group()
    gid = grp.getgrnam(group).gr_gid
    path = tmp_path / "shared" / "mirror.db"
    old = os.umask(umask)
    try:
        with Database(path, group=group) as db:
            migrations.upgrade(db)
            files = [Path(f"{path}{suffix}") for suffix in ("", "-wal", "-shm")]
            assert [mode(file) for file in files] == [0o660] * 3
            assert files[0].stat().st_gid == gid
    finally:
        os.umask(old)
    assert mode(path.parent) == 0o770 and path.parent.stat().st_gid == gid


@pytest.mark.skipif(os.geteuid() != 0, reason="takes two users")
def test_one_of_the_group_opens_the_file_without_owning_it(open_folder: Path) -> None:
    path = open_folder / "mirror.db"
    group = grp.getgrgid(65534).gr_name
    with Database(path, group=group) as db:
        migrations.upgrade(db)
        path.chmod(0o666)  # the owner repairs it at its next start
        old = os.getegid()
        os.setegid(65534)
        try:
            with powerless(), Database(path, group=group) as second:
                assert revision.is_current(second)
                with second.write():
                    pass
        finally:
            os.setegid(old)


def test_a_group_that_does_not_exist_is_reported(tmp_path: Path) -> None:
    for path in (tmp_path / "m.db", tmp_path / "new" / "m.db"):
        with pytest.raises(StoreError, match="no such group"):
            Database(path, group="no-such-group-here")


def test_the_connection_is_set_up_as_it_must_be(mirror: Mirror) -> None:
    def pragma(name: str) -> object:
        return mirror.db.pragma(f"PRAGMA {name}")[0][0]

    assert (pragma("journal_mode"), pragma("foreign_keys"), pragma("trusted_schema")) == ("wal", 1, 1)
    with Database(mirror.path, checkpoints=False) as other:
        assert other.pragma("PRAGMA wal_autocheckpoint") == [(0,)]
        assert other.pragma("PRAGMA synchronous") == [(2,)]  # an intent must outlive a power cut
        assert other.pragma("PRAGMA mmap_size") == [(0,)]
        assert other.pragma("PRAGMA temp_store") == [(2,)]  # bytes that are written are counted


# -- what cannot be opened ---------------------------------------------------------------------------


def test_a_folder_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="names a folder"):
        Database(tmp_path)


@pytest.mark.parametrize("content", [b"a,b,c\n1,2,3\n", b"x", b"PK\x03\x04" + bytes(5000), b"\x7fELF" * 2000])
def test_a_file_of_another_kind_is_refused_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "sheet.csv"
    path.write_bytes(content)
    path.chmod(0o644)
    with pytest.raises(SchemaError, match=r"sheet\.csv is not an intact SQLite database"):
        Database(path)
    assert path.read_bytes() == content and mode(path) == 0o644
    assert [file.name for file in tmp_path.iterdir()] == ["sheet.csv"]


def test_a_damaged_database_is_reported(mirror: Mirror) -> None:
    for n in range(400):
        mirror.contact(f"9192000{n:05}", contact_id=f"c-{n}")
    mirror.db.close()
    size = mirror.path.stat().st_size
    with mirror.path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(size - 4096))
    with pytest.raises(SchemaError, match="not an intact SQLite database"), Database(mirror.path) as db:
        db.pragma("SELECT count(*) FROM telecmi_contacts")


def test_a_database_that_is_not_there_is_not_made_by_readers(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"no database m\.db yet"):
        Database(tmp_path / "m.db", create=False)
    assert list(tmp_path.iterdir()) == []


def test_a_read_only_file_is_reported(open_folder: Path) -> None:
    path = open_folder / "m.db"
    with Database(path) as db:
        migrations.upgrade(db)
    path.chmod(0o444)
    with powerless():
        with pytest.raises(StoreError, match="owner and mode"):
            Database(path)
        with Database(path, create=False) as db:
            assert revision.is_current(db)
            with pytest.raises(StoreError, match="cannot be written"), db.write():
                pytest.fail("a read-only file was written")
        with ReadOnlyDatabase(path) as looking:
            assert revision.is_current(looking)


def test_an_inaccessible_folder_is_reported(open_folder: Path) -> None:
    inner = open_folder / "closed"
    inner.mkdir()
    inner.chmod(0o000)
    open_folder.chmod(0o555)
    with powerless():
        for path in (
            inner / "m.db",
            inner / "deeper" / "m.db",
            open_folder / "m.db",
            open_folder / "new" / "m.db",
        ):
            for create in (True, False):
                with pytest.raises(StoreError):
                    Database(path, create=create)


def test_a_file_in_place_of_a_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="cannot be opened for writing"):
        Database(tmp_path / "file" / "m.db")


def test_a_database_that_another_program_blocks_is_busy(mirror: Mirror) -> None:
    mirror.db.close()
    other = mirror.client()
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    with (
        pytest.raises(StoreBusyError, match="held by another program"),
        Database(mirror.path, busy_timeout=0.1) as db,
    ):
        db.pragma("SELECT count(*) FROM telecmi_contacts")
    other.close()


# -- a log that is short -----------------------------------------------------------------------------


def test_nobody_who_edits_meets_a_log_that_he_has_to_copy(mirror: Mirror) -> None:
    # A client copies the log into the file at 1000 pages, within its own UPDATE.
    longest = 0
    for block in range(30):
        fill(mirror.db, 100, first=100 * block)
        mirror.sql("UPDATE telecmi_contacts SET company = 'X' WHERE id = 1")
        longest = max(longest, Path(f"{mirror.path}-wal").stat().st_size // (4096 + 24))
    assert 100 < longest < 1000


# -- a disk that is full -----------------------------------------------------------------------------


def fill(db: Database, rows: int = 400, *, first: int = 0) -> None:
    with db.write() as conn:
        for n in range(first, first + rows):
            insert(conn, "telecmi_voicemails", account="main", voicename=f"{n:08}", raw="x" * 4000)


def test_a_full_database_rolls_back_and_goes_on(mirror: Mirror) -> None:
    pages = mirror.db.pragma("PRAGMA page_count")[0][0]
    mirror.db.pragma(f"PRAGMA max_page_count = {pages}")
    before = mirror.everything()
    with pytest.raises(StoreError, match="is full"):
        fill(mirror.db)
    assert mirror.everything() == before and mirror.guard() == 0
    mirror.db.pragma("PRAGMA max_page_count = 1000000")
    fill(mirror.db, 10)
    assert mirror.one("SELECT count(*) FROM telecmi_voicemails") == 10


def test_a_file_that_may_not_grow_fails_at_the_commit_and_goes_on(mirror: Mirror) -> None:
    # In WAL mode pages are written at the commit, so a full disk is noticed there.
    before = mirror.everything()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    size = max(mirror.path.stat().st_size, Path(f"{mirror.path}-wal").stat().st_size)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100_000, limits[1]))
    try:
        with pytest.raises(StoreError, match="disk"):
            fill(mirror.db)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert mirror.everything() == before
    fill(mirror.db, 10)
    assert mirror.one("SELECT count(*) FROM telecmi_voicemails") == 10
    assert mirror.db.pragma("PRAGMA integrity_check") == [("ok",)]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a tiny disk")
def test_a_full_disk_is_reported_and_survived(tmp_path: Path, fresh_file: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("mounting is not allowed here")
    try:
        path = disk / "mirror.db"
        path.write_bytes(fresh_file.read_bytes())
        with Database(path) as db:
            with pytest.raises(StoreError, match="is full"):
                fill(db)
            with pytest.raises(StoreError, match="full"):
                copies.backup(db, _ballast(disk) / "copy.db")
            assert not (disk / "copy.db").exists() and not list(disk.glob("copy*"))
            (disk / "ballast").unlink()
            fill(db, 5)
            assert db.pragma("PRAGMA integrity_check") == [("ok",)]
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def _ballast(disk: Path) -> Path:
    free = os.statvfs(disk)
    (disk / "ballast").write_bytes(bytes(max(0, free.f_bavail * free.f_frsize - 20_000)))
    return disk


# -- errors in our own terms -------------------------------------------------------------------------


def every_sqlalchemy_error() -> list[type[SQLAlchemyError]]:
    found = {
        one
        for one in vars(sqlalchemy.exc).values()
        if isinstance(one, type) and issubclass(one, SQLAlchemyError)
    }
    return sorted(found, key=lambda one: one.__name__)


@pytest.mark.parametrize("kind", every_sqlalchemy_error(), ids=lambda kind: kind.__name__)
def test_every_error_of_sqlalchemy_becomes_ours_without_its_values(kind: type[SQLAlchemyError]) -> None:
    if issubclass(kind, DBAPIError):
        for original in (sqlite3.OperationalError, sqlite3.IntegrityError, sqlite3.DataError, Exception):
            error: SQLAlchemyError = kind(
                f"INSERT {SECRET}", {"x": SECRET}, original(f"read-only {SECRET} locked")
            )
            check_mapped(error)
        return
    error = kind.__new__(kind)
    Exception.__init__(error, f"statement with {SECRET}")
    check_mapped(error)


def check_mapped(error: SQLAlchemyError) -> None:
    mapped = map_error(error, Path("/somewhere/else/mirror.db"))
    assert type(mapped) in (StoreError, StoreBusyError, SchemaError)
    assert SECRET not in str(mapped) and "mirror.db" in str(mapped) and "somewhere" not in str(mapped)


@pytest.mark.parametrize(
    "name, kind, words",
    [
        ("SQLITE_BUSY", StoreBusyError, "held by another program"),
        ("SQLITE_BUSY_SNAPSHOT", StoreBusyError, "held by another program"),
        ("SQLITE_LOCKED_SHAREDCACHE", StoreBusyError, "held by another program"),
        ("SQLITE_FULL", StoreError, "is full"),
        ("SQLITE_IOERR_WRITE", StoreError, "check the disk"),
        ("SQLITE_READONLY_DIRECTORY", StoreError, "cannot be written"),
        ("SQLITE_CANTOPEN_ISDIR", StoreError, "cannot be opened"),
        ("SQLITE_PERM", StoreError, "cannot be written"),
        ("SQLITE_CORRUPT_INDEX", StoreError, "a second look finds it intact"),
        ("SQLITE_NOTADB", StoreError, "a second look finds it intact"),
        ("SQLITE_CORRUPT_VTAB", StoreError, "refused a statement"),  # a person's own search index
        ("SQLITE_TOOBIG", StoreError, "too long"),
        ("SQLITE_CONSTRAINT_UNIQUE", StoreError, "refused a statement"),
        ("SQLITE_CONSTRAINT_TRIGGER", StoreError, "refused a statement"),  # not one of our sentences
    ],
)
def test_every_code_of_sqlite_has_its_sentence(
    name: str, kind: type[Exception], words: str, mirror: Mirror
) -> None:
    original = sqlite3.OperationalError(SECRET)
    original.sqlite_errorcode, original.sqlite_errorname = getattr(sqlite3, name), name
    mapped = map_error(DBAPIError("", None, original), mirror.path)
    assert type(mapped) is kind and words in str(mapped)
    assert str(mapped).endswith(f"({name})") and SECRET not in str(mapped)


@pytest.mark.parametrize("failures", [1, 2, 3])
@pytest.mark.parametrize("name", ["SQLITE_IOERR_READ", "SQLITE_CORRUPT", "SQLITE_NOTADB"])
def test_a_reading_that_fails_once_is_done_again(tmp_path: Path, name: str, failures: int) -> None:
    left = failures

    def open_it() -> sqlite3.Connection:
        nonlocal left
        if left:
            left -= 1
            error = sqlite3.DatabaseError("disk I/O error")
            error.sqlite_errorcode = getattr(sqlite3, name)
            raise error
        return sqlite3.connect(tmp_path / "m.db")

    if failures < 3:
        sqlite_errors.opened(open_it).close()
    else:
        with pytest.raises(sqlite3.DatabaseError):
            sqlite_errors.opened(open_it)


def test_only_a_file_that_is_damaged_at_a_second_look_is_called_broken(mirror: Mirror) -> None:
    error = sqlite3.DatabaseError("database disk image is malformed")
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    assert type(sqlite_errors.of_sqlite(error, mirror.path)) is StoreError
    mirror.db.close()
    mirror.path.write_bytes(mirror.path.read_bytes()[:4096] + os.urandom(40_000))
    assert type(sqlite_errors.of_sqlite(error, mirror.path)) is SchemaError


def test_a_refusal_of_our_triggers_reaches_the_person(mirror: Mirror) -> None:
    mirror.contact()
    for statement, words in (
        ("UPDATE telecmi_contacts SET raw = 'x'", "editable are phone_no"),
        ("DELETE FROM contact_base", "contact_base is read-only"),
        ("DELETE FROM contacts", "contacts is read-only"),
    ):
        with pytest.raises(UsageError, match=words), mirror.db.edit() as conn:
            conn.exec_driver_sql(statement)
    with mirror.db.read() as conn:  # and the connection goes on
        assert conn.exec_driver_sql("SELECT count(*) FROM telecmi_contacts").scalar() == 1


def test_a_value_that_no_file_can_hold_is_refused(mirror: Mirror) -> None:
    mirror.contact()
    with pytest.raises(UsageError, match="not UTF-8 text"), mirror.db.edit() as conn:
        conn.exec_driver_sql("UPDATE telecmi_contacts SET company = ?", ("\udcff",))
    mirror.own("UPDATE telecmi_contacts SET company = 'X'")


def test_bytes_that_are_no_text_can_still_be_read(mirror: Mirror) -> None:
    row_id = mirror.contact()
    mirror.own(
        "UPDATE telecmi_contacts SET company = CAST(x'4dff6d' AS TEXT), job_title = 'a' || char(0) || 'b'"
    )
    with mirror.db.read() as conn:
        row = conn.exec_driver_sql("SELECT company, job_title FROM telecmi_contacts").one()
    assert tuple(row) == ("M\ufffdm", "a\x00b")
    assert row_id == 1


def test_closing_twice_is_no_error(mirror: Mirror) -> None:
    mirror.db.close()
    mirror.db.close()


# -- backups -----------------------------------------------------------------------------------------

WRITING = """
import sqlite3, sys
conn = sqlite3.connect(sys.argv[1], timeout=10)
print("writing", flush=True)
for n in range(200):
    conn.execute("UPDATE telecmi_contacts SET company = ?", (f"C{n}",))
    conn.commit()
"""


def test_a_backup_is_taken_while_others_write(mirror: Mirror, tmp_path: Path) -> None:
    for n in range(200):
        mirror.contact(f"9192000{n:05}", contact_id=f"c-{n}")
    child = subprocess.Popen([sys.executable, "-c", WRITING, str(mirror.path)], stdout=subprocess.PIPE)
    assert child.stdout is not None and child.stdout.readline() == b"writing\n"
    backups = [tmp_path / f"copy{n}.db" for n in range(3)]
    for copy in backups:
        copies.backup(mirror.db, copy)
    child.kill()
    child.wait()
    child.stdout.close()
    for copy in backups:
        assert mode(copy) == 0o600
        with Database(copy) as db:
            assert db.pragma("PRAGMA integrity_check") == [("ok",)] and migrations.upgrade(db) == []
            with db.read() as conn:  # one moment of it: no statement by half
                assert len(conn.exec_driver_sql("SELECT DISTINCT company FROM telecmi_contacts").all()) == 1
    assert not list(tmp_path.glob("*.part*"))


def test_a_backup_never_goes_over_a_file(mirror: Mirror, tmp_path: Path) -> None:
    there = tmp_path / "there.db"
    for content in (b"", b"precious"):
        there.write_bytes(content)
        with pytest.raises(StoreError, match="exists already"):
            copies.backup(mirror.db, there)
        assert there.read_bytes() == content
    with pytest.raises(StoreError, match="exists already"):
        copies.backup(mirror.db, mirror.path)
    (tmp_path / "link.db").symlink_to(tmp_path / "nowhere.db")
    with pytest.raises(StoreError, match="exists already"):
        copies.backup(mirror.db, tmp_path / "link.db")


@pytest.mark.parametrize(
    "name", ["it's.db", 'say "no".db', "per%cent.db", "blank name.db", "-dash.db", "आशा.db"]
)
def test_a_backup_may_have_any_name(mirror: Mirror, tmp_path: Path, name: str) -> None:
    mirror.contact()
    copies.backup(mirror.db, tmp_path / name)
    with Database(tmp_path / name) as db, db.read() as conn:
        assert conn.exec_driver_sql("SELECT count(*) FROM telecmi_contacts").scalar() == 1


def test_a_backup_into_a_missing_folder_is_reported(mirror: Mirror, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be written: there is no folder"):
        copies.backup(mirror.db, tmp_path / "none" / "copy.db")


def test_a_migration_is_preceded_by_a_backup(mirror: Mirror) -> None:
    mirror.contact()
    saved = migrations.backup_before_upgrade(mirror.db)
    assert saved is not None and saved.parent == mirror.path.parent and mode(saved) == 0o600
    with Database(saved) as db, db.read() as conn:
        assert conn.exec_driver_sql("SELECT first_seen_at FROM telecmi_contacts").scalar() == BEFORE


def left_open() -> int:
    """How many of SQLite's connections are still open: Python 3.13 warns if one is not closed."""
    found = [one for one in gc.get_objects() if isinstance(one, sqlite3.Connection)]
    return sum(1 for one in found if _is_open(one))


def _is_open(conn: sqlite3.Connection) -> bool:
    try:
        return conn.total_changes >= 0
    except sqlite3.ProgrammingError:
        return False


def test_every_connection_is_closed_and_none_only_forgotten(tmp_path: Path, fresh_file: Path) -> None:
    before = left_open()
    connection._dialect.cache_clear()
    with Database(fresh_file) as db, db.read() as conn:
        conn.exec_driver_sql("SELECT 1")
        assert left_open() == before + 1
    with ReadOnlyDatabase(fresh_file):
        assert left_open() == before + 1
    assert left_open() == before
    junk = tmp_path / "junk.db"
    junk.write_bytes(b"SQLite format 3\x00" + b"\xff" * 5000)
    for opened in (Database, ReadOnlyDatabase):
        with pytest.raises(StoreError) as kept, opened(junk) as db, db.read():
            db.data_version()
        assert left_open() == before, kept
