"""What one contact of the directory means for its row."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from syncer.core.contacts import (
    Local,
    NewChange,
    Reconciliation,
    Transition,
    keep_values,
    reconcile,
    reconcile_listed,
    refused_blanks,
    turned_blank,
)
from syncer.core.merge import Clash
from syncer.core.model import DirectoryContact, Fields, OnConflict, Operation, State
from syncer.core.queue import Event
from tests.core.examples import BASE, ago, change, intent, local, shown

DELETE = change("delete", number=6)
APEX_AXLE = {"company": Clash("Acme", "Apex", "Axle")}
CONFLICT = change(state="conflict", number=9, clashes=APEX_AXLE)
EDIT_WINS = "upstream changed the contact meanwhile: an edit beats a delete"
BOTH = "both sides changed company"


def outcome(contact: Local, remote: DirectoryContact, on_conflict: OnConflict = "ask") -> Reconciliation:
    return reconcile(contact, remote, region="IN", on_conflict=on_conflict)


def steps(result: Reconciliation) -> list[tuple[Any, ...]]:
    """Every move and every new change in short."""
    moved = [(m.change_id, m.event.name.lower(), m.note or "") for m in result.moves]
    return [*moved, *(("new", str(new.operation), str(new.state), new.note or "") for new in result.new)]


SENT = change(state="sending", fields={"company": "Apex"})
LOST = change(state="unknown", fields={"company": "Apex"})
REJECTED = change(state="rejected")

#: The row, what upstream shows (fields unlike the base), and what follows.
LIVING: dict[str, tuple[Local, dict[str, str], list[tuple[Any, ...]]]] = {
    "nothing new": (local(), {}, []),
    "only upstream changed": (local(), {"company": "Axle"}, []),
    "an edit waits": (local(change(), company="Apex"), {}, []),
    "an edit that the queue lacks": (local(company="Apex"), {}, [("new", "update", "queued", "")]),
    "an edit that upstream has already": (local(change(), company="Apex"), {"company": "Apex"}, [(5, "shown", "")]),
    "a refused edit that upstream has": (local(REJECTED, company="Apex"), {"company": "Apex"}, [(5, "shown", "")]),
    "what was sent shows": (local(SENT, company="Apex", intents=[intent(company="Apex")]), {"company": "Apex"}, [(5, "shown", "")]),
    "what was lost shows": (local(LOST, company="Apex", intents=[intent(answer=None, company="Apex")]), {"company": "Apex"}, [(5, "shown", "")]),
    "what was sent does not show": (local(SENT, company="Apex", intents=[intent(company="Apex")]), {}, []),
    "respelled and accepted": (local(change(state="sending", fields={"company": "ACME"}), company="ACME", intents=[intent(company="ACME")]), {}, [(5, "shown", "")]),
    "respelled, refused last": (local(change(state="unknown", fields={"company": "ACME"}), company="ACME", intents=[intent(company="ACME"), intent(answer="refused", company="ACME")]), {}, []),
    "in flight without fields": (local(change(state="sending")), {"company": "Axle"}, []),
    "both changed a field": (local(change(), company="Apex"), {"company": "Axle"}, [(5, "clash", BOTH)]),
    "both, without a change": (local(company="Apex"), {"company": "Axle"}, [("new", "update", "conflict", BOTH)]),
    "both, while sending": (local(change(state="sending"), company="Apex"), {"company": "Axle"}, [("new", "update", "conflict", BOTH)]),
    "one field in conflict, one to send": (local(change(), company="Apex", job_title="Head"), {"company": "Axle"}, [("new", "update", "conflict", BOTH)]),
    "the same conflict": (local(CONFLICT, company="Apex"), {"company": "Axle"}, []),
    "the conflict moves on": (local(CONFLICT, company="Apex"), {"company": "Bolt"}, [(9, "clash", BOTH)]),
    "a conflict that is alike again": (local(CONFLICT, company="Axle"), {"company": "Axle"}, [(9, "shown", "")]),
    "upstream takes its side back": (local(CONFLICT, company="Apex"), {}, [(9, "keep_local", "")]),
    "so it does while another waits": (local(CONFLICT, change(), company="Apex"), {}, [(9, "give_up", "continued in change 5")]),
    "an add finds its number upstream": (local(change("add"), base=None, contact_id=None), {}, [(5, "shown", "")]),
    "and other values, which are sent": (local(change("add"), base=None, contact_id=None, company="Apex"), {"company": ""}, [(5, "edit", "")]),
    "and other values, in conflict": (local(change("add"), base=None, contact_id=None, company="Apex"), {}, [(5, "clash", BOTH)]),
    "a lost add shows": (local(change("add", "unknown"), base=None, contact_id=None), {}, [(5, "shown", "")]),
}  # fmt: skip


@pytest.mark.parametrize("name", LIVING)
def test_a_living_contact(name: str) -> None:
    contact, upstream, expected = LIVING[name]
    result = outcome(contact, shown(**upstream))
    assert steps(result) == expected
    assert not result.deleted and not result.restored
    for move in result.moves:
        by_add = move.event in (Event.EDIT, Event.CLASH) and move.change_id == 5
        assert move.operation is (Operation.UPDATE if by_add else None)
        if move.event is Event.CLASH:
            assert move.clashes and set(move.clashes) == {"company"}


def test_what_a_conflict_says() -> None:
    move = Transition(5, Event.CLASH, BOTH, Operation.UPDATE, APEX_AXLE)
    assert outcome(local(change(), company="Apex"), shown(company="Axle")).moves == (move,)
    new = NewChange(Operation.UPDATE, State.CONFLICT, APEX_AXLE, BOTH)
    assert outcome(local(company="Apex"), shown(company="Axle")).new == (new,)
    two = outcome(local(change(), company="Apex", job_title="Head"), shown(company="Axle", job_title="Boss"))
    assert two.moves[0].note == "both sides changed company, job_title"
    turned = outcome(local(change(), change(number=7), company="Apex"), shown(company="Axle"))
    assert steps(turned) == [(5, "clash", BOTH)], "one of the changes is enough"


def test_on_conflict_decides_without_a_person() -> None:
    contact = local(change(), company="Apex", job_title="Head")
    ours = outcome(contact, shown(company="Axle"), "local")
    assert (ours.local.company, ours.base.company) == ("Apex", "Axle")
    assert ours.overruled == {"company": ("Axle", "Apex")} and not steps(ours)
    theirs = outcome(contact, shown(company="Axle", job_title="Boss"), "remote")
    assert theirs.local == theirs.base == BASE._replace(company="Axle", job_title="Boss")
    assert steps(theirs) == [(5, "give_up", "upstream's company, job_title was kept, as on_conflict says")]


def test_upstreams_values_and_blanks_are_listed() -> None:
    result = outcome(local(), shown(company="", job_title="Head", email_id=""))
    assert result.taken == {
        "company": ("Acme", ""),
        "job_title": ("Lead", "Head"),
        "email_id": ("asha@example.com", ""),
    }
    assert result.blanks == ("email_id", "company") and result.settled
    assert result.local == result.base == BASE._replace(company="", job_title="Head", email_id="")
    assert outcome(local(company="Apex"), shown(job_title="")).local == BASE._replace(
        company="Apex", job_title=""
    )


ADD = change("add", "unknown", fields=BASE.asdict())
ADDED = intent("add", None, **BASE.asdict())

#: A deleted row, what upstream shows, whether the row returns, and what follows.
DELETED: dict[str, tuple[Local, dict[str, str], bool, list[tuple[Any, ...]]]] = {
    "upstream is as it was": (local(DELETE), {}, False, []),
    "upstream edited it": (local(DELETE), {"company": ""}, True, [(6, "give_up", EDIT_WINS)]),
    "held, and edited": (local(change("delete", "held", 6)), {"company": "Axle"}, True, [(6, "give_up", EDIT_WINS)]),
    "approved, and edited": (local(change("delete", number=6, approved=True)), {"company": "Axle"}, False, [(6, "clash", "upstream changed the contact after its delete was approved")]),
    "the conflict is known": (local(change("delete", "conflict", 6, clashes={"company": Clash("Acme", "", "Axle")})), {"company": "Axle"}, False, []),
    "the conflict moves on": (local(change("delete", "conflict", 6, clashes={"company": Clash("Acme", "", "Axle")})), {"company": "Bolt"}, False, [(6, "clash", "upstream changed the contact after its delete was approved")]),
    "being sent": (local(change("delete", "sending", 6)), {"company": "Axle"}, False, []),
    "approved and being sent": (local(change("delete", "sending", 6, approved=True)), {"company": "Axle"}, False, []),
    "our own update shows": (local(DELETE, change(state="unknown", fields={"company": "Apex"}), intents=[intent(answer=None, company="Apex")]), {"company": "Apex"}, False, [(5, "shown", "")]),
    "our update does not show": (local(DELETE, change(state="unknown", fields={"company": "Apex"}), intents=[intent(answer=None, company="Apex")]), {}, False, []),
    "it was gone, and is back": (local(base=None), {}, True, []),
    "a lost add shows": (local(DELETE, ADD, base=None, contact_id=None, intents=[ADDED]), {}, False, [(5, "shown", "")]),
    "a lost add, edited upstream": (local(DELETE, ADD, base=None, contact_id=None, intents=[ADDED]), {"company": "Axle"}, True, [(5, "shown", ""), (6, "give_up", EDIT_WINS)]),
    "a number that was never sent": (local(DELETE, base=None, contact_id=None), {"company": "Axle"}, False, []),
}  # fmt: skip


#: Where nothing is agreed on: a person or the answer to our own request decides.
UNDECIDED = {
    "approved, and edited", "the conflict is known", "the conflict moves on", "being sent", "approved and being sent",
}  # fmt: skip
#: Where older requests have done their work.
SETTLED = {name for name, (*_, moves) in DELETED.items() if moves and name not in UNDECIDED}


@pytest.mark.parametrize("name", DELETED)
def test_a_deleted_contact(name: str) -> None:
    contact, upstream, returns, expected = DELETED[name]
    contact, remote = replace(contact, deleted_at=ago(hours=1)), shown(**upstream)
    result = outcome(contact, remote)
    assert steps(result) == expected
    assert (result.deleted, result.restored) == (not returns, returns)
    assert result.local == (remote.fields if returns else contact.fields)
    assert result.base == (contact.base if name in UNDECIDED else remote.fields)
    assert result.blanks == (("company",) if upstream.get("company") == "" else ())
    assert result.settled is (name in SETTLED or name == "a number that was never sent")
    if result.moves and result.moves[-1].event is Event.CLASH:
        assert result.moves[-1].clashes == {"company": Clash("Acme", "", upstream["company"])}


def test_blanks_keep_their_values_until_they_are_allowed() -> None:
    blank = shown(company="", email_id="")
    assert turned_blank(BASE, blank.fields) == ("email_id", "company")
    assert turned_blank(None, blank.fields) == () == turned_blank(Fields(), blank.fields)
    kept = keep_values(blank, local(company="Apex"), ["company"])
    assert (kept.fields, kept.raw) == (BASE._replace(email_id=""), '{"v":1}')
    assert keep_values(blank, local(raw=None), ["company"]).raw == '{"v":2}'
    assert keep_values(blank, local(), []) is blank is keep_values(blank, local(base=None), ["company"])
    assert refused_blanks(local(company="Apex"), ["company", "email_id"], "IN") == ["email_id"]
    assert refused_blanks(local(base=None), ["company"], "IN") == ["company"]
    assert refused_blanks(local(deleted=True), ["company"], "IN") == []


@pytest.mark.parametrize(
    ("contact", "upstream", "kept", "defer", "deferred", "company"),
    [
        (local(), {"company": ""}, [], True, ("company",), ""),
        (local(), {"company": ""}, [], False, (), "Acme"),
        (local(), {"company": ""}, ["company"], True, ("company",), "Acme"),
        (local(), {"company": ""}, ["company"], False, (), "Acme"),
        (local(), {"company": "Axle"}, ["company"], True, (), "Axle"),
        (local(company="Apex"), {"company": ""}, [], False, (), "Apex"),
        (local(deleted=True), {"company": ""}, [], False, (), ""),
    ],
)
def test_a_field_that_would_turn_blank_waits_or_keeps_its_value(
    contact: Local, upstream: dict[str, str], kept: list[str], defer: bool, deferred: Any, company: str
) -> None:
    listed = reconcile_listed(
        contact, shown(**upstream), kept, defer_blanks=defer, region="IN", on_conflict="ask"
    )
    assert (listed.deferred, listed.result.local.company) == (deferred, company)
    assert listed.remote.raw == ('{"v":1}' if company == "Acme" else '{"v":2}')


def test_what_is_known_of_a_row() -> None:
    assert local().known and not local(base=None).known and not local(contact_id=None).known
    lost = local(
        change("delete", "unknown"), LOST, intents=[intent("delete"), intent(answer="refused", company="x")]
    )
    assert [one.operation for one in lost.open(State.UNKNOWN)] == [Operation.UPDATE]
    assert [one.operation for one in lost.open(State.UNKNOWN, delete=True)] == [Operation.DELETE]
    assert [(one.fields, one.accepted) for one in lost.sent] == [({"company": "x"}, False)]


def test_a_number_is_read_by_the_region() -> None:
    """Upstream shows the number of a row without its country code: no edit, no conflict and no change."""
    assert not steps(outcome(local(), shown(phone_no="9200000001")))
    sent = change(state="unknown", fields={"phone_no": "919200000002"})
    contact = local(sent, phone_no="92000 00002", intents=[intent(answer=None, phone_no="919200000002")])
    assert steps(outcome(contact, shown(phone_no="09200000002"))) == [(5, "shown", "")]
    assert not steps(outcome(local(DELETE, deleted=True), shown(phone_no="9200000001")))


def test_blanks_that_a_lookup_shows_wait_for_a_listing() -> None:
    for policy, company in (("ask", "Acme"), ("remote", "")):
        contact = local(change(), company="Apex") if policy == "remote" else local()
        found = reconcile_listed(
            contact, shown(company=""), (), defer_blanks=False, region="IN", on_conflict=policy
        )
        assert found.result.local.company == company, policy
