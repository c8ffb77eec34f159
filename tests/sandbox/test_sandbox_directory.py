"""How the directory takes writes: what is documented, and each switch on what is not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.conftest import Upstream, row


def held(up: Upstream) -> list[dict[str, Any]]:
    contacts: list[dict[str, Any]] = up.world.snapshot()["telecmi"]["1111113"]["contacts"]
    return contacts


def test_add_keeps_what_is_sent_and_gives_no_id(up: Upstream) -> None:
    assert up.add(row(0, company=" Example "), row(1)) == {"code": 200, "msg": "Contact added successfully"}
    assert [{**c, "contact_id": ""} for c in held(up)] == [
        {"contact_id": "", **row(0, company=" Example ")},
        {"contact_id": "", **row(1)},
    ]
    assert up.contacts()["count"] == 2


def test_update_changes_the_named_fields_only(up: Upstream) -> None:
    one, _ = up.fill(2)
    assert up.update({"contact_id": one, "company": "Example Tools"})["code"] == 200
    assert up.contacts(contact_id=one)["contacts"] == [
        {"contact_id": one, **row(0, company="Example Tools")},
    ]


def test_delete(up: Upstream) -> None:
    one, two = up.fill(2)
    assert up.delete(one)["code"] == 200
    assert [c["contact_id"] for c in held(up)] == [two]


@pytest.mark.parametrize(
    "bad",
    [
        {"phone_no": "919200000009", "first_name": "Asha"},
        row(9, last_name=""),
        row(9, last_name=None),
        row(9, first_name=" "),
        {**row(9), "phone_no": "92000"},
        {**row(9), "phone_no": "9192000000091234"},
        {**row(9), "phone_no": "+91xxxxxx2999"},
        {**row(9), "phone_no": 919200000009},
        row(9, company=7),
        row(9, nick="A"),
        "919200000009",
    ],
)
def test_a_row_that_does_not_validate_is_400(up: Upstream, bad: Any) -> None:
    assert up.add(row(0), bad)["code"] == 400
    assert held(up) == []


def test_lenient_validation(up: Upstream) -> None:
    up.telecmi(reject_last_name=False)
    assert up.add({"phone_no": "92000"})["code"] == 200


def test_update_may_not_empty_what_is_required(up: Upstream) -> None:
    (one,) = up.fill(1)
    assert up.update({"contact_id": one, "last_name": ""})["code"] == 400
    assert up.update({"contact_id": one, "phone_no": "12"})["code"] == 400


@pytest.mark.parametrize("phone", ["919200000000", "+919200000000", "9200000000", "0091 92000 00000"])
def test_duplicates_are_judged_by_the_number_not_its_spelling(up: Upstream, phone: str) -> None:
    up.fill(1)
    assert up.add({**row(0), "phone_no": phone})["code"] == 409
    up.telecmi(duplicate_rule="exact")
    assert up.add({**row(0), "phone_no": phone})["code"] == (409 if phone == "919200000000" else 200)
    up.telecmi(duplicate_rule="none")
    assert up.add({**row(0), "phone_no": phone})["code"] == 200


def test_duplicates_within_a_batch_and_by_update(up: Upstream) -> None:
    assert up.add(row(0), row(0))["code"] == 409
    one, two = up.fill(2)
    assert up.update({"contact_id": one, "phone_no": row(1)["phone_no"]})["code"] == 409
    assert up.update({"contact_id": one, "phone_no": row(0)["phone_no"]})["code"] == 200
    # A number that the same batch frees may be taken.
    moved = {"contact_id": two, "phone_no": row(5)["phone_no"]}
    assert up.update(moved, {"contact_id": one, "phone_no": row(1)["phone_no"]})["code"] == 200


def test_organizations_do_not_meet(up: Upstream) -> None:
    up.fill(1)
    up.world.add_user("101_2222224", token="other")
    body = {"token": "other", "contacts": [row(0)]}
    assert up.post("/v3/contact/add", body)["code"] == 200
    assert up.post("/v3/contact/get", {"token": "other"})["count"] == 1


@pytest.mark.parametrize(("mode", "kept"), [("none", []), ("prefix", [1, 2]), ("others", [1, 2, 3])])
def test_what_is_applied_of_a_refused_batch(up: Upstream, mode: str, kept: list[int]) -> None:
    up.fill(1)
    up.telecmi(batch_on_refusal=mode)
    assert up.add(row(1), row(2), row(0), row(3)) == {"code": 409, "msg": "duplicate contact"}
    assert [c["last_name"] for c in held(up)[1:]] == [f"Example {n}" for n in kept]


@pytest.mark.parametrize(("mode", "kept"), [("none", 0), ("prefix", 2), ("others", 3)])
def test_what_is_applied_of_a_refused_update_or_delete(up: Upstream, mode: str, kept: int) -> None:
    ids = up.fill(5)
    before = held(up)
    up.telecmi(batch_on_refusal=mode)
    wanted = [ids[0], ids[2], "gone", ids[1]]
    moved = [{"contact_id": i, "phone_no": str(919200000100 + n)} for n, i in enumerate(wanted)]
    assert up.update(*moved)["code"] == 400
    assert sum(now != was for now, was in zip(held(up), before, strict=True)) == kept
    assert up.delete(*wanted)["code"] == 400
    assert len(held(up)) == 5 - kept
    if mode == "none":
        assert held(up) == before  # in the same order too
        assert up.add(row(0))["code"] == 409


def test_a_refusal_may_name_the_row(up: Upstream) -> None:
    up.telecmi(refusal_names_row=True)
    assert up.add(row(0), row(1, last_name=""))["msg"] == "contacts[1].last_name: last_name is required"


def test_unknown_ids(up: Upstream) -> None:
    for answer, code in (("400", 400), ("404", 404), ("ignored", 200)):
        up.telecmi(unknown_id=answer)
        assert up.update({"contact_id": "gone", "company": "X"})["code"] == code
        assert up.delete("gone")["code"] == code


def test_respelling(up: Upstream) -> None:
    up.telecmi(respell=["phone", "blanks", "case"])
    up.add(row(0, first_name="  asha   devi ", email_id="Asha@Example.com"))
    stored = held(up)[0]
    assert stored["phone_no"] == "+919200000000"
    assert (stored["first_name"], stored["email_id"]) == ("Asha Devi", "asha@example.com")
    up.telecmi(respell=["upper"])
    up.update({"contact_id": stored["contact_id"], "company": "Example Tools"})
    assert held(up)[0]["company"] == "EXAMPLE TOOLS"


@pytest.mark.parametrize(
    ("mode", "empty", "null"),
    [("clears", "", None), ("ignores", "X", "X"), ("empty_only", "", "X"), ("null_only", "X", None)],
)
def test_clearing(up: Upstream, mode: str, empty: object, null: object) -> None:
    up.telecmi(clear_mode=mode)
    for sent, kept in (("", empty), (None, null)):
        one = up.world.contact_insert(row(5, company="X"))
        assert up.update({"contact_id": one, "company": sent})["code"] == 200
        assert held(up)[-1]["company"] == kept
    up.telecmi(clear_mode="refuses")
    assert up.update({"contact_id": one, "company": ""})["code"] == 400


def test_new_contacts_may_show_late(up: Upstream) -> None:
    up.telecmi(visible_after_s=60)
    up.add(row(0))
    assert up.contacts()["count"] == 0 and len(held(up)) == 1
    assert up.add(row(0))["code"] == 409  # there all the same
    up.time += 60
    assert up.contacts()["count"] == 1
    up.telecmi(visible_after_s=0, visible_after_lists=2)
    up.add(row(1))
    assert [up.contacts()["count"] for _ in range(4)] == [1, 1, 2, 2]


def test_changes_may_show_late(up: Upstream) -> None:
    one, two = up.fill(2)
    up.telecmi(read_lag_s=30, delete_lag_s=30)
    up.update({"contact_id": one, "company": "A"})
    up.time += 10
    up.update({"contact_id": one, "company": "B"})
    up.delete(two)

    def seen() -> list[Any]:
        return [c.get("company") for c in up.contacts()["contacts"]]

    assert seen() == [None, None]
    up.time += 20
    assert seen() == ["A", None]
    up.time += 10
    assert seen() == ["B"]
