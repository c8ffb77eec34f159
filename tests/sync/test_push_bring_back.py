"""Contacts that are restored while their delete is being sent end up live on both sides."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.grid import sample
from tests.sync.push_bench import DELETE, READ, Bench, KilledError, die, person


@pytest.fixture
def make_bench(make_bench: Any) -> Any:
    return lambda deletes=True: make_bench(telecmi={"push": {"deletes": deletes}})


def send_delete(bench: Bench, loss: str) -> None:
    """Delete row 1 and send that. Its outcome stays unknown."""
    bench.delete(1)
    if bench.states() == ["held"]:
        bench.decide("approve", 1)
    match loss:
        case "lost":
            bench.fault(DELETE, "drop", applied="after")
            bench.blind_after(DELETE)
        case "never arrived":
            bench.fault(DELETE, "drop", applied="before")
            bench.blind_after(DELETE)
        case "accepted, not read back":
            bench.blind_after(DELETE)
        case "killed":
            bench.at_next("push: answered", die)
    try:
        bench.push()
    except* KilledError:
        bench.restart()
    bench.world.faults.clear()
    assert set(bench.states()) <= {"unknown", "sending"}, bench.queue()


def is_on_both_sides(bench: Bench, **fields: Any) -> None:
    """Row 1 is live, upstream has it once, and nothing is left to do."""
    for _ in range(3):
        bench.clock.pass_(hours=2)
        bench.run()
    assert Counter(bench.phones()) == Counter(person(n)["phone_no"] for n in range(1, 7))
    row = bench.row(1)
    assert row["deleted_at"] is None
    assert bench.upstream(1) == {"contact_id": row["contact_id"], **person(1, **fields)}
    bench.is_settled()


LOSSES = ("lost", "killed", "accepted, not read back", "never arrived")


@pytest.mark.parametrize("loss, before, after, edited", sample(5, LOSSES, range(3), range(4), [False, True]))
def test_brought_back_while_its_delete_is_in_flight(
    make_bench: Any, loss: str, before: int, after: int, edited: bool
) -> None:
    """`before` listings before it is restored, and `after` listings from then to the next push."""
    bench = make_bench()
    send_delete(bench, loss)
    bench.pull(before)
    bench.back(1)
    if edited:
        bench.edit(1, company="New")
    bench.pull(after)
    is_on_both_sides(bench, **({"company": "New"} if edited else {}))


@pytest.mark.parametrize("after", [0, 1, 2])
@pytest.mark.parametrize("loss", LOSSES)
def test_brought_back_after_its_held_delete_was_approved(make_bench: Any, loss: str, after: int) -> None:
    bench = make_bench(deletes=False)
    send_delete(bench, loss)
    bench.back(1)
    bench.pull(after)
    is_on_both_sides(bench)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("after", [0, 1, 2])
def test_brought_back_during_the_very_call(make_bench: Any, when: str, after: int) -> None:
    bench = make_bench()
    bench.delete(1)
    hook = bench.before_next if when == "before" else bench.after_next
    hook(DELETE, lambda: bench.back(1))
    bench.push()
    bench.pull(after)
    is_on_both_sides(bench)


def test_brought_back_between_a_listing_and_what_it_settles(make_bench: Any) -> None:
    """The listing found the row deleted locally; when that is written, it is live again."""
    bench = make_bench(deletes=False)
    bench.delete(1)
    bench.world.contact_delete(bench.ids[0])
    bench.after_next(READ, lambda: bench.back(1))
    bench.contacts()
    is_on_both_sides(bench)


@pytest.mark.parametrize("pulls", [0, 1, 2, 3])
@pytest.mark.parametrize("deletes", [True, False])
def test_brought_back_after_upstream_had_deleted_it_unseen(
    make_bench: Any, deletes: bool, pulls: int
) -> None:
    """Its delete was never sent, and upstream deleted it too: restoring it still adds it."""
    bench = make_bench(deletes=deletes)
    bench.delete(1)
    bench.world.contact_delete(bench.ids[0])
    bench.back(1)
    bench.pull(pulls)
    is_on_both_sides(bench)


@pytest.mark.parametrize("days", [0, 3])
@pytest.mark.parametrize("pulls", [0, 1, 2])
def test_a_delete_that_takes_effect_after_the_contact_was_brought_back_and_seen(
    make_bench: Any, pulls: int, days: int
) -> None:
    """The vendor keeps showing it for a while: nothing is left to do, and then it is gone."""
    bench = make_bench()
    bench.switch(delete_lag_s=300)
    send_delete(bench, "lost")
    bench.back(1)
    bench.push()
    assert set(bench.states()) <= {"done", "discarded"}
    bench.clock.pass_(days=days, minutes=20)
    bench.pull(pulls)
    is_on_both_sides(bench)


def test_an_upstream_delete_long_after_a_lost_one_is_upstreams_own(make_bench: Any) -> None:
    bench = make_bench()
    send_delete(bench, "never arrived")
    bench.back(1)
    bench.run()
    bench.clock.pass_(days=8)
    bench.world.contact_delete(bench.ids[0])
    mark = bench.mark()
    for _ in range(3):
        bench.run()
        bench.clock.pass_(minutes=20)
    assert bench.row(1)["deleted_at"] and bench.writes(mark) == []
    bench.quiet()


@pytest.mark.parametrize("loss, pulls, again", sample(3, LOSSES, range(3), range(3)))
def test_deleted_again_after_it_was_brought_back(make_bench: Any, loss: str, pulls: int, again: int) -> None:
    bench = make_bench()
    send_delete(bench, loss)
    bench.back(1)
    bench.pull(pulls)
    bench.delete(1)
    bench.pull(again)
    mark = bench.mark()
    for _ in range(4):
        bench.run()
        bench.clock.pass_(hours=1)
    assert bench.ids[0] not in bench.directory() and len(bench.directory()) == 5
    assert bench.row(1)["deleted_at"]
    sent = [one for _, body in bench.writes(mark) for one in body.get("contact_ids", [])]
    assert len(sent) == len(set(sent)), "one contact is not deleted twice in a call"
    bench.is_settled()


def test_an_older_approval_does_not_let_a_newer_held_delete_go(make_bench: Any) -> None:
    bench = make_bench(deletes=False)
    send_delete(bench, "never arrived")
    bench.back(1)
    bench.delete(1)
    mark = bench.mark()
    for _ in range(3):
        bench.run()
        bench.clock.pass_(hours=1)
    assert bench.writes(mark) == [] and bench.ids[0] in bench.directory()
    assert bench.states()[-1] == "held" and set(bench.states()[:-1]) == {"discarded"}
    bench.decide("approve", len(bench.states()))
    bench.run()
    assert bench.ids[0] not in bench.directory()


@pytest.mark.parametrize("when", ["at once", "after the list shows it alone"])
def test_a_contact_of_the_users_list_is_added_to_the_directory_again(make_bench: Any, when: str) -> None:
    """Our delete removed it from the directory, and the user's list keeps it: no second row stays."""
    bench = make_bench()
    bench.world.user_contact_upsert("9200000001", {"name": "Asha Rao1", "email": "asha1@example.com"})
    bench.run()
    send_delete(bench, "lost")
    if when == "at once":
        bench.back(1)
    bench.run()
    bench.run()
    if when != "at once":
        assert bench.one("SELECT count(*) FROM telecmi_contacts WHERE contact_id IS NULL") == 1
        bench.back(1)
    is_on_both_sides(bench)
    living = bench.sql(
        "SELECT id FROM telecmi_contacts WHERE phone_e164 = '+919200000001' AND deleted_at IS NULL"
    )
    assert living == [(1,)]


