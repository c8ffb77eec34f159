"""What the pages show, and closing a callback."""

from __future__ import annotations

import re

import pytest

from syncer.core.console import Role
from syncer.store.read import page_queries
from tests.console.conftest import MakeDesk, text_of

pytestmark = pytest.mark.anyio

NASTY = "<img src=x onerror=alert(1)>\"'`{{7*7}}"


async def test_callbacks_are_closed_under_ones_name_and_opened_again(make_desk: MakeDesk) -> None:
    async with make_desk() as desk:
        desk.contact()
        desk.call(hours=5)
        desk.call(2, hours=2)
        client = await desk.log_in(Role.EDIT, "Meera Example")
        page = text_of(await client.get("/callbacks"))
        assert re.search("Asha Example.*Acme.*Unknown caller", page), "the longest waiting first"
        assert 'href="tel:+919200000001"' in (await client.get("/callbacks")).text
        done = await client.post("/callbacks/done", data={"phone": "092000 00001", "note": "agreed"})
        assert done.headers["location"] == "/callbacks?said=closed&number=%2B919200000001"
        after = text_of(await client.get(done.headers["location"]))
        assert "+919200000001 is closed. Undo" in after and "Asha Example" not in after
        assert desk.sql('SELECT phone_e164, note, "by", marked_at FROM callback_marks') == [
            ("+919200000001", "agreed", "Meera Example", desk.at())
        ]
        closed = text_of(await client.get("/callbacks?closed=1"))
        assert "by hand agreed" in closed
        again = await client.post("/callbacks/reopen", data={"phone": "+919200000001"})
        assert "waits again" in text_of(await client.get(again.headers["location"]))
        assert "Asha Example" in text_of(await client.get("/callbacks"))
        twice = await client.post("/callbacks/reopen", data={"phone": "+919200000001"})
        assert twice.status_code == 409 and "is open already" in text_of(twice)


@pytest.mark.parametrize("phone, sentence", [("nobody", "cannot be read"), ("+919299999999", "nobody waits")])
async def test_a_wrong_number_comes_back_with_a_sentence(
    make_desk: MakeDesk, phone: str, sentence: str
) -> None:
    async with make_desk() as desk:
        client = await desk.log_in()
        answer = await client.post("/callbacks/done", data={"phone": phone})
        assert answer.status_code == 422 and sentence in text_of(answer).lower() and phone in answer.text


@pytest.mark.parametrize("name", ["F" * 300, "Long names in an office "])
async def test_no_page_is_larger_than_60_kb(make_desk: MakeDesk, name: str) -> None:
    async with make_desk() as desk:
        row = desk.contact(1, name, name, name)
        desk.voicemail(1, b"x")
        many = ", ".join(f"(90{n:08d}, '+9190{n:08d}')" for n in range(60))
        desk.program(
            "CREATE TEMP TABLE n AS SELECT column1 AS n, column2 AS e FROM (VALUES " + many + ")",
            "INSERT INTO telecmi_contacts (account, contact_id, phone_no, phone_e164, first_name, last_name, company, email_id, "
            "job_title, raw) SELECT 'main', n, n, e, first_name, last_name, company, company, company, '{}' "
            f"FROM n, telecmi_contacts c WHERE c.id = {row}",
            "INSERT INTO telecmi_calls (account, kind, cmiuid, from_number, phone_e164, agent, started_at) "
            f"SELECT 'main', 'missed', n, n, e, '{name}', '{desk.at(hours=2)}' FROM n",
            "INSERT INTO telecmi_voicemails (account, voicename, time, from_number, phone_e164, received_at) "
            f"SELECT 'main', n, 0, n, e, '{desk.at(hours=1)}' FROM n",
            "INSERT INTO voicemail_audio (voicemail, state, path, bytes, sha256) SELECT id, 'kept', id, 1, 'x' "
            "FROM telecmi_voicemails WHERE id > 1",
        )
        desk.sql("UPDATE telecmi_contacts SET company = 'Changed' || company")
        client = await desk.log_in()
        for path in ("/", "/callbacks", "/voicemails", "/calls", "/contacts", "/queue", f"/contacts/{row}"):
            answer = await client.get(path)
            assert answer.status_code == 200 and 1000 < len(answer.content) < 60_000, path


