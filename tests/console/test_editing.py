"""Adding, correcting and deleting contacts by forms."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import httpx
import pytest

from syncer.core.console import Role
from tests.console.conftest import CONFIG, Desk, MakeDesk, text_of

pytestmark = pytest.mark.anyio


def form_of(answer: httpx.Response) -> dict[str, str]:
    """What the browser would send of the form for contacts."""
    block = re.search(r'<form class="fields".*?</form>', answer.text, re.DOTALL)
    assert block is not None, answer.text
    inputs = re.findall(r"<input[^>]*>", block[0])
    pairs = [(re.search(r'name="([^"]*)"', one), re.search(r'value="([^"]*)"', one)) for one in inputs]
    return {name[1]: unescape(value[1]) for name, value in pairs if name and value}


def fields(desk: Desk, row: int) -> dict[str, Any]:
    names = ("phone_no", "phone_e164", "first_name", "last_name", "email_id", "company", "job_title")
    return dict(
        zip(
            names,
            desk.sql(f"SELECT {', '.join(names)} FROM telecmi_contacts WHERE id = ?", row)[0],
            strict=True,
        )
    )


async def test_a_contact_is_corrected_under_ones_name(make_desk: MakeDesk) -> None:
    async with make_desk() as desk:
        row = desk.contact()
        client = await desk.log_in(Role.EDIT, "Meera Example")
        typed = form_of(await client.get(f"/contacts/{row}/edit"))
        assert typed["was_company"] == typed["company"] == "Acme"
        saved = await client.post(
            f"/contacts/{row}", data=typed | {"company": "Acme Mills", "phone_no": "92000-00009"}
        )
        assert saved.headers["location"] == f"/contacts/{row}?said=saved"
        assert "goes upstream with the next push" in text_of(await client.get(saved.headers["location"]))
        found = fields(desk, row)
        assert (found["company"], found["phone_no"], found["phone_e164"]) == (
            "Acme Mills",
            "919200000009",
            "+919200000009",
        )
        assert desk.sql("SELECT DISTINCT actor FROM change_log WHERE origin = 'local'") == [
            ("Meera Example",)
        ]
        assert desk.sql("SELECT operation, state FROM change_queue") == [("update", "queued")]
        assert "Meera Example" in text_of(await client.get(f"/contacts/{row}"))
        same = await client.post(f"/contacts/{row}", data=form_of(await client.get(f"/contacts/{row}/edit")))
        assert same.headers["location"].endswith("said=same")


async def test_six_fields_alone_are_enough(make_desk: MakeDesk) -> None:
    async with make_desk() as desk:
        row = desk.contact()
        client = await desk.log_in(Role.EDIT)
        typed = {"phone_no": "+919200000001", "first_name": "Asha", "last_name": "Sample", "email_id": "", "company": "",
                 "job_title": "Clerk"}  # fmt: skip
        assert (await client.post(f"/contacts/{row}", data=typed)).status_code == 303
        found = fields(desk, row)
        assert (found["last_name"], found["company"], found["job_title"]) == ("Sample", None, "Clerk")
        assert found["phone_no"] == "919200000001", "the same number in another spelling is no change"


@pytest.mark.parametrize(
    "name, value, sentence",
    [
        ("last_name", "", "Write the last name"),
        ("phone_no", "", "Write the phone number"),
        ("phone_no", "12", "This number"),
        ("phone_no", "+91xxxxxx2999", "This number"),
        ("phone_no", "+919200000002", "Another contact has this number already: Devan Sample"),
        ("company", "x" * 1001, "at most 1000"),
        ("company", "a\u0007b", "Remove line breaks"),
    ],
)
async def test_a_wrong_field_comes_back_with_what_was_typed(
    make_desk: MakeDesk, name: str, value: str, sentence: str
) -> None:
    async with make_desk() as desk:
        row = desk.contact()
        desk.contact(2, "Devan", "Sample")
        before = fields(desk, row)
        client = await desk.log_in(Role.EDIT)
        typed = form_of(await client.get(f"/contacts/{row}/edit")) | {
            "job_title": "Kept <typed>",
            name: value,
        }
        for path in (f"/contacts/{row}", "/contacts/new"):
            if path.endswith("new"):
                typed = {key: text for key, text in typed.items() if not key.startswith("was_")}
                typed |= {"phone_no": "9200000077"} if name != "phone_no" else {}
            answer = await client.post(path, data=typed)
            assert answer.status_code == 422 and sentence in text_of(answer), text_of(answer)
            assert (
                'value="Kept &lt;typed&gt;"' in answer.text and f'aria-describedby="e-{name}"' in answer.text
            )
        assert fields(desk, row) == before
        assert desk.sql("SELECT count(*) FROM telecmi_contacts") == [(2,)]


async def changed_by_others(desk: Desk) -> tuple[int, httpx.AsyncClient, dict[str, str]]:
    """A contact, a person's client, and the form that it shows, which is out of date."""
    row = desk.contact()
    client = await desk.log_in(Role.EDIT)
    shown = form_of(await client.get(f"/contacts/{row}/edit"))
    desk.sql("UPDATE telecmi_contacts SET company = 'Theirs', job_title = 'Clerk' WHERE id = ?", row)
    return row, client, shown