@pytest.mark.parametrize("deletes", [True, False])
def test_a_contact_of_the_users_list_alone(make_bench: Any, deletes: bool) -> None:
    """No call can delete it. Restored before or after the refusal, it stays."""
    bench = make_bench(deletes=deletes)
    bench.world.user_contact_upsert("9400000001", {"name": "Kiran Das", "email": "kiran@example.com"})
    bench.run()
    bench.run()
    row = int(bench.one("SELECT id FROM telecmi_contacts WHERE phone_e164 = '+919400000001'"))
    mark = bench.mark()
    bench.delete(row)
    bench.back(row)
    bench.run()
    assert bench.row(row)["deleted_at"] is None and bench.writes(mark) == []
    assert set(bench.states()) == {"discarded"}
    bench.quiet()


def test_an_edit_that_was_undone_does_not_bring_back_what_upstream_deleted(make_bench: Any) -> None:
    bench = make_bench()
    bench.edit(1, company="Oops")
    bench.edit(1, company="Example Traders")
    bench.world.contact_delete(bench.ids[0])
    mark = bench.mark()
    for _ in range(3):
        bench.run()
        bench.clock.pass_(minutes=20)
    assert bench.row(1)["deleted_at"] and bench.writes(mark) == []
    bench.quiet("discarded")


@pytest.mark.parametrize("first", ["pull", "push"])
@pytest.mark.parametrize("same", [True, False])
def test_somebody_upstream_adds_the_number_again_meanwhile(make_bench: Any, first: str, same: bool) -> None:
    """Found by search: the restored row adopts that contact, like an inserted one."""
    bench = make_bench()
    bench.delete(1)
    bench.run()
    bench.run()
    new = bench.world.contact_insert(person(1) if same else person(1, company="Theirs"))
    bench.back(1)
    bench.contacts() if first == "pull" else bench.push()
    bench.run()
    assert bench.one("SELECT count(*) FROM telecmi_contacts WHERE deleted_at IS NULL") == 6
    assert bench.row(1)["contact_id"] == new and len(bench.directory()) == 6
    assert bench.change(2)["state"] == ("done" if same else "conflict"), bench.queue()
    bench.quiet()
