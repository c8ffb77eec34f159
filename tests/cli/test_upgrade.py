"""An upgrade in the middle of things: a newer version's migration over a mirror with a queue that waits.

The newer version is a copy of this one with one migration more, run as a process of its own.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from syncer.store.db.revision import HEAD, REVISIONS
from tests.cli.conftest import ROOT, Done, Syncer, Upstream

#: The revision after this version's.
NEXT = f"{int(HEAD) + 1:04}"

#: The two things that a migration may do: SQLite's own ALTER, and a recreated table, which takes all of its triggers
#: along without a word, and where foreign keys are on the rows that refer to it, too.
MIGRATION = """
from alembic import op

revision = "NEXT"
down_revision = "HEAD"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE sync_jobs ADD COLUMN tried TEXT")
    conn = op.get_bind()
    for table in ("telecmi_contacts", "telecmi_user_contacts", "held"):
        parts = "SELECT sql FROM sqlite_master WHERE tbl_name = ? AND type = ?"
        old = conn.exec_driver_sql(parts, (table, "table")).scalar()
        indexes = conn.exec_driver_sql(parts + " AND sql IS NOT NULL", (table, "index")).scalars().all()
        columns = ", ".join(row[1] for row in conn.exec_driver_sql(f"PRAGMA table_info({table})"))
        new = old.replace(f"CREATE TABLE {table} (", "CREATE TABLE made_anew (tried TEXT,", 1)
        assert new != old
        seq = conn.exec_driver_sql("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).scalar()
        op.execute(new)
        op.execute(f"INSERT INTO made_anew ({columns}) SELECT {columns} FROM {table}")
        op.execute(f"DROP TABLE {table}")
        op.execute(f"ALTER TABLE made_anew RENAME TO {table}")
        for index in indexes:
            op.execute(index)
        if seq is not None:
            op.execute(f"UPDATE sqlite_sequence SET seq = {seq} WHERE name = '{table}'")
    op.execute("UPDATE smartflo_contacts SET address = address")
"""


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    """The tree of the version that comes after this one."""
    tree = tmp_path / "newer"
    for name in ("syncer", "migrations"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    schema = tree / "syncer" / "store" / "db" / "revision.py"
    text = schema.read_text()
    text, lists = re.subn(r"^REVISIONS = .*$", f"REVISIONS = {(*REVISIONS, NEXT)}", text, flags=re.MULTILINE)
    assert lists == 1
    schema.write_text(text)
    script = MIGRATION.replace("NEXT", NEXT).replace("HEAD", HEAD)
    (tree / "migrations" / "versions" / f"{NEXT}_tried.py").write_text(script)
    return tree


def by(tree: Path, syncer: Syncer, *args: str) -> Done:
    """The command of another version."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("SYNCER_")}
    done = subprocess.run(
        [sys.executable, "-m", "syncer", "--config", str(syncer.config), *args],
        env=environ | {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=tree,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def contents(path: Path, *, without: str = "") -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table, without one column."""
    with closing(sqlite3.connect(path)) as conn:
        tables = [
            row[0] for row in conn.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY 1")
        ]
        out = {}
        for table in tables:
            columns = [row[1] for row in conn.execute(f"PRAGMA table_info({table})") if row[1] != without]
            out[table] = (
                conn.execute(f"SELECT {', '.join(columns)} FROM {table} ORDER BY 1, 2").fetchall()
                if len(columns) > 1
                else []
            )
    out["sqlite_sequence"] = [row for row in out["sqlite_sequence"] if row[1]]  # 0: a recreated table
    return out


def guards(path: Path) -> list[tuple[str, str]]:
    """Triggers, views and indexes word by word, except the two that know all columns of the contacts."""
    with closing(sqlite3.connect(path)) as conn:
        kinds = "type IN ('trigger', 'view', 'index') AND sql IS NOT NULL"
        kinds += " AND name NOT IN ('telecmi_contacts_after_delete', 'telecmi_contacts_kept_whole')"
        return conn.execute(f"SELECT name, sql FROM sqlite_master WHERE {kinds} ORDER BY 1").fetchall()


def in_the_middle_of_things(upstream: Upstream) -> None:
    """A queue with a change in each state that can wait, a hold, and triggers of a person's own."""
    world, syncer = upstream.world, upstream.syncer
    syncer.sql("UPDATE telecmi_contacts SET company = 'Conflict Here' WHERE id = 2")
    upstream.edit(2, company="Conflict There")
    syncer.sql("UPDATE telecmi_contacts SET last_name = '' WHERE id = 3")
    syncer.sql("DELETE FROM telecmi_contacts WHERE id = 4")
    syncer("sync")
    world.faults.add({"path": "/v3/contact/update", "kind": "http", "status": 503, "times": 99})
    syncer.sql("UPDATE telecmi_contacts SET company = 'Unknown Outcome' WHERE id = 5")
    syncer("sync", "telecmi-push")
    world.faults.clear()
    syncer.sql("UPDATE telecmi_contacts SET company = 'Still Queued' WHERE id = 6")
    syncer.sql(
        "INSERT INTO telecmi_contacts (phone_no, first_name, last_name) VALUES ('9200100001', 'Asha', 'Example')"
    )
    syncer.sql("CREATE TABLE my_log (id INTEGER)")
    syncer.sql(
        "CREATE TRIGGER my_trigger AFTER UPDATE ON telecmi_contacts BEGIN INSERT INTO my_log VALUES (new.id); END"
    )
    syncer.sql("CREATE VIEW my_view AS SELECT id, company FROM telecmi_contacts")


def test_an_upgrade_in_the_middle_of_things_loses_nothing(upstream: Upstream, newer: Path) -> None:
    in_the_middle_of_things(upstream)
    syncer = upstream.syncer
    states = dict(syncer.sql("SELECT state, count(*) FROM change_queue GROUP BY 1"))
    assert set(states) == {"conflict", "rejected", "held", "queued", "unknown"}, states
    before, guarded = contents(syncer.database), guards(syncer.database)

    done = by(newer, syncer, "db", "upgrade")
    assert done.code == 0, done.err
    assert f"A backup was taken first: mirror.db.before-{NEXT}-" in done.out

    after = contents(syncer.database, without="tried")
    assert after.pop("alembic_version") == before.pop("alembic_version") == []
    assert syncer.one("SELECT version_num FROM alembic_version") == NEXT
    assert after == before
    assert guards(syncer.database) == guarded
    last = "SELECT instr(sql, '\"tried\"') FROM sqlite_master WHERE name = 'telecmi_contacts_after_delete'"
    assert syncer.one(last) > 0
    assert syncer.sql("PRAGMA foreign_key_check") == [] and syncer.one("PRAGMA integrity_check") == "ok"
    assert by(newer, syncer, "db", "check").code == 0

    # The copy is what was there before, for its owner's eyes.
    [copy] = syncer.folder.glob(f"mirror.db.before-{NEXT}-*")
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert contents(copy) == before | {"alembic_version": []}

    # Edits are caught as before, and what waited goes out.
    syncer.sql("UPDATE telecmi_contacts SET company = 'After It' WHERE id = 7")
    assert syncer.one("SELECT state FROM change_queue WHERE contact_row = 7") == "queued"
    assert 7 in [row[0] for row in syncer.sql("SELECT id FROM my_log")]
    assert by(newer, syncer, "sync").code == 0
    for row, company in ((5, "Unknown Outcome"), (6, "Still Queued"), (7, "After It"), (2, "Conflict There")):
        assert upstream.contact(row)["company"] == company
    assert "9200100001" in {one.fields["phone_no"][-10:] for one in upstream.world.org().contacts.values()}
    left = dict(syncer.sql("SELECT state, count(*) FROM change_queue WHERE state != 'done' GROUP BY 1"))
    assert left == {state: states[state] for state in ("conflict", "rejected", "held")}

    # This version refuses what the newer one made, and takes the copy again.
    refused = syncer("sync")
    assert refused.code == 78 and "newer version" in refused.err
    shutil.copy(copy, syncer.database)
    for suffix in ("-wal", "-shm"):
        syncer.database.with_name(syncer.database.name + suffix).unlink(missing_ok=True)
    assert syncer("sync").code == 0
    assert upstream.contact(6)["company"] == "Still Queued"


def test_a_migration_that_breaks_references_is_taken_back(upstream: Upstream, newer: Path) -> None:
    script = newer / "migrations" / "versions" / f"{NEXT}_tried.py"
    script.write_text(script.read_text() + '    op.execute("DELETE FROM telecmi_contacts WHERE id = 6")\n')
    syncer = upstream.syncer
    syncer.sql("UPDATE telecmi_contacts SET company = 'Still Queued' WHERE id = 6")
    before, guarded = contents(syncer.database), guards(syncer.database)
    done = by(newer, syncer, "db", "upgrade")
    assert done.code != 0 and "points to a row" in done.err
    assert contents(syncer.database) == before and guards(syncer.database) == guarded
    assert syncer.one("SELECT version_num FROM alembic_version") == HEAD
    # Nothing happened, so there is nothing to go back to: a service that restarts forever fills no disk.
    assert list(syncer.folder.glob("mirror.db.before-*")) == []
