"""The guard row: nobody else ever sees it set, and no crash leaves it so."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys

import pytest

from syncer.errors import SchemaError, StoreBusyError
from syncer.store.db import integrity, migrations
from syncer.store.write import edits
from tests.store.conftest import Mirror

#: A program that dies with everything written and nothing committed.
DYING = """
import os, sys
from pathlib import Path
from syncer.store.db.connection import Database

db = Database(Path(sys.argv[1]))
with db.write() as conn:
    conn.exec_driver_sql("UPDATE telecmi_contacts SET company = 'half'")
    conn.exec_driver_sql("PRAGMA cache_size = 1")  # spill into the -wal before the end
    for n in range(2000):
        conn.exec_driver_sql(
            "INSERT INTO telecmi_voicemails (account, voicename, raw) VALUES ('main', ?, ?)", (str(n), "x" * 900)
        )
    print(conn.exec_driver_sql("SELECT active FROM sync_guard").scalar(), flush=True)
    sys.stdin.read()
"""


def test_a_statement_that_a_persons_trigger_refuses_closes_the_guard(mirror: Mirror) -> None:
    row_id = mirror.contact()
    mirror.sql(
        "CREATE TRIGGER mine BEFORE UPDATE ON telecmi_contacts WHEN NEW.phone_e164 = '+919200077001' "
        "BEGIN SELECT RAISE(ABORT, 'no'); END"
    )
    with mirror.db.edit() as conn:
        with pytest.raises(sqlite3.IntegrityError, match="no"):
            edits.set_numbers(conn, [("+919200077001", row_id)])
        edits.edit_contact(conn, row_id, {"company": "Acme"})
    assert mirror.guard() == 0
    assert mirror.queue() == [(row_id, "update", "queued")]


def test_others_see_a_closed_guard_during_our_write(mirror: Mirror) -> None:
    row_id = mirror.contact()
    other = mirror.client(timeout=0)
    with mirror.db.write() as conn:
        conn.exec_driver_sql("UPDATE telecmi_contacts SET company = 'ours'")
        assert conn.exec_driver_sql("SELECT active FROM sync_guard").scalar() == 1
        assert other.execute("SELECT active FROM sync_guard").fetchone() == (0,)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("UPDATE telecmi_contacts SET company = 'theirs'")
    other.rollback()
    assert mirror.queue() == [] and mirror.guard() == 0
    other.execute("UPDATE telecmi_contacts SET company = 'theirs'")
    other.commit()
    other.close()
    assert mirror.queue() == [(row_id, "update", "queued")]


def test_an_error_in_our_write_rolls_everything_back(mirror: Mirror) -> None:
    mirror.contact()
    before = mirror.everything()
    with pytest.raises(ZeroDivisionError), mirror.db.write() as conn:
        print(conn.exec_driver_sql("UPDATE telecmi_contacts SET company = 'half'").rowcount / 0)
    assert mirror.everything() == before
    mirror.own("UPDATE telecmi_contacts SET company = 'whole'")


def test_a_killed_writer_leaves_nothing_behind(mirror: Mirror) -> None:
    row_id = mirror.contact()
    before = mirror.everything()
    child = subprocess.Popen(
        [sys.executable, "-c", DYING, str(mirror.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdout is not None and child.stdin is not None
    assert child.stdout.readline() == b"1\n"
    os.kill(child.pid, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    child.stdin.close()
    child.stdout.close()
    assert mirror.everything() == before and mirror.guard() == 0
    mirror.sql("UPDATE telecmi_contacts SET company = 'theirs'")
    assert mirror.queue() == [(row_id, "update", "queued")]
    assert mirror.db.pragma("PRAGMA integrity_check") == [("ok",)]


def test_a_guard_that_was_opened_by_hand_is_noticed_and_closed(mirror: Mirror) -> None:
    mirror.sql("UPDATE sync_guard SET active = 1")
    with mirror.db.read() as conn:
        assert any("guard" in finding for finding in integrity.guard_problems(conn))
    assert migrations.heal(mirror.db) == ["the write guard was open: closed"]
    assert mirror.guard() == 0 and migrations.heal(mirror.db) == []


def test_a_guard_that_was_removed_is_put_back_above_all_that_was_agreed(mirror: Mirror) -> None:
    mirror.contact()
    mirror.own("UPDATE contact_base SET touched = 7")
    mirror.sql("DROP TRIGGER sync_guard_read_only_delete")
    mirror.sql("DELETE FROM sync_guard")
    with pytest.raises(SchemaError, match="db upgrade"):
        mirror.own("UPDATE telecmi_contacts SET company = 'x'")
    assert migrations.heal(mirror.db) == [
        "put back: sync_guard_read_only_delete",
        "put back: the write guard",
    ]
    assert mirror.sql("SELECT * FROM sync_guard") == [(1, 0, 8)]


def test_our_write_waits_its_time_for_another_writer_and_says_so(mirror: Mirror) -> None:
    mirror.contact()
    other = mirror.client()
    other.execute("UPDATE telecmi_contacts SET company = 'theirs'")
    for enter in (mirror.db.write, mirror.db.edit):
        with pytest.raises(StoreBusyError, match="try again"), enter():
            pytest.fail("entered while another program writes")
    with mirror.db.read() as conn:  # reading is always possible
        assert conn.exec_driver_sql("SELECT company FROM telecmi_contacts").scalar() is None
    other.commit()
    other.close()
    mirror.own("UPDATE telecmi_contacts SET company = 'ours'")


def test_what_is_read_is_one_snapshot_and_stays_unwritten(mirror: Mirror) -> None:
    mirror.contact()
    with mirror.db.read() as conn:
        assert conn.exec_driver_sql("SELECT count(*) FROM change_queue").scalar() == 0
        mirror.sql("UPDATE telecmi_contacts SET company = 'X'")
        assert conn.exec_driver_sql("SELECT count(*) FROM change_queue").scalar() == 0
    with mirror.db.read() as conn:
        assert conn.exec_driver_sql("SELECT count(*) FROM change_queue").scalar() == 1
        conn.exec_driver_sql("UPDATE telecmi_contacts SET company = 'Y'")
    assert mirror.row(1)["company"] == "X"


def test_data_version_tells_of_others_commits_alone(mirror: Mirror) -> None:
    mirror.contact()
    before = mirror.db.data_version()
    mirror.own("UPDATE telecmi_contacts SET company = 'ours'")
    assert mirror.db.data_version() == before
    mirror.sql("UPDATE telecmi_contacts SET company = 'theirs'")
    assert mirror.db.data_version() != before
