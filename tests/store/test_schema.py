"""The schema over time: fresh files, two at once, what is put back, and what is turned away."""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from syncer.errors import SchemaError
from syncer.store.db import integrity, migrations, revision, triggers, views
from syncer.store.db.connection import Database
from tests.store.conftest import Mirror


def written(path: Path) -> dict[str, str]:
    """Every object of a file as it was written, blanks aside; and every row, since an empty file has few."""
    conn = sqlite3.connect(path)
    out = {
        name: re.sub(r"\s+", " ", sql).strip()
        for name, sql in conn.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    }
    tables = [name for (name,) in conn.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    rows = {f"rows of {name}": repr(conn.execute(f"SELECT * FROM {name}").fetchall()) for name in tables}
    pragmas = ("page_size", "journal_mode", "application_id", "user_version", "encoding", "auto_vacuum")
    rows |= {name: repr(conn.execute(f"PRAGMA {name}").fetchall()) for name in pragmas}
    conn.close()
    return out | rows


def test_a_new_database_equals_a_migrated_one(tmp_path: Path) -> None:
    with Database(tmp_path / "new.db") as db, db.edit() as conn:
        migrations.create(conn)
    with Database(tmp_path / "migrated.db") as db:
        with db.edit() as conn:
            migrations.migrate(conn)
        migrations.heal(db)
    new, migrated = written(tmp_path / "new.db"), written(tmp_path / "migrated.db")
    # A trigger knows how long the text of its table is, and that has other blanks.
    for one in (new, migrated):
        one["telecmi_contacts_kept_whole"] = re.sub(r"<> \d+ ", "", one["telecmi_contacts_kept_whole"])
    # Alembic names the constraint of its own table.
    assert "CONSTRAINT alembic_version_pkc" in migrated.pop("alembic_version") and new.pop("alembic_version")
    assert new == migrated
    assert sum(sql.startswith("CREATE TRIGGER") for sql in new.values()) > 60


def test_the_revisions_are_the_files() -> None:
    folder = migrations.migrations_folder() / "versions"
    found = {
        match[1]
        for path in folder.glob("*.py")
        if (match := re.search(r'^revision = "(.+)"', path.read_text(), re.M))
    }
    assert sorted(found) == list(revision.REVISIONS)


def test_a_fresh_file_is_whole(fresh_file: Path, tmp_path: Path) -> None:
    shutil.copy(fresh_file, tmp_path / "m.db")
    with Database(tmp_path / "m.db") as db:
        assert revision.is_current(db)
        assert integrity.integrity_problems(db) == []
        assert db.pragma("PRAGMA journal_mode") == [("wal",)]
        with db.read() as conn:
            assert triggers.missing(conn) == [] and views.missing(conn) == []


def test_upgrading_again_is_quiet_and_writes_nothing(mirror: Mirror) -> None:
    version = mirror.client()
    before = version.execute("PRAGMA data_version").fetchone()
    stood = mirror.path.read_bytes(), Path(f"{mirror.path}-wal").read_bytes()
    assert migrations.upgrade(mirror.db) == []
    assert version.execute("PRAGMA data_version").fetchone() == before
    assert (mirror.path.read_bytes(), Path(f"{mirror.path}-wal").read_bytes()) == stood
    version.close()


STARTING = """
import sys
from pathlib import Path
from syncer.store.db import migrations
from syncer.store.db.connection import Database

sys.stdin.readline()
with Database(Path(sys.argv[1])) as db:
    print(len(migrations.upgrade(db)))
"""


def test_processes_that_start_at_once_on_a_fresh_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "mirror.db"
    children = [
        subprocess.Popen(
            [sys.executable, "-c", STARTING, str(path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(3)
    ]  # fmt: skip
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    ends = [child.communicate() for child in children]
    assert [child.returncode for child in children] == [0] * 3, ends
    assert sorted(out.strip() for out, _ in ends) == ["0", "0", "1"]
    with Database(path) as db:
        assert integrity.integrity_problems(db) == []


# -- what is put back --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["telecmi_contacts_after_update", "held_read_only_delete", "contacts_read_only_update"]
)
def test_a_lost_trigger_is_put_back_and_named(mirror: Mirror, name: str) -> None:
    mirror.sql(f"DROP TRIGGER {name}")
    with mirror.db.read() as conn:
        assert any(name in finding for finding in integrity.guard_problems(conn))
    assert migrations.upgrade(mirror.db) == [f"put back: {name}"]
    assert migrations.upgrade(mirror.db) == []


def test_all_triggers_and_views_are_put_back(mirror: Mirror) -> None:
    names = [*views.expected(), *triggers.expected()]
    for name in triggers.expected():
        mirror.sql(f"DROP TRIGGER {name}")
    for name in views.expected():
        mirror.sql(f"DROP VIEW {name}")
    assert migrations.heal(mirror.db) == [f"put back: {name}" for name in names]
    row_id = mirror.contact()
    mirror.sql("UPDATE telecmi_contacts SET company = 'X'")
    assert mirror.queue() == [(row_id, "update", "queued")]


def test_altered_ones_are_put_back(mirror: Mirror) -> None:
    mirror.sql("DROP TRIGGER telecmi_contacts_before_update")
    mirror.sql(
        "CREATE TRIGGER telecmi_contacts_before_update BEFORE UPDATE ON telecmi_contacts BEGIN SELECT 1; END"
    )
    mirror.sql("DROP VIEW voicemails")
    mirror.sql("CREATE VIEW voicemails AS SELECT 1 AS id")
    assert set(migrations.heal(mirror.db)) >= {
        "put back: telecmi_contacts_before_update",
        "put back: voicemails",
    }
    mirror.contact()
    assert "read-only" in mirror.refused("UPDATE telecmi_contacts SET raw = 'x'")
    with mirror.db.read() as conn:
        assert integrity.guard_problems(conn) == []


def test_what_people_added_themselves_stays(mirror: Mirror) -> None:
    mirror.sql("CREATE VIEW buyers AS SELECT * FROM contacts WHERE company IS NOT NULL")
    mirror.sql("CREATE TABLE my_notes (id INTEGER PRIMARY KEY, text)")
    mirror.sql("DROP VIEW contacts")
    migrations.upgrade(mirror.db)
    assert mirror.sql("SELECT * FROM buyers") == [] and mirror.sql("SELECT * FROM my_notes") == []


def test_a_lost_table_is_reported_and_not_created_again(mirror: Mirror) -> None:
    mirror.sql("DROP TABLE sync_guard")
    with pytest.raises(SchemaError, match="the table sync_guard is missing: restore a backup"):
        migrations.upgrade(mirror.db)


# -- what is turned away -----------------------------------------------------------------------------


def test_a_database_from_a_newer_version_is_refused_and_left_alone(mirror: Mirror) -> None:
    mirror.sql("UPDATE alembic_version SET version_num = '0099'")
    before = mirror.everything()
    for act in (migrations.upgrade, revision.is_current):
        with pytest.raises(SchemaError, match="newer version"):
            act(mirror.db)
    assert mirror.everything() == before


@pytest.mark.parametrize(
    "statement, name",
    [
        ("CREATE TABLE telecmi_contacts (x)", "telecmi_contacts"),
        ("CREATE TABLE Contacts (x)", "contacts"),
        ("CREATE VIEW held AS SELECT 1 AS x", "held"),
        ("CREATE TABLE alembic_version (version_num)", "alembic_version"),
    ],
)
def test_somebody_elses_database_is_refused_and_left_alone(tmp_path: Path, statement: str, name: str) -> None:
    path = tmp_path / "theirs.db"
    conn = sqlite3.connect(path)
    conn.execute(statement)
    conn.commit()
    before = conn.execute("SELECT * FROM sqlite_master").fetchall()
    with Database(path) as db, pytest.raises(SchemaError, match=f"{name} that syncer did not make"):
        migrations.upgrade(db)
    assert conn.execute("SELECT * FROM sqlite_master").fetchall() == before
    conn.close()


def test_a_table_in_the_place_of_a_view_is_reported(mirror: Mirror) -> None:
    mirror.sql("DROP VIEW contacts")
    mirror.sql("CREATE TABLE contacts (x)")
    with pytest.raises(SchemaError, match="a table contacts that syncer did not make: rename or drop it"):
        migrations.upgrade(mirror.db)


def test_an_upgrade_that_fails_leaves_the_file_empty(tmp_path: Path) -> None:
    path = tmp_path / "m.db"
    conn = sqlite3.connect(path)
    # What the first migration makes last: an index that somebody took the name of.
    conn.execute("CREATE TABLE mine (x)")
    conn.execute("CREATE INDEX telecmi_notes_contact ON mine (x)")
    conn.commit()
    with Database(path) as db, pytest.raises(Exception, match="refused a statement"):
        migrations.upgrade(db)
    assert {row[0] for row in conn.execute("SELECT name FROM sqlite_master")} == {
        "mine",
        "telecmi_notes_contact",
    }
    conn.close()
