"""What becomes of a contact that upstream no longer has."""

from __future__ import annotations

from typing import Any

import pytest

from syncer.core.contacts import Local, NewChange
from syncer.core.model import Operation, State
from syncer.core.upstream_delete import decide_upstream_delete, is_wanted
from tests.core.examples import NOW, ago, change, intent, local


@pytest.mark.parametrize(
    ("contact", "wanted"),
    [
        (local(), False),
        (local(base=None), True),
        (local(company="Apex"), True),
        (local(phone_no="+91 92000 00001"), False),  # another spelling is no edit
        (local(change(approved=True)), True),
        (local(change("delete", "unknown", approved=True)), True),
        (local(change("delete", "sending")), True),
        (local(change("delete", approved=True)), False),
        (local(change("delete", "held")), False),
        (local(intents=[intent("delete", sent_at=ago(days=6))]), True),
        (local(intents=[intent("delete", sent_at=ago(days=7))]), False),
        (local(intents=[intent("update")]), False),
    ],
)
def test_what_upstream_lost_is_added_again_only_where_it_is_wanted(contact: Local, wanted: bool) -> None:
    assert is_wanted(contact, "IN", NOW) is wanted


GONE = "the contact is gone upstream"
DELETE = change("delete", number=6)
LOST, REJECTED, CONFLICT = (
    change(state=state, number=n) for n, state in enumerate(("unknown", "rejected", "conflict"), 7)
)
EDITED = {"company": "Apex"}


@pytest.mark.parametrize(
    ("contact", "row", "moves"),
    [
        (local(), "delete", []),
        (local(change(), LOST, CONFLICT), "delete", [(5, "give_up", GONE), (7, "give_up", GONE), (9, "give_up", GONE)]),
        (local(change(state="sending")), "delete", []),  # its own answer decides
        (local(DELETE), "delete", [(6, "shown", None)]),  # brought back before it was sent
        (local(deleted=True), "forget base", []),
        (local(DELETE, change(), deleted=True), "forget base", [(6, "shown", None)]),
        (local(change(), **EDITED), "add again", [(5, "edit", None)]),
        (local(LOST, **EDITED), "add again", [(7, "not_there", None)]),
        (local(REJECTED, **EDITED), "add again", [(8, "edit", None)]),
        (local(CONFLICT, LOST, **EDITED), "add again", [(9, "keep_local", None), (7, "give_up", "continued in change 9")]),
        (local(DELETE, change(), **EDITED), "add again", [(6, "shown", None), (5, "edit", None)]),
        (local(change(state="sending"), change(number=7), **EDITED), "add again", [(7, "edit", None)]),
    ],
)  # fmt: skip
def test_what_becomes_of_the_row_and_its_changes(
    contact: Local, row: str, moves: list[tuple[Any, ...]]
) -> None:
    decision = decide_upstream_delete(contact, "IN", NOW)
    steps = [*decision.done, *decision.moves]
    assert decision.row == row
    assert [(one.change_id, one.event.name.lower(), one.note) for one in steps] == moves
    assert [one.change_id for one in decision.done] == ([6] if moves and moves[0][0] == 6 else [])
    becomes_add = [one for one in decision.moves if one.operation is Operation.ADD]
    assert becomes_add == (list(decision.moves[:1]) if row == "add again" else [])
    assert decision.new == ()


@pytest.mark.parametrize(
    "contact", [local(**EDITED), local(change(state="sending"), base=None), local(DELETE, **EDITED)]
)
def test_an_edit_without_a_change_is_queued_as_an_add(contact: Local) -> None:
    decision = decide_upstream_delete(contact, "IN", NOW)
    assert (decision.row, decision.moves) == ("add again", ())
    assert decision.new == (NewChange(Operation.ADD, State.QUEUED),)
