"""Contacts that follow a user's own list."""

from __future__ import annotations

from typing import Any

import pytest

from syncer.core.contacts import Local
from syncer.core.model import Fields
from syncer.core.user_list import ListDecision, ListRow, derived, follow_list
from tests.core.examples import BASE, local


def test_the_fields_of_a_row() -> None:
    assert derived("Asha Devi Example", "919200000001", None) == Fields(
        "919200000001", "Asha Devi", "Example"
    )
    assert derived(None, "919200000001", "a@example.com") == Fields("919200000001", email_id="a@example.com")


def listed(raw: str = '{"v":2}', **edits: str) -> ListRow:
    return ListRow(BASE._replace(**edits), "+919200000001", raw)


@pytest.mark.parametrize(
    ("contact", "row", "action", "taken"),
    [
        (local(), listed(raw='{"v":1}'), "keep", {}),
        (local(), listed(), "update", {}),  # another stamp alone
        (local(), listed(raw='{"v":1}', last_name="B"), "update", {"last_name": ("Example", "B")}),
        (local(last_name="C"), listed(last_name="B", email_id=""), "update", {"email_id": ("asha@example.com", "")}),
        (local(phone_no="+91 92000 00001"), listed(phone_no="919200000002"), "update", {"phone_no": ("+91 92000 00001", "919200000002")}),
        (local(), None, "delete", {}),
        (local(phone_no="+91 92000 00001"), None, "delete", {}),  # another spelling is no edit
        (local(last_name="C"), None, "keep", {}),
        (local(deleted=True, last_name="C"), None, "forget base", {}),
        (local(deleted=True), listed(last_name="B"), "update", {"last_name": ("Example", "B")}),
    ],
)  # fmt: skip
def test_what_the_list_means_for_a_contact(
    contact: Local, row: ListRow | None, action: Any, taken: Any
) -> None:
    assert follow_list(contact, BASE, row, "IN") == ListDecision(action, taken)
