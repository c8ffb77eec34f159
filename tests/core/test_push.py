"""What becomes of each change once the directory was looked at."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from syncer.core.batches import batches, halves, payload
from syncer.core.contacts import Local, QueuedChange, Transition
from syncer.core.merge import Clash
from syncer.core.model import Fields, Operation, Proof, State
from syncer.core.numbers import PendingRelease
from syncer.core.push import (
    Observation,
    PushContext,
    PushDecision,
    PushFacts,
    Send,
    Settle,
    Wait,
    decide,
    decide_all,
    is_still_wanted,
    may_be_ours,
    newest_per_row,
)
from syncer.core.queue import Event
from tests.core.examples import BASE, NOW, ago, change, intent, local

SEEN = Observation(None, seen=True)
UNSEEN = Observation(None, seen=False)
GONE = Observation(Proof.COMPLETE, seen=False, gone=True)
LISTED = Observation(Proof.COMPLETE, seen=False, listings=2)
ONE_LOOK = Observation(Proof.COMPLETE, seen=False, listings=1)
DRIFTED = Observation(Proof.DRIFTED, seen=False, listings=2)
PARTIAL = Observation(Proof.PARTIAL, seen=False, listings=2)
RELEASE = PendingRelease(row=2, change=7, what="delete", for_person=False)
HELD_RELEASE = PendingRelease(row=2, change=7, what="delete", for_person=True)

UPDATE, LOST_UPDATE = change(), change(state="unknown")
ADD, LOST_ADD = change("add"), change("add", "unknown")
DELETE = change("delete")
CONFLICT = change(state="conflict", number=9, clashes={"company": Clash("Acme", "Apex", "Axle")})


def new(*changes: QueuedChange, **more: Any) -> Local:
    """A contact that was written here and is not upstream yet."""
    return local(*changes, **({"base": None, "contact_id": None, "source": ""} | more))


def said(decision: PushDecision) -> tuple[Any, ...]:
    """A decision in short: what is sent, the event with its note and effects, or why it waits."""
    match decision:
        case Send():
            return "send", str(decision.operation), decision.contact_id, dict(decision.fields)
        case Settle(move=move):
            effects = [name for name in ("revive", "gone", "show") if getattr(decision, name)]
            return (str(move.event), move.note or "", *effects)
        case Wait():
            effects = [name for name in ("look_again", "for_person") if getattr(decision, name)]
            return ("wait", decision.why, *effects)


LOOK = "waits for a look into the directory"
LOST = "its answer was lost and the contact is deleted here: looking for it upstream"
EMPTY = "phone_no is empty: upstream needs a number"
OLD_VALUE = "company: upstream accepted the change but still shows the old value, which was restored locally"
WHOLE = {name: value for name, value in BASE.asdict().items() if value}
THRICE = {"pushed": [{"company": "Apex"}] * 3}
TRIES = [intent(company="Apex", sent_at=ago(minutes=minutes)) for minutes in (10, 5, 1)]

CASES: dict[str, tuple[QueuedChange, Local, Observation, dict[str, Any], tuple[Any, ...]]] = {
    # updates
    "an edit goes out": (UPDATE, local(company="Apex"), SEEN, {}, ("send", "update", "c-1", {"company": "Apex"})),
    "a number as digits": (UPDATE, local(phone_no="092000 00002"), SEEN, {}, ("send", "update", "c-1", {"phone_no": "919200000002"})),
    "not looked at": (UPDATE, local(company="Apex"), UNSEEN, {}, ("wait", LOOK)),
    "edited, and gone upstream": (UPDATE, local(company="Apex"), GONE, {}, ("shown", "", "gone")),
    "gone, and not edited": (UPDATE, local(), GONE, {}, ("give_up", "undone before it was sent")),
    "undone": (UPDATE, local(), SEEN, {}, ("give_up", "undone before it was sent")),
    "undone but for the spelling": (UPDATE, local(phone_no="+91 92000 00001"), SEEN, {}, ("give_up", "undone before it was sent", "show")),
    "all of it in conflict": (UPDATE, local(CONFLICT, company="Apex"), SEEN, {}, ("give_up", "part of conflict 9")),
    "some of it in conflict": (UPDATE, local(CONFLICT, company="Apex", job_title="Head"), SEEN, {}, ("send", "update", "c-1", {"job_title": "Head"})),
    "number cleared": (UPDATE, local(phone_no=" "), SEEN, {}, ("refused", EMPTY)),
    "number masked": (UPDATE, local(phone_no="98******01"), SEEN, {}, ("refused", "phone_no is masked: write the full number")),
    "an unread number that was not edited": (UPDATE, local(base=BASE._replace(phone_no="?"), phone_no="?", company="Apex"), SEEN, {}, ("send", "update", "c-1", {"company": "Apex"})),
    "first name cleared": (UPDATE, local(first_name=" "), SEEN, {}, ("refused", "first_name is empty: upstream takes no contact without it")),
    "last name cleared": (UPDATE, local(last_name=""), SEEN, {}, ("refused", "last_name is empty: upstream takes no contact without it")),
    "email cleared": (UPDATE, local(email_id=""), SEEN, {}, ("send", "update", "c-1", {"email_id": ""})),
    "a damaged text": (UPDATE, local(company="\ufffd", job_title="\ufffd"), SEEN, {}, ("refused", "company, job_title: the value is not UTF-8 text: type it again")),
    "a number in the way": (UPDATE, local(phone_no="9200000002"), SEEN, {"in_the_way": [RELEASE]}, ("wait", "row 2, whose delete (change 7) is not upstream yet, holds this number")),
    "in the way, for a person": (UPDATE, local(phone_no="9200000002"), SEEN, {"in_the_way": [RELEASE, HELD_RELEASE]}, ("wait", "row 2, whose delete (change 7) is not upstream yet, holds this number; that waits for row 2: decide on change 7 first", "for_person")),
    "lost, looked up, and in the way": (LOST_UPDATE, local(LOST_UPDATE, phone_no="9200000002"), SEEN, {"in_the_way": [HELD_RELEASE]}, ("not_there", "row 2 holds this number, and its delete waits for a person: decide on change 7 first")),
    "the rest need not wait": (UPDATE, local(phone_no="9200000002", company="Apex"), SEEN, {"in_the_way": [RELEASE]}, ("send", "update", "c-1", {"company": "Apex"})),
    "nothing in the way of others": (UPDATE, local(company="Apex"), SEEN, {"in_the_way": [RELEASE]}, ("send", "update", "c-1", {"company": "Apex"})),
    "ignored three times in ten minutes": (UPDATE, local(company="Apex", intents=TRIES), SEEN, {}, ("refused", OLD_VALUE, "show")),
    "ignored three times at once": (UPDATE, local(company="Apex", intents=TRIES[1:] * 2), SEEN, {}, ("send", "update", "c-1", {"company": "Apex"})),
    "ignored twice": (UPDATE, local(company="Apex", intents=TRIES[:2]), SEEN, {}, ("send", "update", "c-1", {"company": "Apex"})),
    "clearing ignored twice": (UPDATE, local(company="", intents=[intent(company="")] * 2), SEEN, {}, ("refused", OLD_VALUE, "show")),
    "clearing ignored once": (UPDATE, local(company="", intents=[intent(company="")]), SEEN, {}, ("send", "update", "c-1", {"company": ""})),
    "other requests prove nothing": (UPDATE, local(company="", intents=[intent(company="", of=4), intent(company="", answer=None), intent(company="x")]), SEEN, {}, ("send", "update", "c-1", {"company": ""})),
    "pushed twice today": (UPDATE, local(company="Apex"), SEEN, {"pushed": [{"company": "Apex"}] * 2}, ("send", "update", "c-1", {"company": "Apex"})),
    "flips": (UPDATE, local(company="Apex"), SEEN, THRICE, ("refused", "company flips back and forth: the same value was pushed 3 times within a day; frozen until a person decides (queue retry or discard)")),
    "a retry may flip": (change(approved=True), local(company="Apex"), SEEN, THRICE, ("send", "update", "c-1", {"company": "Apex"})),
    "upstream keeps its spelling": (UPDATE, local(company="ACME"), SEEN, {"pushed": [{"company": "ACME"}] * 3}, ("give_up", "upstream keeps its own spelling of company, which the row shows again", "show")),
    "its spelling of one of two": (UPDATE, local(company="ACME", job_title="Head"), SEEN, {"pushed": [{"company": "ACME"}] * 3}, ("send", "update", "c-1", {"job_title": "Head"})),
    # adds
    "a new contact": (ADD, new(company="", job_title=""), LISTED, {}, ("send", "add", None, {name: WHOLE[name] for name in WHOLE if name not in ("company", "job_title")})),
    "new, after a drifted listing": (ADD, new(), DRIFTED, {}, ("send", "add", None, WHOLE)),
    "new, not looked up": (ADD, new(), UNSEEN, {}, ("wait", LOOK)),
    "new, partly listed": (ADD, new(), PARTIAL, {}, ("wait", LOOK)),
    "new, and shown": (ADD, new(), SEEN, {}, ("wait", "found upstream: taken over at the next look")),
    "new, without a number": (ADD, new(phone_no=""), LISTED, {}, ("refused", EMPTY)),
    "new, without a name": (ADD, new(last_name=" "), LISTED, {}, ("refused", "last_name is empty: upstream takes no contact without it")),
    "new, damaged": (ADD, new(company="\ufffd"), LISTED, {}, ("refused", "company: the value is not UTF-8 text: type it again")),
    "new, another has the number": (ADD, new(), LISTED, {"phone_owner": 3}, ("refused", "phone_no: row 3 holds this number; this goes on by itself once that row has given it up")),
    "a lost add, looked up, and the number is coming free": (LOST_ADD, new(LOST_ADD, intents=(intent("add", answer=None),)), LISTED, {"in_the_way": [HELD_RELEASE]}, ("not_there", "row 2 holds this number, and its delete waits for a person: decide on change 7 first")),
    "new, the number is coming free": (ADD, new(), LISTED, {"in_the_way": [HELD_RELEASE], "phone_owner": 3}, ("wait", "row 2 holds this number, and its delete waits for a person: decide on change 7 first", "for_person")),
    "of a user's list, not edited": (ADD, new(base=BASE, source="user_list"), LISTED, {}, ("give_up", "undone before it was sent")),
    "of a user's list, edited": (ADD, new(base=BASE, source="user_list", company="Apex"), LISTED, {}, ("send", "add", None, WHOLE | {"company": "Apex"})),
    "brought back, old id shown": (ADD, new(contact_id="c-1"), SEEN, {}, ("wait", LOOK)),
    "brought back, not looked up": (ADD, new(contact_id="c-1"), PARTIAL, {}, ("wait", LOOK)),
    "brought back, old id not shown": (ADD, new(contact_id="c-1"), LISTED, {}, ("shown", "", "gone")),
    "accepted just now": (LOST_ADD, new(intents=[intent("add")]), ONE_LOOK, {}, ("wait", "accepted; waiting for the directory to show it", "look_again")),
    "accepted, looked twice": (LOST_ADD, new(intents=[intent("add", sent_at=ago(hours=23))]), LISTED, {}, ("wait", "accepted; waiting for the directory to show it")),
    "accepted a day ago": (LOST_ADD, new(intents=[intent("add", sent_at=ago(days=1))]), LISTED, {}, ("refused", "upstream accepted it a day ago and its directory does not show it: retry or discard")),
    "lost, no complete listing": (LOST_ADD, new(intents=[intent("add", None)]), DRIFTED, {}, ("wait", "its answer was lost: waiting for a complete listing to look it up in")),
    "lost, one look": (LOST_ADD, new(intents=[intent("add", None)]), ONE_LOOK, {}, ("wait", "its answer was lost and it does not show: looking once more", "look_again")),
    "lost, two looks": (LOST_ADD, new(intents=[intent("add", None)]), LISTED, {}, ("send", "add", None, WHOLE)),
    "refused before": (ADD, new(intents=[intent("add", "refused")]), DRIFTED, {}, ("send", "add", None, WHOLE)),
    # edits of contacts that were deleted here meanwhile
    "edited, then deleted": (UPDATE, local(deleted=True), SEEN, {}, ("give_up", "the contact was deleted")),
    "lost update, deleted": (LOST_UPDATE, local(deleted=True), SEEN, {}, ("give_up", "the contact was deleted")),
    "lost add, deleted": (LOST_ADD, new(deleted=True), ONE_LOOK, {}, ("wait", LOST, "look_again")),
    "lost add, deleted, unlisted": (LOST_ADD, new(deleted=True), DRIFTED, {}, ("wait", LOST)),
    "lost add, deleted, shown": (LOST_ADD, new(deleted=True), Observation(Proof.COMPLETE, seen=True, listings=2), {}, ("wait", LOST)),
    "lost add, deleted, absent": (LOST_ADD, new(deleted=True), LISTED, {}, ("give_up", "the contact was deleted, and never reached upstream")),
    "accepted add, deleted": (LOST_ADD, new(deleted=True, intents=[intent("add")]), LISTED, {}, ("wait", LOST)),
    "accepted add, a day ago": (LOST_ADD, new(deleted=True, intents=[intent("add", sent_at=ago(days=1))]), LISTED, {}, ("give_up", "the contact was deleted, and never reached upstream")),
    # deletes
    "a delete goes out": (DELETE, local(DELETE, deleted=True), SEEN, {}, ("send", "delete", "c-1", {})),
    "of a user's list": (DELETE, new(DELETE, deleted=True, base=BASE, source="user_list"), SEEN, {}, ("refused", "the contact is in the user's own list only, and TeleCMI has no call to delete it there: it comes back", "revive")),
    "held": (change("delete", "held"), local(deleted=True), SEEN, {}, ("wait", "waits for a person")),
    "in conflict": (change("delete", "conflict"), local(deleted=True), SEEN, {}, ("wait", "waits for a person")),
    "held, and gone": (change("delete", "held"), local(deleted=True), GONE, {}, ("shown", "", "gone")),
    "held, never upstream": (change("delete", "held"), new(deleted=True), GONE, {}, ("give_up", "it never reached upstream")),
    "held, perhaps upstream": (change("delete", "held"), new(LOST_ADD, deleted=True), SEEN, {}, ("wait", "waits for a person")),
    "never upstream": (DELETE, new(DELETE, deleted=True), SEEN, {}, ("give_up", "it never reached upstream")),
    "perhaps upstream": (DELETE, new(DELETE, LOST_ADD, deleted=True), SEEN, {}, ("wait", "waits until its lost add is settled")),
    "gone already": (DELETE, local(DELETE, deleted=True), GONE, {}, ("shown", "", "gone")),
    "delete, not looked at": (DELETE, local(DELETE, deleted=True), UNSEEN, {}, ("wait", LOOK)),
    "brought back": (DELETE, local(DELETE), SEEN, {}, ("give_up", "the contact was brought back")),
    "a newer delete": (DELETE, local(DELETE, change("delete", number=8), deleted=True), SEEN, {}, ("give_up", "continued in change 8")),
    "delete accepted": (DELETE, local(DELETE, deleted=True, intents=[intent("delete", sent_at=ago(minutes=9))]), SEEN, {}, ("wait", "accepted; waiting for the directory to stop showing it")),
    "delete accepted long ago": (DELETE, local(DELETE, deleted=True, intents=[intent("delete", sent_at=ago(minutes=10))]), SEEN, {}, ("send", "delete", "c-1", {})),
    "too many": (DELETE, local(DELETE, deleted=True), SEEN, {"too_many_deletes": True}, ("hold", "more deletes at once than max_deletions allows: `syncer queue approve 5` lets it go")),
    "found by the scan": (change("delete", found_by="scan"), local(change("delete"), deleted=True), SEEN, {}, ("hold", "found by the scan: `syncer queue approve 5` lets it go")),
    "too many, approved": (change("delete", approved=True, found_by="scan"), local(DELETE, deleted=True), SEEN, {"too_many_deletes": True}, ("send", "delete", "c-1", {})),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_decision(name: str) -> None:
    asked, contact, look, context, expected = CASES[name]
    decision = decide(asked, contact, look, PushContext(NOW, "IN", **context))
    event, *rest = said(decision)
    assert (event.replace(" ", "_"), *rest) == expected
    assert decision.change is asked
    if isinstance(decision, Settle):
        assert decision.move.change_id == asked.id
        assert decision.show in ((), ("company",), ("phone_no",))
    if isinstance(decision, Send) and decision.operation is not Operation.DELETE:
        assert decision.seen == contact.fields
        number = decision.fields.get("phone_no")
        assert decision.phone_e164 == (f"+{number}" if number else None)


def send(operation: str = "update", number: int = 5, state: str = "queued", **more: Any) -> Send:
    return Send(change(operation, state, number, **more), Operation(operation), "c-1", {"company": "Apex"})


def test_the_newest_change_of_a_row_acts_alone() -> None:
    older, newer, deletes = send(), send(number=8), send("delete", 9)
    waits = Wait(change(number=7), "why")
    given_up = Settle(change(number=6), Transition(6, Event.GIVE_UP, "undone"))
    refused = Settle(change(number=4), Transition(4, Event.REFUSED, "no"))
    out = newest_per_row([older, newer, deletes, waits, given_up, refused])
    assert out[1:3] == [newer, deletes] and out[4] is given_up
    assert [said(out[n]) for n in (0, 3, 5)] == [("give up", "continued in change 8")] * 3
    assert newest_per_row([waits, deletes]) == [waits, deletes]


def test_a_block_is_decided_on_by_the_facts_of_each_row() -> None:
    swap = PendingRelease(row=1, change=3, what="new number", for_person=False)
    facts = PushFacts(
        NOW, "IN", observations={1: SEEN, 2: LISTED}, phone_owners={1: 9, 2: 9}, pushed={1: [{"company": "Apex"}] * 3},
        releases={"+919200000001": swap}, too_many_deletes=True,
    )  # fmt: skip
    other = replace(new(), row_id=2)
    moved = replace(other, fields=BASE._replace(phone_no="9200000002"))
    deleted = local(DELETE, deleted=True)
    expected = {
        "company flips back": (UPDATE, local(company="Apex")),
        "phone_no: row 9 holds this number": (ADD, moved),
        "row 1, whose new number (change 3)": (ADD, other),
        "waits for a look into the directory": (ADD, replace(other, row_id=3)),
        "more deletes at once": (DELETE, deleted),
    }
    for text, pair in expected.items():
        (decision,) = decide_all([pair], facts)
        assert said(decision)[1].startswith(text)
    older, newer = decide_all(
        [(UPDATE, local(company="Bolt")), (change(number=8), local(company="Bolt"))], facts
    )
    assert said(older) == ("give up", "continued in change 8") and isinstance(newer, Send)


@pytest.mark.parametrize(
    ("operation", "state", "contact_id", "fields", "deleted", "wanted"),
    [
        ("update", "queued", "c-1", BASE, False, True),
        ("update", "unknown", "c-1", BASE, False, True),
        ("update", "sending", "c-1", BASE, False, False),
        ("update", "queued", "c-2", BASE, False, False),
        ("update", "queued", "c-1", BASE._replace(company="x"), False, False),
        ("update", "queued", "c-1", BASE, True, False),
        ("delete", "queued", "c-1", BASE, True, True),
        ("delete", "queued", "c-1", BASE, False, False),
    ],
)
def test_what_was_decided_goes_out_only_if_nothing_changed_since(
    operation: str, state: str, contact_id: str, fields: Fields, deleted: bool, wanted: bool
) -> None:
    decided = Send(change(operation), Operation(operation), "c-1", {}, seen=BASE)
    assert is_still_wanted(decided, State(state), contact_id, fields, deleted=deleted) is wanted


@pytest.mark.parametrize(
    ("operation", "earlier", "code", "ours"),
    [
        ("add", [intent("add", None)], 409, True),
        ("add", [intent("add", None)], 400, False),
        ("add", [intent("add", sent_at=ago(hours=23))], 409, True),
        ("add", [intent("add", sent_at=ago(days=1))], 409, False),
        ("add", [intent("add", "refused")], 409, False),
        ("add", [intent("update", None)], 409, False),
        ("add", [], 409, False),
        ("delete", [intent("delete", None, sent_at=ago(minutes=9))], 404, True),
        ("delete", [intent("delete", None, sent_at=ago(minutes=10))], 404, False),
        ("update", [intent("update", None)], 409, False),
    ],
)
def test_whether_a_refusal_may_mean_an_earlier_call_was_applied(
    operation: str, earlier: list[Any], code: int, ours: bool
) -> None:
    assert may_be_ours(send(operation), earlier, code, NOW) is ours


def test_calls_hold_one_operation_and_what_failed_before_goes_apart() -> None:
    fresh = [send(number=n) for n in range(101)]
    kept = send(number=101, attempts=3)  # its tries were never processed
    attempts = {102: 5, 103: 5, 104: 5, 105: 5, 106: 40}
    tried = [send(number=n, state="unknown", attempts=tries) for n, tries in attempts.items()]
    out = batches([send("delete", 108), send("add", 107), *tried, *fresh, kept])
    numbers = [[one.change.id for one in call] for call in out]
    assert numbers[0] == list(range(100))
    assert numbers[1:] == [[100, 101], [102, 103, 104], [105], [106], [107], [108]]


def test_halves_and_payloads() -> None:
    assert halves([send(number=1), send(number=2), send(number=3)]) == [
        (send(number=1), send(number=2)), (send(number=3),)
    ]  # fmt: skip
    assert payload(send()) == {"contact_id": "c-1", "company": "Apex"}
    assert payload(send("add")) == {"company": "Apex"}
