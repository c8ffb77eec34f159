"""TeleCMI's documented rules, and each switch on what its pages leave open."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.conftest import NOW, SECRET, TOKEN, Upstream, numbers, row

LOGIN = {"id": "101_1111113", "password": "sandbox-password"}


# Credentials


def test_login_gives_a_token_that_lives_for_30_days(up: Upstream) -> None:
    answer = up.post("/v2/user/login", LOGIN)
    assert answer["code"] == 200
    assert answer["agent"] == {
        "category": "agent",
        "id": "101_1111113",
        "inet_no": 1111113,
        "name": "User 101",
    }
    token = answer["token"]
    assert up.post("/v3/contact/get", {"token": token})["code"] == 200
    up.time += 30 * 86400 + 1
    assert up.post("/v3/contact/get", {"token": token})["code"] == 404


def test_token_life_and_one_login_at_a_time_can_be_switched(up: Upstream) -> None:
    up.telecmi(token_ttl_s=60, login_ends_old_tokens=True)
    first, second = (up.post("/v2/user/login", LOGIN)["token"] for _ in range(2))
    assert up.post("/v3/contact/get", {"token": first})["code"] == 404
    assert up.post("/v3/contact/get", {"token": second})["code"] == 200
    up.time += 61
    assert up.post("/v3/contact/get", {"token": second})["code"] == 404
    assert up.contacts()["code"] == 200  # the ready token stays


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("/v2/user/login", {**LOGIN, "password": "wrong"}, 404),
        ("/v2/user/login", {**LOGIN, "id": "999_1111113"}, 404),
        ("/v2/user/login", {**LOGIN, "id": ["101_1111113"]}, 404),
        ("/v2/user/contact/get", {"token": "wrong"}, 404),
        ("/v3/contact/get", {"token": "wrong"}, 404),
        ("/v3/contact/add", {"token": "wrong", "contacts": []}, 404),
        ("/v3/contact/update", {"token": "wrong", "contacts": []}, 404),
        ("/v3/contact/delete", {"token": "wrong", "contact_ids": []}, 404),
        ("/v2/voicemail", {**SECRET, "secret": "wrong"}, 401),
        ("/v2/voicemail", {**SECRET, "appid": 7}, 401),
    ],
)
def test_a_bad_credential_has_its_own_number_per_call(up: Upstream, path: str, body: Any, code: int) -> None:
    response = up.request("POST", path, json=body)
    assert (response.status_code, response.json()["code"]) == (200, code)
    assert "contacts" not in response.json()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v2/user/login", {"id": "101_1111113"}),
        ("/v2/user/contact/get", {}),
        ("/v2/user/contact/get", {"token": TOKEN, "limit": 11}),
        ("/v2/user/contact/get", {"token": TOKEN, "page": 0}),
        ("/v2/user/contact/get", {"token": TOKEN, "page": "1"}),
        ("/v3/contact/get", {}),
        ("/v3/contact/get", {"token": TOKEN, "limit": 101}),
        ("/v3/contact/get", {"token": TOKEN, "page_state": "nonsense"}),
        ("/v3/contact/get", {"token": TOKEN, "page": 2}),
        ("/v3/contact/add", {"token": TOKEN}),
        ("/v3/contact/add", {"token": TOKEN, "contacts": []}),
        ("/v3/contact/add", {"token": TOKEN, "contacts": [row(n) for n in range(101)]}),
        ("/v3/contact/update", {"token": TOKEN, "contacts": [{"company": "X"}]}),
        ("/v3/contact/delete", {"token": TOKEN, "contact_ids": ["x"] * 101}),
        ("/v3/contact/delete", {"token": TOKEN, "contact_ids": [7]}),
        ("/v2/voicemail", {"appid": 1111113}),
        ("/v2/voicemail", {**SECRET, "appid": "1111113"}),
        ("/v2/voicemail", {**SECRET, "start_date": "yesterday"}),
        ("/v2/voicemail", {**SECRET, "limit": 10}),
        ("/v2/voicemail", []),
    ],
)
def test_what_is_missing_or_over_a_limit_is_400(up: Upstream, path: str, body: Any) -> None:
    response = up.request("POST", path, json=body)
    assert (response.status_code, response.json()["code"]) == (200, 400)
    assert up.world.snapshot()["telecmi"]["1111113"]["contacts"] == []


def test_unknown_parameters_may_be_passed_over(up: Upstream) -> None:
    up.telecmi(refuse_unknown=False)
    assert up.contacts(page=2)["code"] == 200
    assert up.add(row(1, nick="A"))["code"] == 200


def test_unknown_path_is_404_and_wrong_method_405(up: Upstream) -> None:
    assert up.request("POST", "/v2/contact/get", json={}).status_code == 404
    wrong = up.request("GET", "/v3/contact/get")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
    assert up.request("POST", "/v2/voicemail", content=b"{").json()["code"] == 400


# The envelope


def test_the_envelope_can_be_switched(up: Upstream) -> None:
    up.telecmi(code_as_string=True, message_key="message", http_status_real=True)
    assert up.add(row(1)) == {"code": "200", "message": "Contact added successfully"}
    refused = up.request("POST", "/v3/contact/get", json={})
    assert (refused.status_code, refused.json()["code"]) == (400, 400)
    assert isinstance(refused.json()["message"], str)
    up.telecmi(message_shape="object")
    assert isinstance(up.post("/v3/contact/get", {})["message"], dict)
    up.telecmi(message_shape="absent")
    assert up.post("/v3/contact/get", {}) == {"code": 400}


def test_date_header_and_rate_limit(up: Upstream) -> None:
    up.telecmi(date_header=3600, rate_limit_per_s=2, retry_after_s=3)
    answers = [up.request("POST", "/v3/contact/get", json={"token": TOKEN}) for _ in range(3)]
    assert answers[0].headers["date"] == "Sat, 21 Nov 2026 10:30:00 GMT"
    assert [a.status_code for a in answers] == [200, 200, 429]
    assert answers[2].headers["retry-after"] == "3"
    assert up.voicemails()["code"] == 429  # one budget for all of the account's calls
    up.time += 1
    up.telecmi(date_header="absent", retry_after_s=None)
    answers = [up.request("POST", "/v3/contact/get", json={"token": TOKEN}) for _ in range(3)]
    assert [a.status_code for a in answers] == [200, 200, 429]
    assert "date" not in answers[0].headers and "retry-after" not in answers[2].headers


# The directory's listing


def test_directory_gives_pages_by_cursor_and_the_total(up: Upstream) -> None:
    ids = up.fill(25)
    assert up.walk() == [numbers(25)[:10], numbers(25)[10:20], numbers(25)[20:]]
    first = up.contacts(limit=2)
    assert first["count"] == 25
    assert first["contacts"][0] == {"contact_id": ids[0], **row(0)}
    assert "page_state" not in up.contacts(limit=100)


@pytest.mark.parametrize(("end", "last"), [("absent", "-"), ("null", None), ("empty", "")])
def test_cursor_end(up: Upstream, end: str, last: object) -> None:
    up.fill(10)
    up.telecmi(cursor_end=end)
    assert up.contacts().get("page_state", "-") == last


def test_cursor_end_same_gives_the_one_that_was_sent(up: Upstream) -> None:
    up.fill(15)
    up.telecmi(cursor_end="same")
    state = up.contacts()["page_state"]
    again = up.contacts(page_state=state)
    assert again["page_state"] == state and len(again["contacts"]) == 5
    only = up.contacts(limit=100)["page_state"]
    empty = up.contacts(page_state=only)
    assert empty["contacts"] == [] and empty["page_state"] == only


def test_cursor_can_lead_to_an_empty_page_loop_or_expire(up: Upstream) -> None:
    up.fill(20)
    up.telecmi(cursor_then_empty=True)
    assert [len(page) for page in up.walk()] == [10, 10, 0]
    up.telecmi(cursor_then_empty=False, cursor_loop=True)
    assert [len(page) for page in up.walk(limit=7, most=6)] == [7, 7, 6, 7, 6, 7]
    up.telecmi(cursor_loop=False, cursor_ttl_s=60)
    state = up.contacts()["page_state"]
    up.time += 61
    assert up.contacts(page_state=state)["code"] == 400


def test_rows_that_move_are_skipped_by_offset_and_kept_by_row(up: Upstream) -> None:
    for kind, expected in (("keyset", numbers(20)[10:]), ("offset", numbers(20)[11:])):
        up = Upstream()
        ids = up.fill(20)
        up.telecmi(cursor_kind=kind)
        state = up.contacts()["page_state"]
        up.world.contact_delete(ids[0])
        assert [r["phone_no"] for r in up.contacts(page_state=state)["contacts"]] == expected


@pytest.mark.parametrize(
    ("mode", "count"), [("exact", 15), ("off_by_one", 16), ("page", 10), ("zero", 0), ("string", "15")]
)
def test_count_mode(up: Upstream, mode: str, count: object) -> None:
    up.fill(15)
    for n in range(15):
        up.world.user_contact_upsert(9200000000 + n)
    up.telecmi(count_mode=mode)
    assert up.contacts()["count"] == count
    assert up.mine()["count"] == count
    up.telecmi(count_mode="absent")
    assert "count" not in up.contacts()


def test_pages_may_be_capped_short_or_repeated(up: Upstream) -> None:
    up.fill(25)
    up.telecmi(page_cap=9)
    assert [len(page) for page in up.walk()] == [9, 9, 7]
    up.telecmi(page_cap=None, short_page=2)
    assert [len(page) for page in up.walk()] == [10, 9, 6]
    assert sum(up.walk(), []) == numbers(25)
    up.telecmi(short_page=None, repeat_page=2)
    assert up.walk() == [numbers(25)[:10], *[numbers(25)[10:20]] * 2, numbers(25)[20:]]


def test_order(up: Upstream) -> None:
    up.fill(25)
    up.telecmi(order="reverse")
    assert sum(up.walk(), []) == numbers(25)[::-1]
    up.telecmi(order="shuffled")
    first, second = up.contacts()["contacts"], up.contacts()["contacts"]
    assert first != second


def test_by_id(up: Upstream) -> None:
    ids = up.fill(12)
    assert [c["contact_id"] for c in up.contacts(contact_id=ids[3])["contacts"]] == [ids[3]]
    assert up.contacts(contact_id="gone") == {"code": 200, "contacts": [], "count": 0}
    up.telecmi(by_id="ignored")
    assert len(up.contacts(contact_id=ids[3])["contacts"]) == 10
    up.telecmi(by_id="404")
    assert up.contacts(contact_id="gone")["code"] == 404
    assert up.contacts(contact_id=ids[3])["code"] == 200
    up.telecmi(by_id="500")
    assert up.contacts(contact_id=ids[3])["code"] == 500


def test_volatile_and_extra_fields(up: Upstream) -> None:
    up.fill(1)
    up.world.user_contact_upsert(9200000000)
    up.telecmi(volatile_field="seen_at", extra_fields={"nick": "A"})
    for read in (up.contacts, up.mine):
        first, second = read()["contacts"][0], read()["contacts"][0]
        assert first["nick"] == "A" and first["seen_at"] != second["seen_at"]
    assert "seen_at" not in up.world.snapshot()["telecmi"]["1111113"]["contacts"][0]


def test_how_an_empty_field_is_shown(up: Upstream) -> None:
    up.world.contact_insert(row(0, company=""))
    assert up.contacts()["contacts"][0].get("company") == ""
    assert "email_id" not in up.contacts()["contacts"][0]
    up.telecmi(empty_shown="absent")
    assert "company" not in up.contacts()["contacts"][0]
    up.telecmi(empty_shown="null")
    assert up.contacts()["contacts"][0]["email_id"] is None
    up.telecmi(empty_shown="empty")
    assert up.contacts()["contacts"][0]["email_id"] == ""


# A user's list


def test_user_list_is_one_users_in_numbered_pages(up: Upstream) -> None:
    up.world.add_user("102_1111113", token="second")
    for n in range(12):
        up.world.user_contact_upsert(9200000000 + n, {"name": f"Asha {n}"}, notes=[{"msg": "Hi."}])
    assert [len(up.mine(page=p)["contacts"]) for p in (1, 2, 3)] == [10, 2, 0]
    assert up.mine()["contacts"][0] == {
        "agent": "101_1111113",
        "inet_no": 1111113,
        "name": "Asha 0",
        "mobile": 9200000000,
        "time": int(NOW * 1000),
        "notes": [{"date": int(NOW * 1000), "agent": "101_1111113", "msg": "Hi."}],
    }
    assert up.mine(name="asha 11")["count"] == 1
    assert up.post("/v2/user/contact/get", {"token": "second"})["count"] == 0
    up.world.user_contact_upsert(9200000000, {"name": "Twice"}, twice=True)
    assert up.mine()["count"] == 13


def test_past_the_end(up: Upstream) -> None:
    for n in range(12):
        up.world.user_contact_upsert(9200000000 + n)
    up.telecmi(past_end="repeat_last")
    assert up.mine(page=9)["contacts"] == up.mine(page=2)["contacts"]
    up.telecmi(past_end="error400")
    assert up.mine(page=3)["code"] == 400
    up.telecmi(past_end="empty", repeat_page=1)
    assert [len(up.mine(page=p)["contacts"]) for p in (1, 2, 3, 4)] == [10, 10, 2, 0]


def test_stores_are_separate_or_shared(up: Upstream) -> None:
    up.fill(2)
    up.world.user_contact_upsert(9200000001, {"name": "Asha Own"})
    assert up.mine()["count"] == 1
    up.telecmi(shared_store=True)
    assert [(r["name"], r["mobile"]) for r in up.mine()["contacts"]] == [
        ("Asha Own", 9200000001),
        ("Asha Example 0", 9200000000),
    ]
    up.world.user_contact_upsert(9200000007, {"name": "Asha New"})
    made = up.contacts()["contacts"][-1]
    assert (made["phone_no"], made["first_name"], made["last_name"]) == ("919200000007", "Asha", "New")
    up.delete(made["contact_id"])
    assert 9200000007 not in [r["mobile"] for r in up.mine()["contacts"]]


# Voicemail


def test_voicemail_window_pages_and_order(up: Upstream) -> None:
    at = int(NOW * 1000)
    for n in range(12):
        up.world.voicemail_insert(at - n * 1000, 919200000000 + n)
    up.world.voicemail_insert(at - 86_400_001, 919200000099)
    first = up.voicemails()
    assert first["count"] == 12 and len(first["voicemail"]) == 10
    assert first["voicemail"][0]["time"] == at and first["voicemail"][0]["from"] == 919200000000
    assert first["voicemail"][0]["voicename"].startswith(f"{int(NOW)}_1111113_")
    assert len(up.voicemails(page=2)["voicemail"]) == 2
    assert up.voicemails(start_date=0, end_date=at)["count"] == 13
    window = {"start_date": at - 2000, "end_date": at - 1000}
    assert up.voicemails(**window)["count"] == 2
    for bounds, count in (("end_exclusive", 1), ("start_exclusive", 1), ("exclusive", 0)):
        up.telecmi(voicemail_bounds=bounds)
        assert up.voicemails(**window)["count"] == count
    up.telecmi(voicemail_order="oldest", voicemail_count_mode="page")
    assert up.voicemails()["voicemail"][0]["time"] < at and up.voicemails(page=2)["count"] < 10


def test_voicemail_shift_and_late_rows(up: Upstream) -> None:
    at = int(NOW * 1000)
    up.telecmi(time_shift_ms=19_800_000)
    up.world.voicemail_insert(at - 1000, 919200000000)
    assert up.voicemails()["count"] == 0
    shifted = up.voicemails(start_date=at, end_date=at + 19_800_000)["voicemail"]
    assert shifted[0]["time"] == at - 1000 + 19_800_000
    assert shifted[0]["voicename"].startswith(str(int(NOW) - 1))
    up.telecmi(voicemail_filter_by="received")
    assert up.voicemails()["count"] == 1
    up.world.voicemail_insert(at - 5000, "anonymous", "late.mp3", visible_at=NOW + 60, shift_ms=0)
    assert up.voicemails()["count"] == 1
    up.time += 60
    assert [v["voicename"] for v in up.voicemails()["voicemail"]][-1] == "late.mp3"


def test_voicemail_widest_window(up: Upstream) -> None:
    at = int(NOW * 1000)
    up.world.voicemail_insert(at - 7_200_000, 919200000000)
    up.telecmi(voicemail_widest_s=3600)
    assert up.voicemails()["code"] == 400
    up.telecmi(voicemail_too_wide="clamped")
    assert up.voicemails()["count"] == 0


def test_play(up: Upstream) -> None:
    mp3 = up.world.voicemail_insert(int(NOW * 1000) - 5000, 919200000000)
    up.world.voicemail_insert(int(NOW * 1000) - 5000, 919200000000, "1_x.wav")

    def play(**query: Any) -> Any:
        return up.request("GET", "/v2/play", params=query)

    good = play(**SECRET, file=mp3)
    assert good.headers["content-type"] == "audio/mpeg" and good.content.startswith(b"\xff\xfb")
    assert play(**SECRET, file="1_x.wav").content.startswith(b"RIFF")
    assert play(**SECRET).json()["code"] == 404
    assert play(appid="7", secret="x", file=mp3).json()["code"] == 407
    missing = play(**SECRET, file="none.mp3")
    assert (missing.status_code, missing.json()["code"]) == (200, 502)
    up.telecmi(audio_after_s=10, audio_kind="wav")
    assert play(**SECRET, file=mp3).json()["code"] == 502
    up.time += 10
    assert play(**SECRET, file=mp3).content.startswith(b"RIFF")
