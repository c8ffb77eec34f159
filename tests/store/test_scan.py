"""The scan: what it finds when a trigger was lost, and that it leaves a sound mirror alone."""

from __future__ import annotations

import pytest

from syncer.store.db import migrations, triggers
from syncer.store.write import scan
from syncer.store.write.contacts import Policy
from syncer.store.write.scan import ScanResult
from tests.store.conftest import BEFORE, Mirror

POLICY = Policy("main", "IN", "ask")
NOW = "2026-11-21T12:00:00.000Z"


def run(mirror: Mirror, *, only_account: bool = True) -> ScanResult:
    """Heal and scan, as at a start; a second scan must find nothing more."""
    migrations.heal(mirror.db)
    needed = mirror.read(scan.needed, POLICY, only_account=only_account)
    found = mirror.write(scan.scan, POLICY, NOW, only_account=only_account)
    assert needed or not found, "the scan mended what the look before it did not see"
    before = mirror.everything()
    assert mirror.write(scan.scan, POLICY, NOW, only_account=only_account) == ScanResult()
    assert mirror.everything() == before
    return found


@pytest.fixture
def unguarded(mirror: Mirror) -> Mirror:
    """A mirror whose triggers somebody dropped."""
    for name in triggers.expected():
        mirror.sql(f"DROP TRIGGER {name}")
    return mirror


def test_a_sound_mirror_is_left_alone(mirror: Mirror) -> None:
    mirror.contact()
    mirror.contact("919200000002", contact_id="c-2", deleted_at=BEFORE, source="gone")
    mirror.sql("UPDATE telecmi_contacts SET company = 'X'")  # caught by its trigger
    mirror.sql("INSERT INTO telecmi_contacts (phone_no, last_name) VALUES ('919200000003', 'Rao')")
    mirror.sql("DELETE FROM telecmi_contacts WHERE id = 1")
    mirror.own("UPDATE telecmi_contacts SET phone_e164 = '+919200000003' WHERE id = 3")
    before = mirror.everything()
    assert run(mirror) == ScanResult()
    assert mirror.everything() == before


def test_an_edit_that_no_trigger_caught(unguarded: Mirror) -> None:
    row_id = unguarded.contact()
    unguarded.sql("UPDATE telecmi_contacts SET company = 'X'")
    assert run(unguarded) == ScanResult(edits=1)
    assert unguarded.queue() == [(row_id, "update", "queued")]
    assert unguarded.log() == [(row_id, "update", "company", None, "X", "local")]
    assert unguarded.one("SELECT found_by FROM change_queue") == "scan"
    assert unguarded.row(row_id)["last_changed_at"] == NOW


def test_an_edit_that_no_trigger_caught_of_a_field_that_the_log_speaks_of(mirror: Mirror) -> None:
    row_id = mirror.contact()
    mirror.sql("UPDATE telecmi_contacts SET company = 'X'")
    for name in triggers.expected():
        mirror.sql(f"DROP TRIGGER {name}")
    mirror.sql("UPDATE telecmi_contacts SET company = 'Y'")
    assert run(mirror) == ScanResult(edits=1)
    assert mirror.queue() == [(row_id, "update", "queued")]
    assert [entry[3:5] for entry in mirror.log()] == [(None, "X"), (None, "Y")]


def test_an_insert_that_no_trigger_caught(unguarded: Mirror) -> None:
    unguarded.sql("INSERT INTO telecmi_contacts (phone_no, last_name) VALUES ('9200000005', 'Rao')")
    assert run(unguarded) == ScanResult(inserts=1)
    row = unguarded.row(1)
    assert row["account"] == "main" and row["phone_e164"] == "+919200000005" and row["first_seen_at"] == NOW
    assert unguarded.queue() == [(1, "add", "queued")] and unguarded.log()[0][1] == "insert"


def test_a_delete_that_no_trigger_caught_is_held_whatever_the_config_says(unguarded: Mirror) -> None:
    unguarded.accounts(("main", True, True))
    row_id = unguarded.contact(company="X")
    unguarded.sql("DELETE FROM telecmi_contacts")
    assert run(unguarded) == ScanResult(deletes=1)
    row = unguarded.row(row_id)
    assert row["deleted_at"] == NOW and row["company"] == "X" and row["contact_id"] == "c-1"
    assert unguarded.queue() == [(row_id, "delete", "held")]


