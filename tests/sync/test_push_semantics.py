"""What the contract says of edits in `telecmi_contacts`, word by word, against a vendor that behaves."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sync.push_bench import READ, Bench, newcomer, person

# -- updates


def test_an_update_sends_the_id_and_the_changed_field_and_nothing_else(bench: Bench) -> None:
    mark = bench.mark()
    bench.edit(1, company="New Company")
    assert bench.states() == ["queued"]
    bench.push()
    assert bench.writes(mark) == [
        ("update", {"contacts": [{"contact_id": bench.ids[0], "company": "New Company"}]})
    ]
    assert bench.states() == ["done"]
    assert bench.directory()[bench.ids[0]] == {"contact_id": bench.ids[0], **person(1, company="New Company")}
    assert bench.calls(mark) == [READ, "/v3/contact/update", READ], "one look before, one after"
    bench.quiet()


@pytest.mark.parametrize(
    "typed",
    ["+91 92000 00077", "9200000077", "tel:+919200000077", "\u200e+91 92000\u201100077"],
)
def test_a_number_is_sent_as_digits_with_the_country_code_whatever_was_typed(
    bench: Bench, typed: str
) -> None:
    bench.edit(1, phone_no=typed)
    new = bench.insert(**newcomer(1, phone_no=typed.replace("77", "88")))
    assert [(kind, body["contacts"]) for kind, body in bench.pushed()] == [
        ("update", [{"contact_id": bench.ids[0], "phone_no": "919200000077"}]),
        ("add", [newcomer(1, phone_no="919200000088")]),
    ]
    assert bench.states() == ["done", "done"]
    assert bench.row(1)["phone_no"] == "919200000077", "the mirror shows what upstream shows"
    assert bench.row(1)["phone_e164"] == "+919200000077"
    assert bench.row(new)["phone_e164"] == "+919200000088"
    bench.quiet()


def test_the_same_number_typed_otherwise_is_no_edit(bench: Bench) -> None:
    bench.edit(1, phone_no="+91 92000 00001")
    assert bench.pushed() == []
    assert bench.states() == ["discarded"]
    assert bench.row(1)["phone_no"] == "919200000001"
    bench.quiet()


def test_an_edit_undone_before_it_is_sent_sends_nothing_and_ends_discarded(bench: Bench) -> None:
    bench.edit(1, company="Oops", job_title="Oops")
    bench.edit(1, company="Example Traders", job_title="Buyer")
    assert bench.pushed() == []
    assert "undone" in bench.reason("discarded")
    bench.quiet()


def test_edits_of_one_row_are_one_change_and_one_element(bench: Bench) -> None:
    mark = bench.mark()
    for company in ("A", "B", "C"):
        bench.edit(1, company=company)
    bench.edit(1, job_title="Owner")
    bench.push()
    sent = {"contact_id": bench.ids[0], "company": "C", "job_title": "Owner"}
    assert bench.writes(mark) == [("update", {"contacts": [sent]})]
    assert bench.states() == ["done"]
    assert {"A", "B", "C", "Owner"} <= bench.logged(1)


@pytest.mark.parametrize("empty", [None, ""])
def test_a_cleared_field_is_sent_empty(bench: Bench, empty: str | None) -> None:
    bench.edit(1, company=empty)
    assert bench.pushed() == [("update", {"contacts": [{"contact_id": bench.ids[0], "company": ""}]})]
    assert bench.states() == ["done"]
    assert not bench.row(1)["company"]
    bench.quiet()


def test_null_and_empty_are_equal(bench: Bench) -> None:
    bench.world.contact_update(bench.ids[0], {"company": "", "job_title": None})
    bench.run()
    mark, log = bench.mark(), bench.log_size()
    bench.edit(1, company="", job_title="")
    bench.edit(1, company=None, job_title=None)
    assert bench.states() == []
    bench.push()
    assert bench.writes(mark) == [] and bench.log_size() == log
    new = bench.insert(**newcomer(1, company="", job_title=None))
    bench.push()
    assert bench.writes(mark) == [("add", {"contacts": [newcomer(1)]})]
    assert bench.states_of(new) == ["done"]
    bench.quiet()


def test_a_blanket_update_edits_the_living_and_passes_over_tombstones(make_bench: Any) -> None:
    bench = make_bench(telecmi={"push": {"deletes": True}})
    bench.delete(1)
    bench.delete(2)
    bench.push()
    bench.sql("UPDATE telecmi_contacts SET company = 'Everyone'")
    mark = bench.mark()
    bench.push()
    sent = [one["contact_id"] for kind, body in bench.writes(mark) for one in body["contacts"]]
    assert sent == bench.ids[2:]
    assert set(bench.directory()) == set(bench.ids[2:])
    assert [bench.row(n)["company"] for n in (1, 2)] == ["Example Traders"] * 2
    bench.quiet()


def test_an_update_that_empties_a_required_name_is_rejected_by_upstream_and_named(bench: Bench) -> None:
    bench.edit(1, last_name="")
    bench.push()
    assert "last_name" in bench.reason("rejected")
    bench.quiet()
    bench.edit(1, last_name="Rao1")  # undone
    bench.push()
    bench.quiet("discarded")


# -- inserts


def test_an_insert_is_one_add_and_its_id_is_adopted_in_the_same_run(bench: Bench) -> None:
    row = bench.insert(**newcomer(1, company="Acme"))
    assert bench.pushed() == [("add", {"contacts": [newcomer(1, company="Acme")]})]
    there = {one["phone_no"]: contact_id for contact_id, one in bench.directory().items()}
    assert bench.row(row)["contact_id"] == there["919300000001"]
    assert bench.states() == ["done"]
    assert bench.one("SELECT count(*) FROM telecmi_contacts") == 7
    bench.quiet()


def test_an_insert_of_a_number_that_upstream_has_is_adopted_and_merged(bench: Bench) -> None:
    theirs = bench.world.contact_insert(person(50, company="Theirs", job_title=""))
    row = bench.insert(
        **newcomer(1, phone_no="+91 92000 00050", first_name="Asha", last_name="Rao50", job_title="Ours")
    )
    assert [kind for kind, _ in bench.pushed()] == ["update"], "adopted, then only the unlike field"
    assert bench.row(row)["contact_id"] == theirs
    assert bench.row(row)["company"] == "Theirs"
    assert bench.upstream(row)["job_title"] == "Ours"
    bench.quiet()


def test_an_insert_of_a_number_that_another_row_holds_is_rejected(bench: Bench) -> None:
    row = bench.insert(**newcomer(1, phone_no="092000 00003"))
    assert bench.pushed() == []
    assert "row 3 holds this number" in bench.reason("rejected")
    assert "phone_no" in bench.change(1)["last_error"]
    assert bench.row(row)["contact_id"] is None
    bench.quiet()


def test_of_two_inserts_of_one_number_the_first_is_sent(bench: Bench) -> None:
    one = bench.insert(**newcomer(1))
    two = bench.insert(**newcomer(1, first_name="Meera", phone_no="+91 93000 00001"))
    assert bench.pushed() == [("add", {"contacts": [newcomer(1)]})]
    assert bench.states_of(one) == ["done"] and bench.states_of(two) == ["rejected"]
    assert f"row {one} holds this number" in bench.queue(two)[0]["last_error"]
    bench.quiet()


@pytest.mark.parametrize(
    "field, fields",
    [
        ("last_name", {"last_name": None}),
        ("first_name", {"first_name": ""}),
        ("phone_no", {"phone_no": "+91xxxxxx2999"}),
        ("phone_no has an extension", {"phone_no": "+91 92000 12345 ext 5"}),
        ("phone_no", {"phone_no": None}),
    ],
)
def test_what_could_never_be_taken_is_rejected_without_a_call(
    bench: Bench, field: str, fields: dict[str, Any]
) -> None:
    row = bench.insert(**newcomer(1, **fields))
    assert bench.pushed() == []
    assert field in bench.reason("rejected")
    assert bench.change(1)["attempts"] == 0
    bench.quiet()
    assert bench.row(row)["deleted_at"] is None, "the row stays for the person to correct"
    bench.edit(row, **newcomer(1))
    assert bench.states() == ["queued"], "a new edit takes it out of rejected"
    bench.push()
    assert bench.states() == ["done"]
    assert bench.phones()[-1] == "919300000001"
    bench.quiet()


@pytest.mark.parametrize("number", ["+91xxxxxx2999", "12", ""])
def test_an_update_to_a_number_that_cannot_be_read_is_rejected_without_a_call(
    bench: Bench, number: str
) -> None:
    bench.edit(1, phone_no=number)
    assert bench.pushed() == []
    assert "phone_no" in bench.reason("rejected")
    bench.quiet()
    bench.edit(1, phone_no="919200000001")
    bench.push()
    bench.quiet("discarded")


@pytest.mark.parametrize("known", [True, False], ids=["update", "add"])
def test_bytes_that_are_not_text_are_never_sent(bench: Bench, known: bool) -> None:
    """An older version let some of them in."""
    trigger = f"telecmi_contacts_before_{'update' if known else 'insert'}"
    bench.sql(f"DROP TRIGGER {trigger}")
    if known:
        bench.sql("UPDATE telecmi_contacts SET company = CAST(x'41E08080' AS TEXT) WHERE id = 1")
    else:
        bench.sql(
            "INSERT INTO telecmi_contacts (phone_no, first_name, last_name, company) "
            "VALUES ('919300000001', 'Asha', 'Example', CAST(x'41E08080' AS TEXT))"
        )
    assert bench.pushed() == [] and bench.states() == ["rejected"]
    assert bench.change(1)["last_error"] == "company: the value is not UTF-8 text: type it again"


def test_an_update_to_a_number_that_another_row_holds_is_rejected(bench: Bench) -> None:
    mark = bench.mark()
    bench.edit(1, phone_no="92000 00003", company="Stays")
    bench.push()
    assert "phone_no" in bench.reason("rejected")
    assert bench.upstream(1)["phone_no"] == "919200000001"
    assert len(bench.writes(mark)) <= 1
    bench.quiet()


# -- deletes


def test_a_delete_is_held_until_a_person_approves(bench: Bench) -> None:
    mark = bench.mark()
    bench.delete(1)
    assert bench.states() == ["held"] and bench.row(1)["deleted_at"]
    bench.run()
    assert bench.writes(mark) == [] and bench.states() == ["held"] and bench.row(1)["deleted_at"]
    bench.decide("approve", 1)
    bench.push()
    assert bench.writes(mark) == [("delete", {"contact_ids": [bench.ids[0]]})]
    bench.quiet("done")
    assert bench.row(1)["deleted_at"]


@pytest.mark.parametrize("decision", ["approve", "discard"])
def test_an_add_that_waits_for_a_held_delete_costs_no_calls(bench: Bench, decision: str) -> None:
    """Found by search: the directory was listed at every push, for as long as nobody decided."""
    bench.delete(1)
    row = bench.insert(**newcomer(1) | {"phone_no": person(1)["phone_no"]})
    bench.push(person=False)
    assert bench.states() == ["held", "queued"]
    assert (
        "row 1 holds this number, and its delete waits for a person: decide on change 1 first"
        in bench.change(2)["last_error"]
    )
    mark = bench.mark()
    bench.later(20, person=False, minutes=1)
    assert bench.calls(mark) == []
    bench.decide(decision, 1)
    for _ in range(3):  # at once, and not after the long pause
        bench.push(person=False)
        bench.clock.pass_(seconds=10)
    if decision == "approve":
        assert [operation for operation, _ in bench.writes(mark)] == ["delete", "add"]
        assert bench.states() == ["done", "done"] and bench.row(row)["contact_id"] in bench.directory()
    else:
        assert bench.writes(mark) == [] and bench.states() == ["discarded", "rejected"]
    bench.quiet()


def test_a_held_delete_that_is_discarded_brings_the_row_back(bench: Bench) -> None:
    bench.edit(1, company="Edited")
    bench.delete(1)
    assert bench.states() == ["discarded", "held"], "a delete cancels the row's queued update"
    bench.decide("discard", 2)
    assert bench.pushed() == []
    assert bench.row(1)["deleted_at"] is None
    assert bench.row(1)["company"] == "Example Traders"
    assert "Edited" in bench.logged(1)
    bench.quiet()


@pytest.mark.parametrize("deletes", [True, False])
def test_a_row_that_was_never_sent_is_simply_discarded(make_bench: Any, deletes: bool) -> None:
    bench = make_bench(telecmi={"push": {"deletes": deletes}})
    mark = bench.mark()
    row = bench.insert(**newcomer(1))
    bench.delete(row)
    assert bench.states() == ["discarded"]
    bench.push()
    assert bench.writes(mark) == []
    assert bench.row(row)["deleted_at"]
    bench.quiet()


def test_a_rejected_row_that_is_deleted_leaves_nothing_behind(bench: Bench) -> None:
    row = bench.insert(**newcomer(1, last_name=""))
    bench.push()
    bench.delete(row)
    bench.push()
    assert set(bench.states()) == {"discarded"}
    bench.quiet()


def test_brought_back_before_the_delete_was_pushed(bench: Bench) -> None:
    mark = bench.mark()
    bench.delete(1)
    bench.back(1)
    bench.run()
    assert bench.writes(mark) == []
    assert bench.row(1)["deleted_at"] is None and bench.row(1)["contact_id"] == bench.ids[0]
    assert set(bench.states()) == {"discarded"}
    bench.quiet()


def test_brought_back_after_the_delete_was_pushed(make_bench: Any) -> None:
    bench = make_bench(telecmi={"push": {"deletes": True}})
    bench.delete(1)
    bench.push()
    bench.run()
    bench.back(1)
    assert bench.pushed() == [("add", {"contacts": [person(1)]})], "it has to be added again"
    assert bench.row(1)["contact_id"] in bench.directory()
    assert bench.row(1)["contact_id"] != bench.ids[0]
    assert bench.one("SELECT count(*) FROM telecmi_contacts WHERE deleted_at IS NULL") == 6
    bench.quiet("done", "done")


def test_brought_back_after_upstream_had_deleted_it(bench: Bench) -> None:
    bench.world.contact_delete(bench.ids[0])
    bench.run()
    bench.run()
    assert bench.row(1)["deleted_at"]
    bench.back(1)
    assert bench.pushed() == [("add", {"contacts": [person(1)]})]
    assert bench.phones() == sorted(person(n)["phone_no"] for n in range(1, 7))
    bench.quiet("done")


def test_upstreams_edit_beats_a_held_delete(bench: Bench) -> None:
    bench.delete(1)
    bench.world.contact_update(bench.ids[0], {"company": "Busy Upstream"})
    bench.run()
    assert bench.row(1)["deleted_at"] is None and bench.row(1)["company"] == "Busy Upstream"
    assert "edit beats a delete" in bench.reason("discarded")
    bench.quiet()


def test_upstreams_edit_beats_a_queued_delete_at_the_very_push(make_bench: Any) -> None:
    bench = make_bench(telecmi={"push": {"deletes": True}})
    bench.delete(1)
    bench.world.contact_update(bench.ids[0], {"company": "Busy Upstream"})
    assert bench.pushed() == []
    assert bench.row(1)["deleted_at"] is None and bench.row(1)["company"] == "Busy Upstream"
    bench.quiet()


def test_a_local_edit_beats_upstreams_delete(bench: Bench) -> None:
    bench.edit(1, company="Still Needed")
    bench.world.contact_delete(bench.ids[0])
    assert bench.pushed() == [("add", {"contacts": [person(1, company="Still Needed")]})]
    assert bench.states() == ["done"]
    assert bench.row(1)["contact_id"] in bench.directory()
    bench.quiet()


@pytest.mark.parametrize("keep", ["local", "remote"])
def test_an_approved_delete_of_a_contact_that_upstream_changed_is_a_conflict(bench: Bench, keep: Any) -> None:
    bench.delete(1)
    bench.decide("approve", 1)
    bench.world.contact_update(bench.ids[0], {"company": "Changed Meanwhile"})
    mark = bench.mark()
    bench.push()
    assert bench.writes(mark) == [] and bench.states() == ["conflict"]
    assert "Changed Meanwhile" in bench.change(1)["clashes"]
    bench.run()
    assert bench.states() == ["conflict"] and bench.row(1)["deleted_at"]
    bench.decide("resolve", 1, keep)
    bench.push()
    if keep == "local":
        assert bench.writes(mark) == [("delete", {"contact_ids": [bench.ids[0]]})]
        assert bench.states() == ["done"] and bench.row(1)["deleted_at"]
    else:
        assert bench.writes(mark) == [] and bench.states() == ["discarded"]
        assert bench.row(1)["deleted_at"] is None and bench.row(1)["company"] == "Changed Meanwhile"
    bench.quiet()


def test_a_resolved_delete_opens_again_when_upstream_moved_since(bench: Bench) -> None:
    bench.delete(1)
    bench.decide("approve", 1)
    bench.world.contact_update(bench.ids[0], {"company": "Once"})
    bench.push()
    bench.decide("resolve", 1, "local")
    bench.world.contact_update(bench.ids[0], {"company": "Twice"})
    assert bench.pushed() == [] and bench.states() == ["conflict"]
    assert "Twice" in bench.change(1)["clashes"]
    bench.quiet()


def test_more_deletes_at_once_than_max_deletions_are_held(make_bench: Any) -> None:
    bench = make_bench(contacts=30, telecmi={"push": {"deletes": True}})
    for row in range(1, 7):
        bench.delete(row)
    mark = bench.mark()
    bench.push()
    assert bench.writes(mark) == []
    assert bench.states() == ["held"] * 6
    assert all("max_deletions" in change["last_error"] for change in bench.queue())
    bench.quiet()
    for number in range(1, 7):
        bench.decide("approve", number)
    bench.push()
    assert [len(body["contact_ids"]) for _, body in bench.writes(mark)] == [6]
    bench.quiet(*["done"] * 6)


def test_as_many_deletes_as_max_deletions_allows_go(make_bench: Any) -> None:
    bench = make_bench(contacts=30, telecmi={"push": {"deletes": True}})
    for row in range(1, 6):
        bench.delete(row)
    bench.push()
    bench.quiet(*["done"] * 5)


# -- the user's own list


def with_user_contact(bench: Bench) -> int:
    bench.world.user_contact_upsert("9400000001", {"name": "Kiran Das Gupta", "email": "kiran@example.com"})
    bench.run()
    bench.run()
    row = bench.one("SELECT id FROM telecmi_contacts WHERE phone_e164 = '+919400000001'")
    assert row and bench.row(row)["contact_id"] is None
    assert bench.row(row)["first_name"] == "Kiran Das" and bench.row(row)["last_name"] == "Gupta"
    return int(row)


@pytest.mark.parametrize("deletes", [True, False])
def test_a_delete_of_a_row_of_the_users_list_is_rejected_and_the_row_returns(
    make_bench: Any, deletes: bool
) -> None:
    bench = make_bench(telecmi={"push": {"deletes": deletes}})
    row = with_user_contact(bench)
    bench.delete(row)
    assert bench.pushed() == []
    assert bench.states() == ["rejected"]
    assert bench.row(row)["deleted_at"] is None
    assert "list" in bench.change(1)["last_error"]
    bench.quiet()


def test_a_row_of_the_users_list_that_is_edited_becomes_an_add_and_is_adopted(bench: Bench) -> None:
    row = with_user_contact(bench)
    mark = bench.mark()
    bench.push()
    assert bench.writes(mark) == [], "only an edit makes an add of it"
    bench.edit(row, company="Das & Co")
    bench.push()
    sent = {"phone_no": "919400000001", "first_name": "Kiran Das", "last_name": "Gupta",
            "email_id": "kiran@example.com", "company": "Das & Co"}  # fmt: skip
    assert bench.writes(mark) == [("add", {"contacts": [sent]})]
    assert bench.row(row)["contact_id"] in bench.directory()
    bench.quiet("done")


def test_an_edit_of_a_row_of_the_users_list_that_is_undone_sends_nothing(bench: Bench) -> None:
    row = with_user_contact(bench)
    bench.edit(row, company="Oops")
    bench.edit(row, company=None)
    assert bench.pushed() == []
    bench.quiet("discarded")


def test_a_row_of_the_users_list_without_a_last_name_is_rejected_when_edited(bench: Bench) -> None:
    bench.world.user_contact_upsert("9400000002", {"name": "Kiran"})
    bench.run()
    row = int(bench.one("SELECT id FROM telecmi_contacts WHERE phone_e164 = '+919400000002'"))
    bench.edit(row, company="X")
    assert bench.pushed() == [] and bench.states() == ["rejected"]
    assert "first_name" in bench.change(1)["last_error"] or "last_name" in bench.change(1)["last_error"]
    bench.quiet()


def test_a_contact_that_only_the_directory_loses_becomes_two_rows(bench: Bench) -> None:
    bench.world.user_contact_upsert("9200000001", {"name": "Asha Rao1"})
    bench.run()
    assert bench.one("SELECT count(*) FROM telecmi_contacts WHERE phone_e164 = '+919200000001'") == 1
    bench.world.contact_delete(bench.ids[0])
    for _ in range(3):
        bench.run()
    rows = bench.sql(
        "SELECT id, contact_id IS NULL, deleted_at IS NULL FROM telecmi_contacts "
        "WHERE phone_e164 = '+919200000001' ORDER BY id"
    )
    assert [row[1:] for row in rows] == [(0, 0), (1, 1)]
    bench.quiet()


def test_a_push_without_changes_makes_no_call(bench: Bench) -> None:
    mark = bench.mark()
    assert bench.push().outcome == "ok"
    assert bench.calls(mark) == []
