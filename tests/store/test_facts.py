"""What `status` knows of the vendors and of its own proof."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from syncer.store import facts
from tests.office import NOON, Office


@pytest.fixture
def pulled(tmp_path: Path) -> Office:
    office = Office(tmp_path)
    for hours in (1, 30, 60):
        at = int((NOON - timedelta(hours=hours)).timestamp() * 1000)
        office.world.voicemail_insert(at, "919200000001", shift_ms=19_800_000)
    office.run()
    return office


def load(office: Office) -> dict[tuple[str, str], facts.Facts]:
    with office.db.read() as conn:
        return facts.load(conn)


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


def test_a_cycle_that_writes_for_nothing_is_counted(pulled: Office) -> None:
    pulled.world.contact_insert({"phone_no": "919200000009", "first_name": "Asha", "last_name": "Rao"})
    pulled.run("telecmi-contacts")
    pulled.run("telecmi-contacts")
    with pulled.db.write() as conn:  # as a bug of ours would: the row changes with nothing in the log
        conn.exec_driver_sql("UPDATE telecmi_contacts SET raw = '{}'")
    pulled.run("telecmi-contacts")
    assert load(pulled)["telecmi-contacts", "main"].quiescence_violations == 1
