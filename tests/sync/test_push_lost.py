"""Answers that never came: whatever happened to a call, evidence settles it and nothing is applied twice."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import pytest

from syncer.sandbox.faults import KINDS
from syncer.sandbox.state import Request
from tests.sync.push_bench import ADD, DELETE, READ, UPDATE, Bench, newcomer, person

#: Answers that say "done" although nothing was.
LIES = {"code_only", "zero_rows", "drip"}
#: The vendor says that it did not even look at the call.
TURNED_AWAY = {"too_many", "bad_token", "expire_token"}
QUICK = {"hang": {"seconds": 0.01}, "drip": {"seconds": 0.0}}


def settle(bench: Bench, row: int) -> None:
    """Let only time pass."""
    for _ in range(4):
        if not set(bench.states_of(row)) & {"queued", "unknown", "sending"}:
            return
        bench.clock.pass_(hours=2)
        bench.push(person=False)


def listings(requests: list[Request]) -> list[Request]:
    """The requests that start a listing."""
    return [r for r in requests if r.path == READ and not {"contact_id", "page_state"} & set(r.body)]


def looked_twice_between_adds(bench: Bench, mark: int) -> bool:
    """Whether there are two listings, two seconds apart, between each add and the next."""
    requests = bench.world.requests(mark)
    adds = [r for r in requests if r.path == ADD]
    for one, other in itertools.pairwise(adds):
        looks = [r.at for r in listings(requests) if one.n < r.n < other.n]
        if not looks or looks[-1] - looks[0] < 2.0:
            return False
    return True


def never_hold_still(bench: Bench) -> None:
    """New contacts appear during every listing."""

    def grow(path: str, body: Any) -> None:
        if path == READ and body.get("page_state"):
            bench.world.contact_insert(person(900 + bench.mark()))

    bench.before_call.append(grow)


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("applied", ["before", "after"])
def test_whatever_becomes_of_a_call_it_arrives_once(bench: Bench, kind: str, applied: str) -> None:
    """Add, update and delete with each fault, applied or not. Only time passes."""
    bench.switch(duplicate_rule="none")
    more = QUICK.get(kind, {})
    done_anyway = applied == "after" or kind in ("drop_after", "expire_token")
    for path in (ADD, UPDATE, DELETE):
        mark = bench.mark()
        match path:
            case "/v3/contact/add":
                row = bench.insert(**newcomer(1, company="Acme"))
            case "/v3/contact/update":
                bench.edit(row := 1, company="Acme")
            case _:
                bench.delete(row := 2)
                bench.decide("approve", len(bench.states()))
        number = bench.queue(row)[-1]["id"]
        bench.fault(path, kind, applied=applied, **more)
        bench.push()
        state = bench.change(number)["state"]
        if done_anyway and kind != "bad_token":
            assert state == ("queued" if kind == "too_many" else "done"), path
        elif kind in TURNED_AWAY:
            assert state in ("queued", "done"), path
        elif kind not in LIES:
            assert state == "unknown", path
            assert bench.change(number)["last_error"], path
        before = len(bench.writes(mark))
        settle(bench, row)
        if (
            kind in LIES and not done_anyway and path == ADD
        ):  # "200" without a contact: for a person, never twice
            assert bench.change(number)["state"] in ("unknown", "rejected")
            bench.clock.pass_(days=1)
            bench.push()
            assert bench.change(number)["state"] == "rejected"
            assert len(bench.writes(mark)) == before == 1
            bench.decide("retry", number)
            bench.push()
        assert bench.change(number)["state"] == "done", path
        assert len(bench.writes(mark)) <= 2, path
        if done_anyway and kind != "bad_token":
            assert (
                len([r for r in bench.world.requests(mark) if r.path == path and r.code in (200, None)]) <= 1
            )
        if path == ADD and kind not in TURNED_AWAY | LIES:
            assert looked_twice_between_adds(bench, mark)
    phones = Counter(bench.phones())
    assert phones[newcomer(1)["phone_no"]] == 1 or (kind == "bad_token" and applied == "after")
    assert bench.directory()[bench.ids[0]] == {"contact_id": bench.ids[0], **person(1, company="Acme")}
    assert bench.ids[1] not in bench.directory()
    if kind != "bad_token":
        bench.quiet()


def test_a_lost_add_is_looked_up_twice_two_seconds_apart_before_it_is_sent_again(bench: Bench) -> None:
    mark = bench.mark()
    bench.insert(**newcomer(1))
    bench.fault(ADD, "drop")
    bench.push()
    assert bench.states() == ["unknown"]
    bench.clock.pass_(minutes=1)
    second = bench.mark()
    bench.push()
    assert bench.calls(second) == [READ, READ, ADD, READ]
    looks = listings(bench.world.requests(second))
    assert looks[1].at - looks[0].at >= 2.0
    assert bench.states() == ["done"]
    assert [kind for kind, _ in bench.writes(mark)] == ["add", "add"]


@pytest.mark.parametrize("trouble", ["partial", "drifted", "empty", "half gone"])
def test_a_lost_add_is_not_sent_again_on_the_word_of_a_listing_that_proves_nothing(
    make_bench: Any, trouble: str
) -> None:
    bench = make_bench(contacts=210)
    bench.insert(**newcomer(1))
    bench.fault(ADD, "drop")
    bench.push()
    assert bench.states() == ["unknown"]
    match trouble:
        case "partial":
            bench.fault(READ, "http", times=None, match={"page": 2})
        case "drifted":
            never_hold_still(bench)
        case "empty":
            bench.fault(READ, "zero_rows", times=None)
        case _:
            bench.world.contact_delete_share(0.5)
    bench.later(3, hours=2)
    assert bench.states() == ["unknown"], bench.queue()
    assert Counter(kind for kind, _ in bench.writes()) == {"add": 1}


def test_a_lost_add_is_adopted_from_a_listing_that_broke_off(make_bench: Any) -> None:
    bench = make_bench(contacts=210)
    bench.switch(order="reverse")
    row = bench.insert(**newcomer(1))
    bench.fault(ADD, "drop_after")
    bench.before_next(ADD, lambda: bench.fault(READ, "http", times=None, match={"page": 2}))
    bench.push()
    assert bench.states() == ["done"], "presence in a partial listing is proof"
    assert bench.row(row)["contact_id"]
    assert len(bench.writes()) == 1


def test_of_several_matches_one_is_adopted_and_the_others_are_rows_of_their_own(bench: Bench) -> None:
    bench.switch(duplicate_rule="none")
    row = bench.insert(**newcomer(1))
    first = bench.world.contact_insert(newcomer(1))
    second = bench.world.contact_insert(newcomer(1, company="Twin"))
    assert [kind for kind, _ in bench.pushed()] == []
    assert bench.row(row)["contact_id"] in (first, second)
    live = bench.sql(
        "SELECT contact_id FROM telecmi_contacts WHERE phone_e164 = '+919300000001' AND deleted_at IS NULL"
    )
    assert {contact_id for (contact_id,) in live} == {first, second}
    bench.quiet("done")


# -- an edit, a delete, an undo while the outcome is unknown


@pytest.mark.parametrize("applied", ["before", "after"])
@pytest.mark.parametrize("blind", [True, False])
def test_an_edit_after_a_lost_add_is_one_contact_with_the_new_value(
    bench: Bench, applied: str, blind: bool
) -> None:
    bench.switch(duplicate_rule="none")
    row = bench.insert(**newcomer(1, company="First"))
    bench.fault(ADD, "drop", applied=applied)
    if blind:
        bench.blind_after(ADD)
    bench.push()
    assert bench.states() == (["done"] if applied == "after" and not blind else ["unknown"])
    bench.world.faults.clear()
    bench.edit(row, company="Second", phone_no="93000 00009")
    bench.later(4, hours=2)
    assert bench.phones()[6:] == ["919300000009"]
    assert bench.upstream(row)["company"] == "Second"
    bench.is_settled()


@pytest.mark.parametrize("applied", ["before", "after"])
def test_an_edit_after_a_lost_update_is_sent_once(bench: Bench, applied: str) -> None:
    bench.edit(1, company="First")
    bench.lose_answer(UPDATE, applied)
    bench.edit(1, company="Second")
    bench.clock.pass_(hours=1)
    assert [body["contacts"] for _, body in bench.pushed()] == [
        [{"contact_id": bench.ids[0], "company": "Second"}]
    ], "one element, with the newest value"
    assert bench.upstream(1)["company"] == "Second"
    bench.settle()
    assert set(bench.states()) <= {"done", "discarded"}


@pytest.mark.parametrize("applied", ["before", "after"])
def test_an_edit_undone_after_a_lost_answer_is_undone_upstream_too(bench: Bench, applied: str) -> None:
    bench.edit(1, company="Oops")
    bench.lose_answer(UPDATE, applied)
    bench.edit(1, company="Example Traders")
    bench.later(3, hours=1)
    assert bench.upstream(1)["company"] == "Example Traders"
    assert bench.row(1)["company"] == "Example Traders"
    bench.is_settled()


@pytest.mark.parametrize("applied", ["before", "after"])
@pytest.mark.parametrize("visible_after", [0, 30])
def test_a_delete_of_a_contact_whose_add_was_lost(make_bench: Any, applied: str, visible_after: int) -> None:
    bench = make_bench(telecmi={"push": {"deletes": True}})
    bench.switch(visible_after_s=visible_after)
    row = bench.insert(**newcomer(1))
    bench.lose_answer(ADD, applied)
    bench.delete(row)
    bench.later(4, hours=2)
    assert len(bench.directory()) == 6, "what was added is taken away again"
    assert bench.row(row)["deleted_at"]
    bench.is_settled()


@pytest.mark.parametrize(("applied", "state"), [("before", "discarded"), ("after", "held")])
def test_a_held_delete_of_a_contact_whose_add_was_lost_waits_only_if_it_arrived(
    bench: Bench, applied: str, state: str
) -> None:
    row = bench.insert(**newcomer(1))
    bench.lose_answer(ADD, applied)
    bench.delete(row)
    bench.later(4, hours=2)
    assert bench.one("SELECT state FROM change_queue WHERE operation = 'delete'") == state
    assert bench.row(row)["deleted_at"]


def test_upstreams_edit_beats_the_delete_of_a_contact_whose_add_was_lost(make_bench: Any) -> None:
    """Nobody has seen that value locally, so it must not be deleted with the contact."""
    bench = make_bench(telecmi={"push": {"deletes": True}})
    row = bench.insert(**newcomer(1))
    bench.lose_answer(ADD, "after")
    bench.delete(row)
    (new,) = set(bench.directory()) - set(bench.ids)
    bench.world.contact_update(new, {"job_title": "Owner"})
    bench.run()
    assert bench.directory()[new]["job_title"] == "Owner"
    assert bench.row(row)["deleted_at"] is None and bench.row(row)["job_title"] == "Owner"
    bench.settle()


@pytest.mark.parametrize("applied", ["before", "after"])
def test_a_contact_brought_back_while_its_delete_is_unknown(make_bench: Any, applied: str) -> None:
    bench = make_bench(telecmi={"push": {"deletes": True}})
    bench.delete(1)
    bench.lose_answer(DELETE, applied)
    bench.back(1)
    bench.later(4, hours=2)
    assert bench.phones() == [person(n)["phone_no"] for n in range(1, 7)], "what a person brought back lives"
    assert bench.row(1)["deleted_at"] is None
    assert bench.row(1)["contact_id"] in bench.directory()
    bench.is_settled()


def test_upstreams_edit_beats_a_delete_that_was_lost_on_its_way(make_bench: Any) -> None:
    """Found by search: upstream's new value shows that the delete was not applied."""
    bench = make_bench(telecmi={"push": {"deletes": True}})
    bench.delete(1)
    bench.lose_answer(DELETE, "before")
    bench.world.contact_update(bench.ids[0], {"company": "Busy Upstream"})
    mark = bench.mark()
    bench.run()
    assert bench.writes(mark) == [], "nobody here has seen that value: it may not go with the contact"
    assert bench.row(1)["deleted_at"] is None and bench.row(1)["company"] == "Busy Upstream"
    assert "edit beats a delete" in bench.reason("discarded")
    bench.settle()


