"""What undoes edits of a contact."""

from __future__ import annotations

import pytest

from syncer.core.model import Fields
from syncer.core.undo import Current, Edit, Undo, undo

NOW = Fields("919200000001", "Asha", "Example", "", "New", "")
COMPANY = Edit("update", "company", "Old", "New")
INSERT, DELETE = Edit("insert"), Edit("delete")
REVIVAL = Edit("update", "deleted_at", "2026-11-21T09:30:00.000Z", None)


def undone(*edits: Edit, now: Fields = NOW, deleted: bool = False, later: tuple[Edit, ...] = ()) -> Undo:
    return undo(Current(1, now, deleted), edits, later, "IN")


@pytest.mark.parametrize(
    ("edits", "now", "expected"),
    [
        ([COMPANY], NOW, Undo(1, "restore", {"company": "Old"})),
        ([Edit("update", "company", None, "New")], NOW, Undo(1, "restore", {"company": ""})),
        # Several edits of one field: back to what was there before the first.
        ([Edit("update", "company", "Old", "Mid"), Edit("update", "company", "Mid", "New")], NOW,
         Undo(1, "restore", {"company": "Old"})),
        # Another spelling of the value is the value.
        ([Edit("update", "company", "Old", "new")], NOW, Undo(1, "restore", {"company": "Old"})),
        ([Edit("update", "phone_no", "5", "092000 00001")], NOW, Undo(1, "restore", {"phone_no": "5"})),
        # Undone already, or undone by the edits themselves.
        ([COMPANY], NOW._replace(company="Old"), Undo(1, "nothing")),
        ([COMPANY, Edit("update", "company", "New", "Old")], NOW, Undo(1, "nothing")),
        # Changed since.
        ([COMPANY], NOW._replace(company="Newer"), Undo(1, "keep", {}, ("company",), "changed since: company")),
        ([COMPANY, Edit("update", "first_name", "A", "Asha")], NOW._replace(company="Newer"),
         Undo(1, "restore", {"first_name": "A"}, ("company",), "changed since: company")),
    ],
)  # fmt: skip
def test_fields_go_back_unless_they_were_changed_since(
    edits: list[Edit], now: Fields, expected: Undo
) -> None:
    assert undone(*edits, now=now) == expected


def test_an_added_contact_goes_unless_it_was_edited_since() -> None:
    assert undone(INSERT, COMPANY) == Undo(1, "delete")
    assert undone(INSERT, deleted=True) == Undo(1, "nothing")
    respelled = Edit("update", "company", "New", "NEW")
    assert undone(INSERT, later=(respelled, Edit("delete"))).action == "delete"
    number = Edit("update", "phone_no", "919200000001", "092000 00001")
    assert undone(INSERT, later=(number,)).action == "delete"
    name = Edit("update", "first_name", "A", "B")
    kept = undone(INSERT, later=(COMPANY, COMPANY, name))
    reason = "the contact was edited since: company, first_name"
    assert kept == Undo(1, "keep", kept=("company", "first_name"), reason=reason)
    assert undone(REVIVAL) == Undo(1, "delete")
    assert undone(INSERT, DELETE) == undone(REVIVAL, DELETE) == Undo(1, "nothing")


def test_a_deleted_contact_comes_back_with_its_values() -> None:
    assert undone(DELETE, deleted=True) == Undo(1, "bring back")
    assert undone(COMPANY, DELETE, deleted=True) == Undo(1, "bring back", {"company": "Old"})
    assert undone(DELETE).action == "nothing"
    now = NOW._replace(company="Newer", first_name="Other")
    more = Edit("update", "first_name", "A", "Asha")
    kept = undone(COMPANY, more, DELETE, now=now, deleted=True)
    assert kept == Undo(1, "bring back", {}, ("first_name", "company"), "changed since: first_name, company")
    assert undone(DELETE, REVIVAL, COMPANY) == Undo(1, "restore", {"company": "Old"})


def test_a_contact_that_was_deleted_since_stays_deleted() -> None:
    assert undone(COMPANY, deleted=True) == Undo(1, "keep", reason="the contact was deleted since")