def test_a_tombstone_that_no_trigger_made_is_held(unguarded: Mirror) -> None:
    row_id = unguarded.contact()
    unguarded.sql("UPDATE telecmi_contacts SET deleted_at = 'today'")
    assert run(unguarded) == ScanResult(deletes=1)
    assert unguarded.queue() == [(row_id, "delete", "held")]


def test_a_number_edited_while_the_triggers_were_gone(unguarded: Mirror) -> None:
    row_id = unguarded.contact()
    unguarded.sql("UPDATE telecmi_contacts SET phone_no = '9200000009'")
    assert run(unguarded) == ScanResult(edits=1)
    assert unguarded.queue() == [(row_id, "update", "queued")]
    assert unguarded.row(row_id)["phone_e164"] == "+919200000009"


def test_edits_while_the_guard_was_open(mirror: Mirror) -> None:
    row_id = mirror.contact()
    mirror.sql("UPDATE sync_guard SET active = 1")
    mirror.sql("UPDATE telecmi_contacts SET company = 'X'")
    assert mirror.queue() == []
    assert run(mirror) == ScanResult(edits=1)
    assert mirror.queue() == [(row_id, "update", "queued")]


@pytest.mark.parametrize("state", ["queued", "sending", "unknown", "rejected", "conflict"])
def test_what_a_change_already_says_is_not_said_twice(mirror: Mirror, state: str) -> None:
    row_id = mirror.contact()
    mirror.sql("UPDATE telecmi_contacts SET company = 'X'")
    mirror.own("UPDATE change_queue SET state = ?", state)
    assert run(mirror) == ScanResult()
    assert mirror.queue() == [(row_id, "update", state)]


@pytest.mark.parametrize(
    "state, then",
    [
        ("queued", ["queued"]),
        ("rejected", ["queued"]),
        ("sending", ["sending", "queued"]),
        ("unknown", ["unknown", "queued"]),
        ("conflict", ["conflict", "queued"]),
    ],
)
def test_a_further_edit_that_no_trigger_caught(mirror: Mirror, state: str, then: list[str]) -> None:
    """It is logged, a refused change is tried again, and one that is being sent gets a successor."""
    row_id = mirror.contact(company="Old", job_title="Buyer")
    mirror.sql("UPDATE telecmi_contacts SET company = 'X'")
    mirror.own("UPDATE change_queue SET state = ?, last_error = 'no'", state)
    mirror.sql("DROP TRIGGER telecmi_contacts_after_update")
    mirror.sql("UPDATE telecmi_contacts SET job_title = 'Chief', phone_no = '9200000009'")
    assert run(mirror) == ScanResult(edits=1)
    assert [change[2] for change in mirror.queue()] == then
    assert (row_id, "update", "job_title", "Buyer", "Chief", "local") in mirror.log()
    assert mirror.row(row_id)["phone_e164"] == "+919200000009"


def test_a_row_that_was_made_here_is_not_taken_for_edited(mirror: Mirror) -> None:
    """The log does not contain its first values; after it is adopted they may differ from upstream's."""
    mirror.sql(
        "INSERT INTO telecmi_contacts (phone_no, last_name, company) VALUES ('9200000005', 'Rao', 'X')"
    )
    mirror.own("INSERT INTO contact_base (row_id, account, source, phone_no, company) "
               "VALUES (1, 'main', 'directory', '919200000005', 'Y')")  # fmt: skip
    mirror.own("UPDATE telecmi_contacts SET phone_e164 = '+919200000005', contact_id = 'c-5'")
    assert run(mirror) == ScanResult()


def test_other_accounts_are_left_alone(mirror: Mirror) -> None:
    row_id = mirror.contact(account="north")
    mirror.own("UPDATE telecmi_contacts SET company = 'X' WHERE id = ?", row_id)
    assert run(mirror) == ScanResult()


def test_a_number_that_cannot_be_read_needs_no_scan_for_ever(mirror: Mirror) -> None:
    mirror.sql("INSERT INTO telecmi_contacts (phone_no, last_name) VALUES ('+91xxxxxx2999', 'Rao')")
    run(mirror)
    assert not mirror.read(scan.needed, POLICY, only_account=True)