def test_a_lost_update_of_a_contact_that_upstream_then_deletes(bench: Bench) -> None:
    bench.edit(1, company="Needed")
    bench.fault(UPDATE, "drop")
    bench.push()
    assert bench.states() == ["unknown"]
    bench.world.contact_delete(bench.ids[0])
    bench.later(3, hours=2)
    assert bench.upstream(1)["company"] == "Needed", "an edit beats a delete"
    assert len(bench.directory()) == 6
    bench.quiet()


# -- a vendor that shows things late


@pytest.mark.parametrize("rule", ["e164", "exact", "none"])
@pytest.mark.parametrize(
    "late", [{"visible_after_s": 300}, {"visible_after_lists": 2}, {"visible_after_s": 40000}]
)
def test_an_accepted_add_that_shows_late_is_waited_for(bench: Bench, rule: str, late: dict[str, int]) -> None:
    bench.switch(duplicate_rule=rule, **late)
    row = bench.insert(**newcomer(1))
    mark = bench.mark()
    bench.push()
    bench.later(10, person=False, hours=2)
    assert [kind for kind, _ in bench.writes(mark)] == ["add"]
    assert bench.states() == ["done"] and bench.row(row)["contact_id"]
    bench.quiet()


@pytest.mark.parametrize(
    "late", [{"visible_after_s": 300}, {"visible_after_lists": 3}, {"visible_after_s": 40000}]
)
def test_a_lost_add_that_shows_late_is_never_there_twice(bench: Bench, late: dict[str, int]) -> None:
    """The vendor's refusal of the duplicate is evidence: the change waits and is not rejected."""
    bench.switch(**late)
    row = bench.insert(**newcomer(1))
    bench.fault(ADD, "drop_after")
    bench.push()
    assert bench.states() == ["unknown"]
    for _ in range(10):
        bench.clock.pass_(hours=2)
        bench.push(person=False)
        assert bench.states() in (["unknown"], ["done"]), (
            "the number is taken by ourselves: no refusal to show"
        )
    assert Counter(bench.phones())["919300000001"] == 1
    assert bench.states() == ["done"] and bench.row(row)["contact_id"]
    bench.quiet()


