"""`db restore`: the documented procedure in one command."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.conftest import Syncer, Upstream


def kept(syncer: Syncer) -> list[Path]:
    found = syncer.folder.glob("mirror.db.replaced-*")
    return [path for path in found if not path.name.endswith(("-wal", "-shm"))]


def test_a_backup_is_put_in_place_and_what_was_there_is_kept(upstream: Upstream, tmp_path: Path) -> None:
    syncer, backup = upstream.syncer, tmp_path / "backup.db"
    syncer.ok("db", "backup", str(backup))
    syncer.sql("UPDATE telecmi_contacts SET company = 'Acme Example' WHERE id = 1")
    done = syncer.ok("db", "restore", str(backup))
    (old,) = kept(syncer)
    assert str(old) in done.out and "syncer sync" in done.out
    assert syncer.one("SELECT count(*) FROM change_queue") == 0
    assert backup.exists()
    syncer.ok("db", "check")
    assert "adopt" not in syncer.ok("status").out, "it is at home"
    syncer.ok("db", "restore", str(old))
    assert syncer.one("SELECT count(*) FROM change_queue WHERE state = 'queued'") == 1, "taken back"
    syncer.ok("sync")
    assert upstream.contact(1)["company"] == "Acme Example"


def test_not_while_a_daemon_or_a_sync_runs(syncer: Syncer, tmp_path: Path) -> None:
    backup = tmp_path / "backup.db"
    syncer.ok("db", "backup", str(backup))
    before = syncer.database.read_bytes()
    with syncer.daemon():
        done = syncer("db", "restore", str(backup))
    assert done.code == 75 and "the daemon (syncer run)" in done.err and "stop it first" in done.err
    assert syncer.database.read_bytes() == before and kept(syncer) == []
    syncer.ok("db", "restore", str(backup))


@pytest.mark.parametrize(
    "content, code",
    [(None, 2), (b"", 1), (b"not a database" * 100, 1)],
    ids=["missing", "empty", "no database"],
)
def test_a_wrong_file_changes_nothing(
    syncer: Syncer, tmp_path: Path, content: bytes | None, code: int
) -> None:
    wrong = tmp_path / "wrong.db"
    if content is not None:
        wrong.write_bytes(content)
    before = syncer.database.read_bytes()
    done = syncer("db", "restore", str(wrong))
    assert done.code == code and "wrong.db" in done.err and "Traceback" not in done.err
    assert syncer("db", "restore", str(syncer.database)).code == 1
    assert syncer.database.read_bytes() == before and kept(syncer) == []


def test_a_newer_versions_backup_is_refused(syncer: Syncer, tmp_path: Path) -> None:
    backup = tmp_path / "backup.db"
    syncer.ok("db", "backup", str(backup))
    with closing(sqlite3.connect(backup)) as conn, conn:
        conn.execute("UPDATE alembic_version SET version_num = '9999'")
    done = syncer("db", "restore", str(backup))
    assert done.code == 78 and "newer version" in done.err and kept(syncer) == []


def test_a_backup_of_another_machine_is_a_copy_here(upstream: Upstream, tmp_path: Path) -> None:
    syncer, backup = upstream.syncer, tmp_path / "backup.db"
    syncer.ok("sync")
    syncer.as_program("UPDATE home SET path = '/srv/mirror.db', machine = 'another'")
    syncer.ok("db", "backup", str(backup))
    syncer.ok("db", "adopt")
    assert "syncer db adopt" in syncer.ok("db", "restore", str(backup)).out


def test_a_restore_without_an_old_database(empty: Syncer, syncer: Syncer, tmp_path: Path) -> None:
    backup = tmp_path / "backup.db"
    syncer.ok("db", "backup", str(backup))
    done = empty.ok("db", "restore", str(backup))
    assert "kept" not in done.out
    assert empty.one("SELECT count(*) FROM telecmi_contacts") > 0


def test_what_a_killed_backup_left_is_cleared_at_the_next_start(syncer: Syncer) -> None:
    (syncer.folder / "backups").mkdir()
    left = [
        syncer.folder / "mirror.db.before-0001-20261121T052833Z.part-77",
        syncer.folder / "copy.db.syncer.part-77",
        syncer.folder / "backups" / "mirror-20261121T052833Z.db.part",
    ]
    for path in left:
        path.write_text("half")
    syncer.ok("sync", "telecmi-push")
    assert not any(path.exists() for path in left)
