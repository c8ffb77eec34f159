"""The contact list of one user (v2), and what of it the directory lacks."""

from __future__ import annotations

from typing import Any

import pytest

from syncer.sync.run import Run
from tests.office import Office
from tests.sync.conftest import MakeOffice

DIRECTORY, USERS = "telecmi-contacts", "telecmi-user-contacts"


@pytest.fixture
def office(make_office: MakeOffice) -> Office:
    """An office whose directory and user's list share one contact; nothing is pulled yet."""
    made = make_office(only=(DIRECTORY, USERS))
    made.world.contact_insert(
        {"phone_no": "919200000001", "first_name": "Asha", "last_name": "Rao", "company": "Example Traders"}
    )
    made.world.user_contact_upsert(9200000001, {"name": "Asha Rao"})
    return made


def pull(office: Office, *jobs: str) -> list[Run]:
    """One pull that has to be fine."""
    done = office.run(*jobs)
    assert [run.outcome for run in done] == ["ok"] * len(done), [run.problem for run in done]
    return done


def alone(office: Office) -> list[tuple[Any, ...]]:
    """The contacts that the directory lacks: number and names."""
    return office.sql(
        "SELECT phone_e164, first_name, last_name FROM telecmi_contacts"
        " WHERE contact_id IS NULL AND deleted_at IS NULL ORDER BY id"
    )


# -- the list itself


def test_the_newest_of_two_rows_with_one_number_counts(office: Office) -> None:
    world = office.world
    world.user_contact_upsert(9200000002, {"name": "Ravi Iyer", "time": 1_000})
    world.user_contact_upsert(9200000002, {"name": "Ravi K Iyer", "time": 3_000}, twice=True)
    world.user_contact_upsert(9200000002, {"name": "R Iyer", "time": 2_000}, twice=True)
    run = pull(office)[1]
    assert run.certificate is not None and run.certificate.complete, "all three count towards the total"
    assert office.sql("SELECT name, time FROM telecmi_user_contacts WHERE mobile = '9200000002'") == [
        ("Ravi K Iyer", 3_000)
    ]
    assert alone(office) == [("+919200000002", "Ravi K", "Iyer")]
    with office.unchanged():
        for _ in range(3):
            run = pull(office)[1]
            assert run.certificate is not None and run.certificate.complete


def test_an_older_row_counts_when_the_newer_one_is_gone(office: Office) -> None:
    world = office.world
    world.user_contact_upsert(9200000002, {"name": "Ravi Iyer", "time": 1_000})
    world.user_contact_upsert(9200000002, {"name": "Ravi K Iyer", "time": 3_000}, twice=True)
    pull(office)
    rows = world.user().contacts
    rows[:] = [row for row in rows if row["name"] != "Ravi K Iyer"]
    pull(office)
    assert office.one("SELECT name FROM telecmi_user_contacts WHERE mobile = '9200000002'") == "Ravi Iyer"
    assert alone(office) == [("+919200000002", "Ravi", "Iyer")]


@pytest.mark.parametrize("first", [1_000, 3_000])
def test_two_rows_of_a_number_on_different_pages(office: Office, first: int) -> None:
    world = office.world
    world.settings.change({"telecmi.page_cap": 4})
    world.user_contact_upsert(9200000002, {"name": "First", "time": first})
    for n in range(20):
        world.user_contact_upsert(9200000100 + n, {"name": f"Meera Nair {n}"})
    world.user_contact_upsert(9200000002, {"name": "Second", "time": 2_000}, twice=True)
    pull(office)
    with office.unchanged():
        pull(office)
    newest = "First" if first == 3_000 else "Second"
    assert office.one("SELECT name FROM telecmi_user_contacts WHERE mobile = '9200000002'") == newest


def test_notes_are_appended_and_never_taken_away(office: Office) -> None:
    world = office.world
    world.user_contact_upsert(9200000001, notes=[{"msg": "called back", "date": 1}])
    pull(office)
    world.user_contact_upsert(9200000001, notes=[{"msg": "sent a quote", "date": 2}])
    pull(office)
    seq = office.log_size()
    pull(office)
    assert office.log_size() == seq
    notes = [("called back", 1), ("sent a quote", 2)]
    assert office.sql("SELECT msg, date FROM telecmi_notes ORDER BY id") == notes
    del world.user().contacts[0]["notes"]
    pull(office)
    assert office.sql("SELECT msg, date FROM telecmi_notes ORDER BY id") == notes
    row = office.one("SELECT id FROM telecmi_user_contacts")
    assert office.one("SELECT DISTINCT contact_row FROM telecmi_notes") == row