async def test_empty_pages_say_what_to_do(make_desk: MakeDesk) -> None:
    async with make_desk() as desk:
        client = await desk.log_in()
        for path, text in {
            "/": "Nobody waits for a call back.",
            "/callbacks": "appear here until somebody calls back",
            "/callbacks?closed=1": "Nothing was closed yet",
            "/voicemails": "when the job telecmi-voicemails has read them",
            "/calls": "calls = { enabled = true }",
            "/contacts": "when the first pull has read them",
            "/contacts?q=nobody": "No contact matches “nobody”",
        }.items():
            assert text in text_of(await client.get(path)), path


async def test_people_are_found_by_name_number_company_and_email(make_desk: MakeDesk) -> None:
    async with make_desk() as desk:
        row = desk.contact(1, "Asha", "Example", "Acme 100%")
        desk.contact(2, "Ünder", "Söhne", "Mills")
        desk.program(
            f"UPDATE telecmi_contacts SET email_id = 'asha@example.com' WHERE id = {row}",
            "INSERT INTO smartflo_contacts (account, smartflo_id, phone_number, phone_e164, name, company_name) "
            "VALUES ('main', 's1', '9200000003', '+919200000003', 'Kiran Sample', 'Acme')",
            "INSERT INTO telecmi_user_contacts (account, mobile, phone_e164, name) "
            "VALUES ('main', '9200000004', '+919200000004', 'Listed Only')",
        )
        client = await desk.log_in()

        async def found(search: str) -> list[str]:
            answer = await client.get("/contacts", params={"q": search})
            return re.findall(r'<a class="name" [^>]*>([^<]*)</a>', answer.text)

        assert await found("") == ["Asha Example", "Kiran Sample", "Listed Only", "Ünder Söhne"]
        for search, names in {
            "asha": ["Asha Example"],
            "EXAMPLE asha": ["Asha Example"],
            "acme": ["Asha Example", "Kiran Sample"],
            "100%": ["Asha Example"],
            "%": ["Asha Example"],
            "ünder": ["Ünder Söhne"],
            "asha@example.com": ["Asha Example"],
            "92000 00003": ["Kiran Sample"],
            "+91 (92000) 00004": ["Listed Only"],
            "_": [],
        }.items():
            assert await found(search) == names, search
        assert f"/contacts/{row}" in (await client.get("/contacts?q=asha")).text


