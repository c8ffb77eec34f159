"""What becomes of an edit from a published copy."""

from __future__ import annotations

from typing import Any

import pytest

from syncer.core.copy_edits import FORGOTTEN, CopyEdit, Decision, Target, account_of, decide

ONE = {"main": "IN"}
TWO = {"main": "IN", "branch": "IN"}
ASHA = {"phone_no": "919200000001", "first_name": "Asha", "last_name": "Example", "company": None}


def edit(action: str = "edit", **values: Any) -> CopyEdit:
    where = {name: values.pop(name, None) for name in ("account", "contact_row", "contact_id")}
    if action != "add" and not any(name in where and where[name] for name in ("contact_row", "contact_id")):
        where["contact_row"] = 7
    return CopyEdit(1, "r", where["account"], action, where["contact_row"], where["contact_id"], values)


def target(**values: Any) -> Target:
    given = {
        "id": 7,
        "account": "main",
        "contact_id": "c7",
        "deleted": False,
        "user_list": False,
        "fields": ASHA,
    }
    return Target(**(given | values))


@pytest.mark.parametrize(
    ("given", "contact", "expected"),
    [
        (
            edit("add", phone_no="92000 00002", first_name="Dev", last_name="Sen"),
            None,
            {"phone_no": "919200000002", "first_name": "Dev", "last_name": "Sen"},
        ),
        (edit(company="Acme"), target(), {"company": "Acme"}),
        (edit(company="Acme", first_name="Asha"), target(), {"company": "Acme"}),
        (edit(phone_no="+91 92000 00001"), target(), {}),
        (edit(phone_no="9200000009"), target(), {"phone_no": "919200000009"}),
        (
            edit(phone_no="9200000009"),
            target(fields={**ASHA, "phone_no": None}),
            {"phone_no": "919200000009"},
        ),
        (edit(job_title=""), target(fields={**ASHA, "job_title": "Buyer"}), {"job_title": ""}),
        (edit("delete"), target(), {}),
        (edit("delete", contact_id="c7"), target(), {}),
        (edit(company="Acme", account="main"), target(), {"company": "Acme"}),
    ],
)
def test_what_is_taken(given: CopyEdit, contact: Target | None, expected: dict[str, str]) -> None:
    assert decide(given, ONE, contact, None, False) == Decision("main", expected)


@pytest.mark.parametrize(
    ("given", "regions", "contact", "words"),
    [
        (
            edit("add", phone_no="9200000002", first_name="Dev", last_name="Sen"),
            TWO,
            None,
            "account is needed: there are branch, main",
        ),
        (
            edit("add", phone_no="9200000002", first_name="Dev", last_name="Sen"),
            {},
            None,
            "account is needed: there are none",
        ),
        (
            edit("add", account="x", first_name="Dev", last_name="Sen"),
            TWO,
            None,
            "there is no account 'x' whose contacts are mirrored",
        ),
        (
            edit("add", contact_id="c9", first_name="Dev", last_name="Sen"),
            ONE,
            None,
            "an add names neither contact_row nor contact_id",
        ),
        (
            edit("add", first_name="Dev", last_name="Sen"),
            ONE,
            None,
            "upstream takes no contact without phone_no",
        ),
        (
            edit("add", phone_no="9200000002", first_name="Dev"),
            ONE,
            None,
            "upstream takes no contact without last_name",
        ),
        (edit("add"), ONE, None, "upstream takes no contact without phone_no and first_name and last_name"),
        (edit(first_name=""), ONE, target(), "upstream takes no contact without first_name"),
        (edit(last_name=" "), ONE, target(), "upstream takes no contact without last_name"),
        (
            edit("add", phone_no="+91xxxxxx2999", first_name="Dev", last_name="Sen"),
            ONE,
            None,
            "the phone number is masked",
        ),
        (edit("add", phone_no="12", first_name="Dev", last_name="Sen"), ONE, None, "the phone number "),
        (CopyEdit(1, "r", None, "edit", None, None), ONE, None, "contact_row or contact_id is needed"),
        (edit(company="Acme"), ONE, None, "no contact has this contact_row or contact_id"),
        (edit(company="Acme", account="branch"), TWO, target(), "contact row 7 belongs to account main"),
        (edit(company="Acme", contact_id="c8"), ONE, target(), "contact row 7 has another contact_id"),
        (edit(company="Acme"), ONE, target(deleted=True), "contact row 7 is deleted"),
        (edit("delete"), ONE, target(user_list=True), "contact row 7 is in the user's own list only"),
    ],
)
def test_what_is_refused(
    given: CopyEdit, regions: dict[str, str], contact: Target | None, words: str
) -> None:
    assert decide(given, regions, contact, None, False).refusal.startswith(words)


def test_a_number_that_is_taken_or_was_forgotten() -> None:
    given = edit("add", phone_no="9200000002", first_name="Dev", last_name="Sen")
    assert (
        decide(given, ONE, None, 9, False).refusal
        == "contact row 9 of account main holds this number already"
    )
    assert decide(given, ONE, None, None, True).refusal == FORGOTTEN


def test_the_account() -> None:
    assert account_of(edit("add"), ONE, None) == "main"
    assert account_of(edit("add"), TWO, None) is None
    assert account_of(edit("add", account="branch"), TWO, None) == "branch"
    assert account_of(edit(), TWO, target(account="branch")) == "branch"


def test_after_a_restore_a_row_alone_names_nobody() -> None:
    by_row = decide(edit(company="Acme"), ONE, target(), None, False, replaced=True)
    assert "contact row 7 may be somebody else" in by_row.refusal
    by_id = decide(edit(company="Acme", contact_id="c7"), ONE, target(), None, False, replaced=True)
    assert by_id == Decision("main", {"company": "Acme"})
    added = edit("add", phone_no="9200000002", first_name="Dev", last_name="Sen")
    assert not decide(added, ONE, None, None, False, replaced=True).refusal