async def test_two_people_at_one_contact(make_desk: MakeDesk) -> None:
    async with make_desk() as desk:
        row, client, shown = await changed_by_others(desk)
        other = await client.post(f"/contacts/{row}", data=shown | {"email_id": "asha@example.com"})
        assert other.status_code == 303 and fields(desk, row)["company"] == "Theirs", (
            "what was not touched stays"
        )
        answer = await client.post(f"/contacts/{row}", data=shown | {"company": "Mine"})
        assert answer.status_code == 409 and "changed this meanwhile to “Theirs”" in text_of(answer)
        assert fields(desk, row)["company"] == "Theirs"
        again = form_of(answer)
        assert (again["company"], again["was_company"]) == ("Mine", "Theirs")
        assert (await client.post(f"/contacts/{row}", data=again)).status_code == 303
        assert fields(desk, row)["company"] == "Mine"


@pytest.mark.parametrize(
    "name, value, status", [("company", "Mine", 409), ("phone_no", "12", 422), ("last_name", "", 422)]
)
async def test_a_form_that_comes_back_overwrites_nothing_that_was_not_touched(
    make_desk: MakeDesk, name: str, value: str, status: int
) -> None:
    async with make_desk() as desk:
        row, client, shown = await changed_by_others(desk)
        answer = await client.post(f"/contacts/{row}", data=shown | {name: value})
        assert answer.status_code == status
        again = form_of(answer) | {
            "phone_no": shown["phone_no"],
            "last_name": "Example",
            "email_id": "asha@example.com",
        }
        assert (await client.post(f"/contacts/{row}", data=again)).status_code == 303
        found = fields(desk, row)
        assert (found["job_title"], found["email_id"]) == ("Clerk", "asha@example.com")
        assert found["company"] == ("Mine" if name == "company" else "Theirs")


async def test_a_form_that_came_back_for_one_field_still_reports_the_others(make_desk: MakeDesk) -> None:
    async with make_desk() as desk:
        row, client, shown = await changed_by_others(desk)
        answer = await client.post(f"/contacts/{row}", data=shown | {"company": "Mine", "phone_no": ""})
        assert answer.status_code == 422
        again = await client.post(f"/contacts/{row}", data=form_of(answer) | {"phone_no": shown["phone_no"]})
        assert again.status_code == 409 and "changed this meanwhile to “Theirs”" in text_of(again)
        assert fields(desk, row)["company"] == "Theirs"


async def test_a_vendors_odd_text_does_not_stop_an_edit(make_desk: MakeDesk) -> None:
    """Browsers send no line breaks back, and the form drops blanks around a text."""
    async with make_desk() as desk:
        row = desk.contact(company="Acme\r\nMills ")
        client = await desk.log_in(Role.EDIT)
        shown = form_of(await client.get(f"/contacts/{row}/edit"))
        assert shown["company"] == shown["was_company"] == "Acme Mills"
        saved = await client.post(f"/contacts/{row}", data=shown | {"first_name": "Tara"})
        found = fields(desk, row)
        assert (saved.status_code, found["first_name"], found["company"]) == (303, "Tara", "Acme\r\nMills ")
        changed = await client.post(f"/contacts/{row}", data=shown | {"company": "Acme"})
        assert changed.status_code == 303 and fields(desk, row)["company"] == "Acme"


async def test_a_number_that_cannot_be_read_may_stay(make_desk: MakeDesk) -> None:
    async with make_desk() as desk:
        row = desk.contact()
        for table in ("telecmi_contacts WHERE id", "contact_base WHERE row_id"):
            name, _, where = table.partition(" ")
            desk.program(f"UPDATE {name} SET phone_no = '91XXXXXX01', phone_e164 = NULL {where} = {row}")
        client = await desk.log_in(Role.EDIT)
        six = {"phone_no": "91XXXXXX01", "first_name": "Asha", "last_name": "Example", "company": "Acme Mills",
               "email_id": "", "job_title": ""}  # fmt: skip
        assert (await client.post(f"/contacts/{row}", data=six)).status_code == 303
        assert fields(desk, row)["company"] == "Acme Mills"
        other = await client.post(f"/contacts/{row}", data=six | {"phone_no": "91XXXXXX02"})
        assert other.status_code == 422 and "This number" in text_of(other)