async def test_calls_and_voicemails_are_found_by_who_called(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with make_desk() as desk:
        desk.contact(1)
        desk.contact(2, "Devan", "Sample", "Mills")
        for n in (1, 2, 3):
            desk.call(n, hours=n)
            desk.call(n, "answered", hours=n + 10)
            desk.voicemail(n, hours=n)
        client = await desk.log_in()

        async def names(path: str) -> list[str]:
            shown = (await client.get(path)).text.partition("<main")[2]
            return re.findall(r'class="name[^"]*"[^>]*>([^<]*)<', shown)

        everybody = ["Asha Example", "Devan Sample", "Unknown caller"]
        few = page_queries._FEW
        for limit in (few, 0):  # looked up one by one, or asked of the newest
            monkeypatch.setattr(page_queries, "_FEW", limit)
            assert await names("/calls") == everybody * 2
            assert await names("/calls?missed=1") == everybody
            assert await names("/calls?q=acme") == ["Asha Example"] * 2
            assert await names("/calls?q=devan&missed=1") == ["Devan Sample"]
            assert await names("/calls?q=9200000003") == ["Unknown caller"] * 2
            assert await names("/voicemails") == everybody
            assert await names("/voicemails?q=mills") == ["Devan Sample"]
            assert await names("/voicemails?unknown=1") == ["Unknown caller"]
            assert await names("/voicemails?unknown=1&q=00003") == ["Unknown caller"]
            assert await names("/voicemails?unknown=1&q=asha") == []


async def test_lists_are_turned_page_by_page(make_desk: MakeDesk) -> None:
    async with make_desk() as desk:
        rows = ", ".join(
            f"('main', 'answered', 'u{n}', '9192000{n:05d}', '+9192000{n:05d}', '{desk.at(minutes=n)}')"
            for n in range(120)
        )
        desk.program(
            f"INSERT INTO telecmi_calls (account, kind, cmiuid, from_number, phone_e164, started_at) VALUES {rows}"
        )
        client = await desk.log_in()
        seen: list[str] = []
        path: str | None = "/calls"
        while path:
            text = (await client.get(path)).text
            seen += re.findall(r'href="tel:([^"]+)"', text)
            found = re.search(r'rel="next" href="([^"]+)"', text)
            path = found[1] if found else None
        assert seen == [f"+9192000{n:05d}" for n in range(120)]
        for odd in ("page=0", "page=-1", "page=x", "page=9999999", "page=٣"):
            assert (await client.get(f"/calls?{odd}")).status_code == 200
        for path in ("/calls?page=4", "/contacts?page=200", "/callbacks?page=2"):
            past = await client.get(path)
            assert past.status_code == 404 and "This list ends before page" in text_of(past)
        assert "There is no contact with the row id 77." in text_of(await client.get("/contacts/77"))


async def test_one_person_shows_all_of_why(make_desk: MakeDesk) -> None:
    async with make_desk() as desk:
        row = desk.contact()
        desk.call()
        desk.voicemail()
        desk.sql("UPDATE telecmi_contacts SET company = 'Acme Mills' WHERE id = ?", row)
        client = await desk.log_in()
        page = text_of(await client.get(f"/contacts/{row}"))
        for text in (
            "Asha Example",
            "+919200000001",
            "Acme Mills",
            "Incoming call, missed",
            "Voicemail",
            "queued",
        ):
            assert text in page
        stranger = text_of(await client.get("/who/+919200000001"))
        assert "Open the contact" in stranger
        for path in (
            "/contacts/999",
            "/contacts/0",
            "/contacts/9999999999999999999",
            "/who/nobody",
            "/who/+919299999999",
        ):
            assert (await client.get(path)).status_code == 404, path


async def test_what_vendors_and_people_write_is_shown_and_never_run(make_desk: MakeDesk) -> None:
    async with make_desk() as desk:
        row = desk.contact(1, NASTY, NASTY, NASTY)
        desk.call()
        desk.voicemail(7)
        desk.sql(
            "UPDATE telecmi_contacts SET job_title = ?, email_id = ?, phone_no = ? WHERE id = ?",
            NASTY,
            NASTY,
            NASTY,
            row,
        )
        desk.program(
            "UPDATE telecmi_voicemails SET from_number = '<b>1</b>', phone_e164 = NULL, received_at = '<i>'"
        )
        desk.program("UPDATE telecmi_calls SET agent = '<script>alert(2)</script>'")
        client = await desk.log_in()
        await client.post("/callbacks/done", data={"phone": "+919200000001", "note": NASTY})
        for path in ("/", "/callbacks", "/callbacks?closed=1", "/voicemails", "/calls", "/contacts", f"/contacts/{row}",
                     f"/contacts?q={NASTY}", "/calls?q=<script>", f"/callbacks?said=closed&number={NASTY}"):  # fmt: skip
            text = (await client.get(path)).text
            assert not re.search(r"<img src=x|<b>1|<i>|<script>|49\"", text), path


async def test_a_database_in_trouble_is_a_page_that_says_so(make_desk: MakeDesk) -> None:
    async with make_desk() as desk:
        client = await desk.log_in()
        desk.path.rename(desk.path.with_name("away.db"))
        answer = await client.get("/callbacks")
        assert answer.status_code == 503 and "Try again" in text_of(answer)
        assert (await client.post("/callbacks/done", data={"phone": "+919200000001"})).status_code == 503