def test_a_lost_add_that_shows_before_the_second_look_where_the_vendor_takes_duplicates(bench: Bench) -> None:
    """If the vendor accepts duplicates, only the two lookups prevent one: a later contact is there twice."""
    bench.switch(duplicate_rule="none", visible_after_s=1.5)
    bench.insert(**newcomer(1))
    bench.fault(ADD, "drop_after")
    bench.push()
    assert bench.states() == ["unknown"]
    bench.push()
    assert Counter(bench.phones())["919300000001"] == 1
    bench.quiet("done")


@pytest.mark.parametrize("lag", [1, 100, 900])
def test_an_update_that_is_shown_late_is_not_pushed_for_ever(bench: Bench, lag: int) -> None:
    bench.switch(read_lag_s=lag)
    bench.edit(1, company="New")
    mark = bench.mark()
    for _ in range(20):
        bench.push(person=False)
        bench.clock.pass_(minutes=2)
    bench.run()
    assert bench.states() == ["done"]
    assert len(bench.writes(mark)) <= 6
    assert bench.row(1)["company"] == "New" and bench.upstream(1)["company"] == "New"
    bench.quiet()


def test_a_delete_that_is_shown_late(make_bench: Any) -> None:
    bench = make_bench(telecmi={"push": {"deletes": True}})
    bench.switch(delete_lag_s=300)
    bench.delete(1)
    mark = bench.mark()
    for _ in range(10):
        bench.run()
        bench.clock.pass_(minutes=2)
    assert bench.states() == ["done"]
    assert bench.row(1)["deleted_at"]
    assert len(bench.writes(mark)) <= 4
    bench.quiet()


