"""What waits for a person: named by the log once, by systemd's status line and by `/healthz` while it lasts."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from syncer.config import Settings
from syncer.store.db.connection import Database
from syncer.store.read import attention
from syncer.sync.open_database import open_database
from tests.daemon.conftest import Daemon, Manager, Sandbox, until

NOW = "2026-11-21T09:30:00.000Z"


@pytest.fixture
def db(settings: Settings) -> Any:
    made = open_database(settings)
    yield made
    made.close()


def change(db: Database, state: str, *, times: int = 1) -> None:
    """Changes of a contact in this state."""
    with db.write() as conn:
        conn.exec_driver_sql(
            "INSERT OR IGNORE INTO telecmi_contacts (id, account, phone_no, last_name) VALUES (1, 'main', '1', 'Example')"
        )
        for _ in range(times):
            conn.exec_driver_sql(
                "INSERT INTO change_queue (account, contact_row, operation, state, created_at) "
                f"VALUES ('main', 1, 'update', '{state}', '{NOW}')"
            )


def run(db: Database, *statements: str) -> None:
    with db.write() as conn:
        for statement in statements:
            conn.exec_driver_sql(statement)


HOLD = (
    "INSERT INTO held (job, account, reason, rows, created_at) "
    f"VALUES ('smartflo-contacts', 'main', 'of a test', 7, '{NOW}')"
)
ASIDE = (
    "INSERT INTO set_aside (job, account, digest, reason, raw, first_seen_at, last_seen_at) "
    f"VALUES ('telecmi-contacts', 'main', 'd', 'of a test', '{{}}', '{NOW}', '{NOW}')"
)
PAUSED = "UPDATE sync_jobs SET paused_until = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '+1 hour') WHERE job = 'telecmi-contacts'"


@pytest.mark.parametrize(
    ("prepare", "sentence"),
    [
        (lambda db: change(db, "conflict"), "telecmi.main: 1 conflict (1)"),
        (lambda db: change(db, "rejected", times=2), "telecmi.main: 2 rejected changes (1, 2)"),
        (lambda db: change(db, "held", times=7), "telecmi.main: 7 held deletes (1, 2, 3, 4, 5, ...)"),
        (lambda db: run(db, HOLD), "smartflo.main: 1 held listing (1)"),
        (lambda db: run(db, ASIDE), "telecmi.main: 1 row that could not be read"),
        (lambda db: run(db, PAUSED), "telecmi.main: 1 job paused: credentials refused"),
        (lambda db: [change(db, s) for s in ("queued", "sending", "unknown", "done", "discarded")], None),
        (lambda db: run(db, HOLD, f"UPDATE held SET decided_at = '{NOW}', decision = 'approved'"), None),
        (lambda db: run(db, PAUSED, "UPDATE sync_jobs SET enabled = 0"), None),
        (lambda db: run(db, PAUSED.replace("+1 hour", "+60 days")), None),  # by a clock that was ahead
    ],
)
def test_what_waits_for_a_person_is_one_sentence(db: Database, prepare: Any, sentence: str | None) -> None:
    prepare(db)
    with db.read() as conn:
        assert [str(one) for one in attention.load(conn)] == ([sentence] if sentence else [])


def reported(db: Database) -> tuple[list[str], list[str]]:
    with db.write() as conn:
        begun, ended = attention.report(conn, NOW)
        assert not attention.has_news(conn)
    return [str(one) for one in begun], [str(one) for one in ended]


def test_each_thing_is_reported_when_it_begins_and_when_it_ends(db: Database) -> None:
    assert reported(db) == ([], [])
    change(db, "conflict")
    run(db, HOLD)
    with db.read() as conn:
        assert attention.has_news(conn)
    assert reported(db) == (["telecmi.main: 1 conflict (1)", "smartflo.main: 1 held listing (1)"], [])
    assert reported(db) == ([], [])
    change(db, "conflict")
    assert reported(db) == (["telecmi.main: 1 conflict (2)"], [])
    run(db, "UPDATE change_queue SET state = 'queued' WHERE id = 1")
    assert reported(db) == ([], ["telecmi.main: 1 conflict (1)"])
    # The same change again: a new beginning. Another kind of trouble: one, too.
    run(db, "UPDATE change_queue SET state = 'conflict' WHERE id = 1")
    assert reported(db) == (["telecmi.main: 1 conflict (1)"], [])
    run(db, "UPDATE change_queue SET state = 'rejected' WHERE id = 1")
    assert reported(db) == (["telecmi.main: 1 rejected change (1)"], ["telecmi.main: 1 conflict (1)"])


def healthz(port: int) -> httpx.Response:
    return httpx.get(f"http://127.0.0.1:{port}/healthz")


def test_the_daemon_names_what_waits_once_and_again_after_no_restart(
    daemon: Daemon, sandbox: Sandbox, manager: Manager
) -> None:
    port = daemon.serve()
    process = daemon.start(NOTIFY_SOCKET=manager.address)
    until(lambda: manager.heard("STATUS=all 5 jobs are healthy"), "a first round")
    assert healthz(port).json()["attention"] == []
    contact = daemon.query("SELECT contact_id FROM telecmi_contacts WHERE id = 2")[0][0]
    sandbox.edit(op="contact.update", contact_id=contact, company="Upstream Example")
    daemon.edit("UPDATE telecmi_contacts SET company = 'Local Example' WHERE id = 2")
    daemon.edit("UPDATE telecmi_contacts SET last_name = '' WHERE id = 3")
    daemon.edit("DELETE FROM telecmi_contacts WHERE id = 4")
    expected = [
        "telecmi.main: 1 conflict (1)",
        "telecmi.main: 1 rejected change (2)",
        "telecmi.main: 1 held delete (3)",
    ]
    until(
        lambda: sorted(one["what"] for one in daemon.said("waits for a person")) == sorted(expected), "logged"
    )
    assert {one["level"] for one in daemon.said("waits for a person")} == {"warning"}
    status = f"STATUS=all 5 jobs are healthy; for you to settle: {'; '.join(expected)}"
    until(lambda: status in manager.heard("STATUS="), "the status line")
    page = healthz(port)
    assert page.status_code == 200 and page.json()["status"] == "ok"
    assert page.json()["attention"] == [f"{one}: syncer queue list" for one in expected]
    names = {
        word
        for one in daemon.query("SELECT first_name, phone_no FROM telecmi_contacts WHERE id < 5")
        for word in one
    }
    for secret in (*names, "Upstream Example", "Local Example"):
        assert secret and secret not in daemon.text() + page.text

    assert daemon.end(process)[0] == 0
    process = daemon.start(NOTIFY_SOCKET=manager.address)
    until(lambda: manager.heard("STATUS=").count(status) > 1, "the status line of the second start")
    assert len(daemon.said("waits for a person")) == 3
    daemon.edit("UPDATE telecmi_contacts SET last_name = 'Example' WHERE id = 3")
    until(lambda: daemon.said("no longer waits for a person"), "the end of one")
    assert len(healthz(port).json()["attention"]) == 2
    assert daemon.end(process)[0] == 0


def test_a_maintenance_task_that_fails_is_named_and_leaves_the_daemon_well(daemon: Daemon) -> None:
    (daemon.folder / "backups").write_text("a file where the folder should be")
    port = daemon.serve('[backup]\nenabled = true\npath = "backups"\n')
    process = daemon.start()
    until(lambda: daemon.said("the backup failed"), "a backup that fails")
    daemon.wait_for_first_round()
    page = healthz(port)
    assert page.status_code == 200
    [one] = page.json()["attention"]
    assert one.startswith("the backup failed: backups cannot be written")
    assert daemon.end(process)[0] == 0


def test_the_health_page_names_a_table_that_was_changed(daemon: Daemon) -> None:
    port = daemon.serve()
    process = daemon.start()
    daemon.wait_for_first_round()
    assert healthz(port).status_code == 200
    daemon.edit("ALTER TABLE telecmi_contacts RENAME COLUMN company TO firm")
    page = healthz(port)
    assert page.status_code == 503 and "the column company is missing" in page.json()["reasons"][0]
    daemon.edit("ALTER TABLE telecmi_contacts RENAME COLUMN firm TO company")
    until(lambda: healthz(port).status_code == 200, "all is well again")
    daemon.edit("ALTER TABLE telecmi_contacts RENAME COLUMN company TO firm")
    assert daemon.end(process)[0] == 0
    assert daemon.start().wait(15) == 78
    assert "fixes it; else restore a backup" in daemon.text()