async def test_long_texts_of_any_script_fit_into_a_form(make_desk: MakeDesk) -> None:
    async with make_desk() as desk:
        row = desk.contact()
        desk.program(f"UPDATE telecmi_contacts SET job_title = '{'y' * 5000}' WHERE id = {row}")
        client = await desk.log_in(Role.EDIT)
        typed = form_of(await client.get(f"/contacts/{row}/edit"))
        long = dict.fromkeys(("first_name", "last_name", "company"), "அ" * 1000)
        for _ in range(2):  # once more with these as what was shown
            typed |= long
            assert (await client.post(f"/contacts/{row}", data=typed)).status_code == 303
            typed = form_of(await client.get(f"/contacts/{row}/edit")) | {"email_id": "asha@example.com"}
        assert fields(desk, row)["job_title"] == "y" * 5000
        assert (await client.post("/contacts/99", data={})).status_code == 404


async def test_an_unknown_caller_becomes_a_contact(make_desk: MakeDesk) -> None:
    async with make_desk() as desk:
        client = await desk.log_in(Role.EDIT, "Meera Example")
        typed = form_of(await client.get("/contacts/new?phone_no=%2B919200000005"))
        assert typed["phone_no"] == "+919200000005"
        added = await client.post(
            "/contacts/new", data=typed | {"first_name": "Kiran", "last_name": "<b>Sample</b>"}
        )
        row = int(re.fullmatch(r"/contacts/(\d+)\?said=added", added.headers["location"])[1])  # type: ignore[index]
        assert fields(desk, row)["phone_e164"] == "+919200000005"
        assert desk.sql("SELECT kind, actor FROM change_log") == [("insert", "Meera Example")]
        page = await client.get(added.headers["location"])
        assert "Added here" in text_of(page) and "<b>Sample" not in page.text


async def test_a_contact_is_deleted_once(make_desk: MakeDesk) -> None:
    async with make_desk() as desk:
        row = desk.contact()
        client = await desk.log_in(Role.EDIT)
        assert (await client.post(f"/contacts/{row}/delete")).headers["location"] == "/contacts?said=deleted"
        assert desk.sql("SELECT operation, state FROM change_queue") == [("delete", "held")]
        for path in (f"/contacts/{row}/delete", f"/contacts/{row}"):
            again = await client.post(path, data={"company": "X"})
            assert again.status_code == 409 and "deleted locally" in text_of(again)
        assert (await client.post("/contacts/99/delete")).status_code == 404
        assert (await client.get("/contacts/99/edit")).status_code == 404
        page = text_of(await client.get(f"/contacts/{row}"))
        assert "was deleted" in page and "Edit" not in page and "or keep the contact" in page
        assert (await client.get(f"/contacts/{row}/edit")).headers["location"] == f"/contacts/{row}"
        desk.program("UPDATE change_queue SET state = 'done'")
        gone = await client.get(f"/contacts/{row}")
        assert 'href="/contacts/new?phone_no=%2B919200000001"' in gone.text
        desk.contact(2)
        desk.program(f"UPDATE telecmi_contacts SET phone_e164 = '+919200000002' WHERE id = {row}")
        assert "Another contact has this number now" in text_of(await client.get(f"/contacts/{row}"))


async def test_with_two_accounts_one_is_chosen(make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    two = {"main": CONFIG["telecmi"]["main"], "other": CONFIG["telecmi"]["main"]}
    monkeypatch.setitem(CONFIG, "telecmi", two)
    async with make_desk() as desk:
        desk.program("INSERT INTO telecmi_accounts (name, contacts, deletes) VALUES ('other', 1, 0)")
        client = await desk.log_in(Role.EDIT)
        typed = {"phone_no": "9200000005", "first_name": "Kiran", "last_name": "Sample"}
        answer = await client.post("/contacts/new", data=typed)
        assert answer.status_code == 422 and "Choose the account" in text_of(answer)
        assert (await client.post("/contacts/new", data=typed | {"account": "other"})).status_code == 303
        assert desk.sql("SELECT account FROM telecmi_contacts") == [("other",)]