@pytest.mark.parametrize("by_id", ["ignored", "404", "500"])
@pytest.mark.parametrize("lost", [True, False])
def test_a_vendor_that_does_not_answer_for_one_contact(make_bench: Any, by_id: str, lost: bool) -> None:
    bench = make_bench(telecmi={"push": {"deletes": True}})
    bench.switch(by_id=by_id)
    row = bench.insert(**newcomer(1))
    bench.edit(1, company="New")
    bench.delete(2)
    if lost:
        for path in (ADD, UPDATE, DELETE):
            bench.fault(path, "drop_after")
    for _ in range(4):
        bench.push()
        bench.clock.pass_(hours=1)
    assert bench.states() == ["done"] * 3, bench.queue()
    assert bench.upstream(row)["phone_no"] == "919300000001"
    assert bench.upstream(1)["company"] == "New"
    assert bench.ids[1] not in bench.directory() and len(bench.directory()) == 6
    mark = bench.mark()
    bench.push()
    assert bench.calls(mark) == []
    if by_id == "500":
        bench.edit(3, company="Once more")
        bench.push()
        bench.clock.pass_(hours=3)
        mark = bench.mark()
        bench.edit(4, company="And again")
        bench.push()
        assert Counter(bench.calls(mark))[READ] == 2, "it is not asked by id again for a day"
    bench.clock.pass_(hours=3)
    bench.quiet()


