"""What a check from outside found: each sequence stays as a test."""

from __future__ import annotations

import json

import pytest

from tests.office import Office
from tests.sync.conftest import MakeOffice


def poison(office: Office, call: str, word: str) -> None:
    """From now on the vendor answers code 500 to each call that holds `word`, and applies none of it."""
    office.fault(
        f"/v3/contact/{call}",
        "code",
        times=None,
        code=500,
        message="validation failed",
        match={"contains": word},
    )


def test_failures_16_a_row_that_makes_the_vendor_fail_is_found(office: Office) -> None:
    office.sql("UPDATE telecmi_contacts SET company = 'New ' || id")
    office.sql("UPDATE telecmi_contacts SET company = 'Poison' WHERE id = 5")
    poison(office, "update", "Poison")
    office.push()
    office.push()
    shown = [one.get("company") for one in office.directory().values()]
    assert sum(1 for one in shown if one.startswith("New ")) == 11
    states = dict(office.sql("SELECT contact_row, state FROM change_queue"))
    assert states.pop(5) == "rejected"
    assert set(states.values()) == {"done"}
    assert "500" in office.one("SELECT last_error FROM change_queue WHERE contact_row = 5")
    assert len(office.writes()) < 16


def test_failures_16_a_row_whose_add_makes_the_vendor_fail_is_found(office: Office) -> None:
    for n in range(10):
        name = "Poison" if n == 3 else f"Rao{n}"
        office.sql(
            "INSERT INTO telecmi_contacts (phone_no, first_name, last_name) VALUES (?, 'Nita', ?)",
            f"91920000010{n}", name,
        )  # fmt: skip
    poison(office, "add", "Poison")
    office.push()
    office.push()
    assert len(office.directory()) == 12 + 9
    assert sorted(office.states()) == ["done"] * 9 + ["rejected"]


def test_a_vendor_that_fails_throughout_is_no_rows_fault(office: Office) -> None:
    office.sql("UPDATE telecmi_contacts SET company = 'New ' || id")
    office.fault("/v3/contact/update", "code", times=None, code=500, message="maintenance")
    run = office.push()
    assert run.outcome != "ok"
    assert "rejected" not in office.states()
    assert len(office.writes()) < 12
    office.world.faults.clear()
    for _ in range(3):
        office.clock.pass_(hours=1)
        office.push()
    assert set(office.states()) == {"done"}


def test_a_row_that_cuts_every_connection_ends_up_alone(office: Office) -> None:
    office.sql("UPDATE telecmi_contacts SET company = 'New ' || id")
    office.sql("UPDATE telecmi_contacts SET company = 'Poison' WHERE id = 5")
    office.fault("/v3/contact/update", "drop", times=None, match={"contains": "Poison"})
    for _ in range(9):
        office.push()
    states = dict(office.sql("SELECT contact_row, state FROM change_queue"))
    assert states.pop(5) == "unknown"
    assert set(states.values()) == {"done"}


def test_an_edit_that_on_conflict_ruled_against_is_not_done(make_office: MakeOffice) -> None:
    office = make_office(
        only=("telecmi-contacts", "telecmi-push"), telecmi={"push": {"on_conflict": "remote"}}
    )
    contact = office.world.contact_insert(
        {"phone_no": "919200000001", "first_name": "Asha", "last_name": "Rao", "company": "First"}
    )
    office.run()
    office.sql("UPDATE telecmi_contacts SET company = 'Mine' WHERE id = 1")
    office.world.contact_update(contact, {"company": "Theirs"})
    office.run()
    change = office.change(1)
    assert change["state"] == "discarded"
    assert "on_conflict" in change["last_error"]
    assert not office.writes()
    assert office.row(1)["company"] == "Theirs"
    assert office.sql("SELECT old, new FROM change_log WHERE field = 'company' AND origin = 'upstream'") == [
        ("Mine", "Theirs")
    ]


@pytest.mark.parametrize("approve", [True, False])
def test_an_add_waits_for_the_delete_that_frees_its_number(office: Office, approve: bool) -> None:
    from syncer.store.write import decisions

    office.world.settings.change({"telecmi.duplicate_rule": "none"})
    office.sql("DELETE FROM telecmi_contacts WHERE id = 3")
    office.sql(
        "INSERT INTO telecmi_contacts (phone_no, first_name, last_name) VALUES ('9200000003', 'Nita', 'Sen')"
    )
    office.push()
    assert office.states() == ["held", "queued"]
    assert "row 3" in office.change(2)["last_error"]
    assert not office.writes()
    with office.db.write() as conn:
        if approve:
            decisions.approve(conn, 1, office.env().stamp())
        else:
            decisions.discard(conn, 1, office.env().stamp(), "IN")
    office.run()
    office.run()
    assert office.states() == (["done", "done"] if approve else ["discarded", "rejected"])
    phones = [one["phone_no"] for one in office.directory().values()]
    assert len(phones) == len(set(phones))


def test_a_conflict_of_a_delete_invents_no_fields(office: Office) -> None:
    from syncer.store.write import decisions

    contact = office.row(3)["contact_id"]
    office.sql("DELETE FROM telecmi_contacts WHERE id = 3")
    office.write(decisions.approve, 1, office.env().stamp())
    office.world.contact_update(contact, {"company": "Elsewhere"})
    office.push()
    change = office.change(1)
    assert change["state"] == "conflict"
    assert json.loads(change["fields"] or "{}") == {}
    assert "company" in json.loads(change["clashes"])