def test_time_alone_is_no_change(office: Office) -> None:
    pull(office)
    seq = office.log_size()
    stamps = office.sql("SELECT last_changed_at FROM telecmi_user_contacts")
    for n in range(2):
        office.world.user_contact_upsert(9200000001, {"time": 5_000_000_000_000 + n})
        pull(office)
    assert office.one("SELECT time FROM telecmi_user_contacts") == 5_000_000_000_001
    assert (office.log_size(), office.sql("SELECT last_changed_at FROM telecmi_user_contacts")) == (
        seq,
        stamps,
    )


# -- what the directory lacks


def test_a_contact_that_the_directory_lacks_is_also_a_contact(office: Office) -> None:
    office.world.user_contact_upsert(9200000002, {"name": "Ravi Kumar Iyer", "email": "ravi@example.com"})
    pull(office)
    assert alone(office) == [("+919200000002", "Ravi Kumar", "Iyer")]
    assert office.one("SELECT count(*) FROM telecmi_contacts") == 2
    with office.unchanged():
        pull(office)
    assert office.states() == []


def test_it_needs_a_complete_directory_and_a_list_begun_after_it(office: Office) -> None:
    office.world.user_contact_upsert(9200000002, {"name": "Ravi Iyer"})
    pull(office, USERS)
    assert alone(office) == []
    office.fault("/v3/contact/get", "html502", times=None)
    assert office.run(DIRECTORY)[0].outcome != "ok"
    pull(office, USERS)
    assert alone(office) == []
    office.world.faults.clear()
    pull(office, DIRECTORY)
    assert alone(office) == [], "the list that is known is older than the directory"
    pull(office, USERS)
    assert len(alone(office)) == 1


def test_a_list_that_is_not_whole_makes_no_such_rows(office: Office) -> None:
    office.world.settings.change({"telecmi.page_cap": 1})
    pull(office)
    office.world.user_contact_upsert(9200000002, {"name": "Ravi Iyer"})
    office.world.user_contact_upsert(9200000003, {"name": "Meera Nair"})
    office.fault("/v2/user/contact/get", "html502", times=None, match={"page": 3})
    assert office.run(USERS)[0].outcome != "ok"
    assert alone(office) == []


def test_a_list_that_does_not_add_up_makes_no_such_rows(office: Office) -> None:
    office.world.user_contact_upsert(9200000002, {"name": "Ravi Iyer"})
    pull(office, DIRECTORY)
    office.world.settings.change({"telecmi.count_mode": "off_by_one"})
    pull(office, USERS)
    assert alone(office) == []
    pull(office, USERS)  # by now the count is known to be one too many
    assert len(alone(office)) == 1


def test_it_follows_the_list_and_goes_when_the_list_drops_it(office: Office) -> None:
    world = office.world
    world.user_contact_upsert(9200000002, {"name": "Ravi Iyer"})
    pull(office)
    world.user_contact_upsert(9200000002, {"name": "Ravi Menon", "email": "r@example.com"})
    pull(office)
    assert alone(office) == [("+919200000002", "Ravi", "Menon")]
    world.user_contact_delete(9200000002)
    pull(office)
    assert len(alone(office)) == 1, "the first listing without it"
    pull(office)
    assert alone(office) == []
    assert office.one("SELECT count(*) FROM telecmi_contacts WHERE deleted_at IS NOT NULL") == 1
    world.user_contact_upsert(9200000002, {"name": "Ravi Menon"})
    pull(office)
    assert alone(office) == [("+919200000002", "Ravi", "Menon")]


def test_a_directory_that_gains_the_number_adopts_the_row(office: Office) -> None:
    office.world.user_contact_upsert(9200000002, {"name": "Ravi Iyer"})
    pull(office)
    row = office.one("SELECT id FROM telecmi_contacts WHERE contact_id IS NULL")
    contact_id = office.world.contact_insert(
        {"phone_no": "919200000002", "first_name": "Ravi", "last_name": "Iyer", "company": "Iyer Motors"}
    )
    pull(office)
    assert office.row(row)["contact_id"] == contact_id
    assert office.row(row)["company"] == "Iyer Motors"
    assert office.one("SELECT count(*) FROM telecmi_contacts") == 2
    with office.unchanged():
        pull(office)


