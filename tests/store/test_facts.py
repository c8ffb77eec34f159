"""What `status` knows of the vendors and of its own proof."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from syncer.store.read import coverage
from syncer.sync import proof, registry
from tests.office import NOON, Office


@pytest.fixture
def pulled(tmp_path: Path) -> Office:
    office = Office(tmp_path)
    for hours in (1, 30, 60):
        at = int((NOON - timedelta(hours=hours)).timestamp() * 1000)
        office.world.voicemail_insert(at, "919200000001", shift_ms=19_800_000)
    office.run()
    return office


def load(office: Office) -> dict[tuple[str, str], coverage.Facts]:
    return office.read(coverage.load, proof.wanted(registry.specs(office.settings), office.clock.now()))


def test_the_vendors_time_shift_is_measured_from_the_file_names(pulled: Office) -> None:
    found = load(pulled)["telecmi-voicemails", "main"]
    assert found.time_shift_minutes == 330
    assert any("330 minutes ahead" in note for note in found.notes)


def test_the_span_that_was_read_whole_has_no_gap(pulled: Office) -> None:
    found = load(pulled)["telecmi-voicemails", "main"]
    assert found.gaps == []
    assert found.covered_from is not None
    assert found.covered_from.startswith("2026-10-22")
    assert found.covered_to is not None
    assert found.covered_to >= "2026-11-21T11:59"


def test_the_certificate_of_the_last_listing_is_there(pulled: Office) -> None:
    listing = load(pulled)["telecmi-contacts", "main"].listing
    assert listing is not None
    assert listing["verdict"] == "complete"


def test_quiet_cycles_count_no_violation(pulled: Office) -> None:
    for _ in range(4):
        pulled.run()
    assert all(one.quiescence_violations == 0 for one in load(pulled).values())


@pytest.mark.parametrize(
    "job, table",
    [
        ("telecmi-contacts", "telecmi_contacts"),
        ("telecmi-user-contacts", "telecmi_user_contacts"),
        ("telecmi-voicemails", "telecmi_voicemails"),
        ("smartflo-contacts", "smartflo_contacts"),
        ("smartflo-contacts", "smartflo_contact_groups"),
    ],
)
def test_a_cycle_that_writes_for_nothing_is_counted(pulled: Office, job: str, table: str) -> None:
    world = pulled.world
    world.contact_insert({"phone_no": "919200000009", "first_name": "Asha", "last_name": "Rao"})
    world.user_contact_upsert("9200000009", {"name": "Asha Rao"})
    world.smartflo_upsert(1, {"phone_number": "+919200000009", "name": "Asha Rao"})
    world.group_upsert(1)
    for _ in range(2):
        pulled.run(job, full=True)
    with pulled.db.write() as conn:  # as a bug of ours would: rows change with nothing in the log
        conn.exec_driver_sql(f"UPDATE {table} SET raw = '{{}}'")
    pulled.run(job, full=True)
    assert load(pulled)[job, "main"].quiescence_violations == 1
    pulled.run(job, full=True)
    assert load(pulled)[job, "main"].quiescence_violations == 1
    world.user_contact_upsert("9200000009", {"name": "Asha Rao Iyer"})
    world.smartflo_upsert(1, {"name": "Asha Rao Iyer"})
    world.voicemail_insert(round(world.now() * 1000), 919_200_000_009)
    pulled.run(job, full=True)
    assert load(pulled)[job, "main"].quiescence_violations == 1, "upstream changed"


def test_rows_of_the_users_list_that_are_written_for_nothing_are_counted(pulled: Office) -> None:
    pulled.world.user_contact_upsert("9200000009", {"name": "Asha Rao"})
    for _ in range(2):
        pulled.run("telecmi-contacts", "telecmi-user-contacts")
    with pulled.db.write() as conn:
        conn.exec_driver_sql("DELETE FROM contact_base")
        conn.exec_driver_sql("DELETE FROM telecmi_contacts")
    pulled.run("telecmi-user-contacts")
    assert load(pulled)["telecmi-user-contacts", "main"].quiescence_violations == 1


def health(office: Office, job: str, *columns: str) -> tuple[Any, ...]:
    """Columns of `sync_health` as any client reads them, one that trusts no schema too."""
    conn = sqlite3.connect(office.path)
    try:
        conn.execute("PRAGMA trusted_schema = OFF")
        row = conn.execute(f"SELECT {', '.join(columns)} FROM sync_health WHERE job = ?", (job,)).fetchone()
    finally:
        conn.close()
    return tuple(row)


def test_sync_health_says_what_each_job_knows(pulled: Office) -> None:
    assert health(pulled, "telecmi-contacts", "complete", "set_aside", "held", "unknown") == (1, 0, 0, 0)
    assert health(pulled, "telecmi-voicemails", "complete", "time_shift_minutes") == (1, 330)
    assert health(pulled, "telecmi-push", "complete", "unknown") == (None, 0)
    assert health(pulled, "smartflo-contacts", "complete", "updated_after_honoured") == (1, None)


def test_sync_health_says_what_is_wrong(pulled: Office) -> None:
    world = pulled.world
    for n in range(9):
        world.user_contact_upsert(f"930000000{n}", {"name": f"Ravi Iyer {n}"})
    world.settings.change({"smartflo.page_cap": 2, "smartflo.order": "shuffled"})
    for n in range(20):
        world.smartflo_upsert(n + 1, {"phone_number": f"+9194000000{n:02d}", "name": "Meera Nair"})
    pulled.run(full=True)
    world.user().contacts[:] = [{"mobile": None, "name": "Odd", "time": 1}]
    pulled.sql("UPDATE sync_guard SET active = 1")
    pulled.sql(
        "INSERT INTO change_queue (account, contact_row, operation, state, created_at) "
        "SELECT 'main', id, 'update', 'unknown', '2026-11-21T12:00:00.000Z' FROM telecmi_contacts LIMIT 1"
    )
    pulled.sql("UPDATE sync_guard SET active = 0")
    pulled.run("telecmi-user-contacts", "smartflo-contacts", full=True)
    assert health(pulled, "telecmi-user-contacts", "set_aside", "complete") == (1, 0)
    assert health(pulled, "smartflo-contacts", "complete") == (0,)
    assert health(pulled, "telecmi-push", "unknown") == (1,)
    world.user().contacts.clear()
    pulled.run("telecmi-user-contacts")
    assert health(pulled, "telecmi-user-contacts", "held", "set_aside") == (9, 1)


@pytest.mark.parametrize("honoured", [True, False])
def test_whether_updated_after_is_honoured_is_learned(pulled: Office, honoured: bool) -> None:
    pulled.world.settings.change({"smartflo.updated_after_honoured": honoured})
    for n in range(4):
        pulled.world.smartflo_upsert(n + 1, {"phone_number": f"+919400000{n:03d}", "name": "Meera Nair"})
    pulled.run("smartflo-contacts", full=True)
    pulled.clock.pass_(hours=8)
    for _ in range(3):
        pulled.clock.pass_(hours=1)
        pulled.world.smartflo_upsert(9, {"phone_number": "+919400000009", "name": "Meera Nair"})
        pulled.run("smartflo-contacts")
    assert health(pulled, "smartflo-contacts", "updated_after_honoured") == (int(honoured),)
    assert load(pulled)["smartflo-contacts", "main"].updated_after_honoured is honoured


def test_a_dead_daemon_turns_stale_by_itself(pulled: Office) -> None:
    """Nobody writes a word: the view is computed when it is read."""
    pulled.sql("UPDATE sync_guard SET active = 1")
    now = datetime.now(UTC)
    for minutes, stale in ((44, 0), (46, 1)):
        at = (now - timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        pulled.sql("UPDATE sync_jobs SET last_ok_at = ? WHERE job = 'telecmi-contacts'", at)
        assert health(pulled, "telecmi-contacts", "stale") == (stale,)


def test_what_is_not_read_yet_is_a_gap(pulled: Office) -> None:
    """Three weeks of outage, and a `since` that was moved back: both are reported, with their length."""

    job = ("telecmi-voicemails", "main")

    def ask(since_days: int, later_days: float = 0) -> coverage.Facts:
        now = int((NOON + timedelta(days=later_days)).timestamp() * 1000)
        since = int((NOON - timedelta(days=since_days)).timestamp() * 1000)
        with pulled.db.read() as conn:
            wanted = coverage.Wanted(("telecmi_voicemails",), since, now, 300)
            return coverage.load(conn, {job: wanted})[job]

    assert (ask(30).gaps, ask(30).unread_s) == ([], 0)
    assert ask(30, later_days=0.01).gaps == [], "one run is not an outage"
    later = ask(30, later_days=21)
    assert [gap[1][:10] for gap in later.gaps] == ["2026-12-12"]
    assert abs(later.unread_s - 21 * 86_400) < 60
    assert [gap[0][:10] for gap in ask(40).gaps] == ["2026-10-12"]