@pytest.mark.parametrize("count", ["off_by_one", "page", "zero", "absent", "string"])
def test_a_vendor_that_cannot_count(make_bench: Any, count: str) -> None:
    bench = make_bench(contacts=120, telecmi={"push": {"deletes": True}})
    bench.switch(count_mode=count)
    bench.run()
    bench.run()
    row = bench.insert(**newcomer(1))
    bench.edit(1, company="New")
    bench.delete(2)
    for path in (ADD, UPDATE, DELETE):
        bench.fault(path, "drop")
    for _ in range(5):
        bench.push()
        bench.clock.pass_(hours=1)
    phones = Counter(bench.phones())
    assert phones[newcomer(1)["phone_no"]] == 1
    assert bench.states() == ["done"] * 3, bench.queue()
    assert bench.row(row)["contact_id"]


def test_a_directory_that_never_holds_still(make_bench: Any) -> None:
    """New contacts appear during every listing: an add and an update still arrive, once."""
    bench = make_bench(contacts=120)
    never_hold_still(bench)
    row = bench.insert(**newcomer(1))
    bench.edit(1, company="New")
    mark = bench.mark()
    for _ in range(3):
        bench.push()
        bench.clock.pass_(hours=1)
    assert Counter(kind for kind, _ in bench.writes(mark)) == {"add": 1, "update": 1}
    assert bench.states() == ["done", "done"]
    assert bench.row(row)["contact_id"] in bench.directory()


# -- duplicates by the vendor's rule


@pytest.mark.parametrize("rule", ["none", "exact", "e164"])
def test_a_number_that_the_vendor_gained_between_look_and_add(bench: Bench, rule: str) -> None:
    """409 is evidence: the contact is looked up and adopted. If the vendor accepts duplicates, one is adopted too."""
    bench.switch(duplicate_rule=rule)
    row = bench.insert(**newcomer(1, company="Ours"))
    made: list[str] = []
    bench.before_next(ADD, lambda: made.append(bench.world.contact_insert(newcomer(1, company="Theirs"))))
    bench.push()
    assert bench.row(row)["contact_id"]
    phones = Counter(bench.phones())["919300000001"]
    assert phones == (2 if rule == "none" else 1)
    if rule != "none":
        assert bench.row(row)["contact_id"] == made[0]
        assert bench.states() == ["done", "conflict"], "both sides wrote the company: shown, not overwritten"
        assert bench.directory()[made[0]]["company"] == "Theirs"
    bench.quiet()


def test_a_duplicate_that_the_directory_does_not_show_is_reported_with_its_field(bench: Bench) -> None:
    bench.insert(**newcomer(1))
    bench.fault(ADD, "code", code=409, message="already exists", times=None)
    mark = bench.mark()
    bench.push()
    assert bench.states() == ["rejected"]
    assert "phone_no" in bench.change(1)["last_error"] and "409" in bench.change(1)["last_error"]
    assert len(listings(bench.world.requests(mark))) >= 3, "looked up, twice, before a person is told"
    bench.quiet()


def test_an_update_to_a_number_that_upstream_has_hidden_is_rejected_with_its_field(bench: Bench) -> None:
    hidden = bench.world.contact_insert(person(60))
    org = bench.world.org()
    org.hold_back(org.contacts[hidden], bench.clock.now().timestamp() + 3600, 0)
    bench.edit(1, phone_no="92000 00060")
    bench.push()
    assert "phone_no" in bench.reason("rejected")
    bench.quiet()


@pytest.mark.parametrize("mode", ["prefix", "others"])
def test_a_refused_batch_that_was_partly_applied_and_shows_late(bench: Bench, mode: str) -> None:
    bench.switch(batch_on_refusal=mode, visible_after_s=60)
    rows = [bench.insert(**newcomer(n)) for n in range(8)]
    bench.fault(ADD, "code", code=400, message="validation failed", applied="after")
    bench.push()
    for _ in range(3):
        bench.clock.pass_(minutes=30)
        bench.run()
    phones = Counter(bench.phones())
    assert all(phones[newcomer(n)["phone_no"]] == 1 for n in range(8)) and phones.total() == 14
    assert bench.states() == ["done"] * 8
    assert all(bench.row(row)["contact_id"] for row in rows)
    bench.quiet()