def test_a_contact_that_the_directory_loses_and_the_list_keeps(office: Office) -> None:
    pull(office)
    (contact_id,) = office.directory()
    row = office.row_of(contact_id)
    # One of one would be a listing that is suddenly empty.
    for n in range(10, 20):
        office.world.contact_insert(
            {"phone_no": f"9192000000{n}", "first_name": "A", "last_name": f"Nair {n}"}
        )
    pull(office)
    office.world.contact_delete(contact_id)
    for _ in range(3):
        pull(office)
    assert office.row(row)["deleted_at"] is not None
    assert office.row(row)["contact_id"] == contact_id
    assert alone(office) == [("+919200000001", "Asha", "Rao")]
    with office.unchanged():
        pull(office)


def test_the_directory_takes_such_a_contact_back(office: Office) -> None:
    for n in range(10, 20):
        office.world.contact_insert(
            {"phone_no": f"9192000000{n}", "first_name": "A", "last_name": f"Nair {n}"}
        )
    pull(office)
    org = office.world.org()
    contact_id = next(iter(org.contacts))
    kept = org.contacts.pop(contact_id)
    for _ in range(3):
        pull(office)
    org.contacts[contact_id] = kept
    for _ in range(3):
        pull(office)
    living = office.sql(
        "SELECT contact_id FROM telecmi_contacts WHERE phone_e164 = '+919200000001' AND deleted_at IS NULL"
    )
    assert living == [(contact_id,)], "one row for one contact"


def test_an_account_without_a_directory_makes_no_such_rows(make_office: MakeOffice) -> None:
    office = make_office(telecmi={"contacts": {"enabled": False}}, only=(USERS,))
    office.world.user_contact_upsert(9200000002, {"name": "Ravi Iyer"})
    for _ in range(2):
        pull(office)
    assert office.one("SELECT count(*) FROM telecmi_user_contacts") == 1
    assert office.one("SELECT count(*) FROM telecmi_contacts") == 0


def test_one_number_in_two_spellings_is_one_contact(office: Office) -> None:
    world = office.world
    world.user_contact_upsert(9200000002, {"name": "Ravi Iyer", "time": 2_000})
    world.user_contact_upsert(919200000002, {"name": "Ravi Menon", "time": 1_000})
    pull(office)
    assert office.one("SELECT count(*) FROM telecmi_user_contacts") == 3
    assert alone(office) == [("+919200000002", "Ravi", "Iyer")]
    with office.unchanged():
        pull(office)


def test_a_number_that_nobody_can_read_is_one_contact_too(office: Office) -> None:
    office.world.user_contact_upsert(123, {"name": "Front Desk"})
    pull(office)
    with office.unchanged():
        assert alone(office) == [(None, "Front", "Desk")]
        pull(office)


def test_a_contact_without_a_name_is_also_a_contact(office: Office) -> None:
    office.world.user_contact_upsert(9200000002, {"name": ""})
    pull(office)
    assert alone(office) == [("+919200000002", None, None)]


@pytest.mark.parametrize("shared", [False, True])
def test_both_lists_may_share_one_store(office: Office, shared: bool) -> None:
    office.world.settings.change({"telecmi.shared_store": shared})
    office.world.user_contact_upsert(9200000002, {"name": "Ravi Iyer"})
    for _ in range(5):
        pull(office)
        office.clock.pass_(minutes=10)
    assert len(alone(office)) == (0 if shared else 1)
    seq = office.log_size()
    for _ in range(3):
        pull(office)
        office.clock.pass_(minutes=10)
    assert office.log_size() == seq


def test_a_contact_of_the_list_is_adopted_also_where_that_blanks_a_field(make_office: MakeOffice) -> None:
    """The directory gains its number, without the address that the list has."""
    office = make_office(only=(DIRECTORY, USERS), telecmi={"token": "sandbox-user-token"})
    office.world.contact_insert({"phone_no": "919200000001", "first_name": "Meera", "last_name": "Nair"})
    office.world.user_contact_upsert(9200000042, {"name": "Asha Rao", "email": "asha@example.com"})
    office.run()
    row = office.one("SELECT id FROM telecmi_contacts WHERE phone_e164 = '+919200000042'")
    there = office.world.contact_insert(
        {"phone_no": "919200000042", "first_name": "Asha", "last_name": "Rao"}
    )
    office.run()
    assert office.row(row)["contact_id"] == there
    assert office.one("SELECT count(*) FROM telecmi_contacts WHERE phone_e164 = '+919200000042'") == 1
    assert office.one("SELECT source FROM contact_base WHERE row_id = ?", row) == "directory"
