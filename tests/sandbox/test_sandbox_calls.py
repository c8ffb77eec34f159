"""Call records of both vendors: their lists, the switches on them, and calls made by hand or seeded."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from syncer.sandbox import World
from tests.sandbox.conftest import NOW, SECRET, Upstream

NOW_MS = int(NOW * 1000)
MINUTE = 60_000
ALL_TIME = {"start_date": 0, "end_date": NOW_MS}
KINDS = ("answered", "missed", "out_answered", "out_missed")
PHONE = 919200000001


def miss(up: Upstream, count: int) -> list[str]:
    """Missed calls, the newest one now and the rest a minute apart; their ids, newest first."""
    return [up.world.call_insert("missed", PHONE, NOW_MS - n * MINUTE) for n in range(count)]


def ids(answer: Any) -> list[Any]:
    return [row["cmiuid"] for row in answer["cdr"]]


# TeleCMI


def test_each_kind_has_its_own_list(up: Upstream) -> None:
    made = {kind: up.world.call_insert(kind, PHONE, NOW_MS - 1000) for kind in KINDS}
    for kind in KINDS:
        answer = up.calls(kind)
        assert (answer["code"], answer["count"], ids(answer)) == (200, 1, [made[kind]])


def test_rows_have_the_documented_fields_and_types(up: Upstream) -> None:
    for kind in KINDS:
        up.world.call_insert(kind, PHONE, NOW_MS - 1000, duration=40, cmiuid=f"id-{kind}")
    answered, missed, out, _ = (up.calls(kind)["cdr"][0] for kind in KINDS)
    assert answered == {
        "cmiuid": "id-answered",
        "time": NOW_MS - 1000,
        "from": PHONE,
        "to": 919200099001,
        "duration": 40,
        "billedsec": 34,
        "name": "unknown",
        "agent": "101_1111113",
        "filename": f"{NOW_MS - 1000}id-answe_1111113.mp3",
        "rate": 0.0,
        "record": "true",
    }
    assert (missed["billedsec"], missed["record"], "agent" in missed) == (0, "false", False)
    assert (out["from"], out["to"]) == ("919200099001", PHONE)


@pytest.mark.parametrize(
    ("how", "values"),
    [
        ("documented", (PHONE, 919200099001, 30, "true")),
        ("strings", (str(PHONE), "919200099001", "30", "true")),
        ("numbers", (PHONE, 919200099001, 30, True)),
    ],
)
def test_types_can_be_switched(up: Upstream, how: str, values: tuple[Any, ...]) -> None:
    up.world.call_insert("answered", PHONE, NOW_MS)
    up.world.call_insert("out_missed", PHONE, NOW_MS)
    up.telecmi(calls_as=how)
    row = up.calls("answered")["cdr"][0]
    assert (row["from"], row["to"], row["duration"], row["record"]) == values
    out = up.calls("out_missed")["cdr"][0]
    assert isinstance(out["from"], int) == (how == "numbers")
    assert isinstance(out["time"], str) == (how == "strings")


@pytest.mark.parametrize(
    ("switch", "limit", "sizes"),
    [("ignored", 20, [10, 10, 3]), ("ignored", 3, [10, 10, 3]), ("honoured", 20, [20, 3, 0])],
)
def test_a_page_is_ten_rows_or_what_limit_asks(
    up: Upstream, switch: str, limit: int, sizes: list[int]
) -> None:
    made = miss(up, 23)
    up.telecmi(calls_limit=switch)
    pages = [ids(up.calls("missed", limit=limit, page=page)) for page in (1, 2, 3)]
    assert [len(page) for page in pages] == sizes and sum(pages, []) == made
    assert up.calls("missed")["count"] == 23 and len(up.calls("missed")["cdr"]) == 10


def test_windows_include_both_ends_and_default_to_a_day(up: Upstream) -> None:
    made = miss(up, 3)
    old = up.world.call_insert("missed", PHONE, NOW_MS - 86_400_001)
    assert ids(up.calls("missed")) == made
    assert ids(up.calls("missed", **ALL_TIME)) == [*made, old]
    assert ids(up.calls("missed", start_date=NOW_MS - 2 * MINUTE, end_date=NOW_MS - MINUTE)) == made[1:]
    up.telecmi(calls_order="oldest", calls_count_mode="off_by_one")
    assert ids(up.calls("missed")) == made[::-1] and up.calls("missed")["count"] == 4


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"secret": "wrong"}, 401),
        ({"appid": 7}, 401),
        ({"appid": "1111113"}, 400),
        ({"secret": None}, 400),
        ({"limit": 21}, 400),
        ({"page": 0}, 400),
        ({"start_date": "today"}, 400),
        ({"user": "101"}, 400),
    ],
)
def test_refusals(up: Upstream, kind: str, more: dict[str, Any], code: int) -> None:
    response = up.request("POST", f"/v2/{kind}", json={**SECRET, **more})
    assert (response.status_code, response.json()["code"], "cdr" in response.json()) == (200, code, False)


def test_late_rows_of_all_calls_and_of_one(up: Upstream) -> None:
    up.telecmi(calls_late_s=120)
    up.world.call_insert("missed", PHONE, NOW_MS - MINUTE, cmiuid="a")
    up.world.call_insert("missed", PHONE, NOW_MS - 2 * MINUTE, cmiuid="b", visible_at=NOW + 90)
    assert ids(up.calls("missed")) == []
    up.time += 60
    assert ids(up.calls("missed")) == ["a"]
    up.time += 30
    assert ids(up.calls("missed")) == ["a", "b"]


def test_one_id_in_two_lists(up: Upstream) -> None:
    for kind in ("missed", "answered"):
        up.edit("call.insert", kind=kind, phone=PHONE, cmiuid="both")
    assert ids(up.calls("missed")) == ids(up.calls("answered")) == ["both"]
    up.world.call_insert("answered", PHONE, NOW_MS - MINUTE, cmiuid="later")
    up.telecmi(calls_missed_too=True)
    assert ids(up.calls("missed")) == ["both", "both", "later"]
    row = up.calls("missed")["cdr"][-1]
    assert (row["record"], row["billedsec"], "agent" in row) == ("false", 0, False)


def test_lists_can_be_empty_or_fail_one_by_one(up: Upstream) -> None:
    for kind in KINDS:
        up.world.call_insert(kind, PHONE)
    up.telecmi(calls_empty=["missed", "out_missed"])
    assert [up.calls(kind)["count"] for kind in KINDS] == [1, 0, 1, 0]
    up.telecmi(calls_empty=[])
    up.world.faults.add({"kind": "http", "match": {"path": "/v2/missed"}, "times": None})
    assert [up.calls(kind)["code"] for kind in KINDS] == [200, 503, 200, 200]
    up.world.faults.clear()
    up.world.faults.add({"kind": "zero_rows", "match": {"path": "/v2/missed"}}, {"kind": "bad_token"})
    assert up.calls("missed") == {"code": 200, "cdr": [], "count": 0}
    assert up.calls("missed")["code"] == 401


def test_a_click_to_call_makes_two_records(up: Upstream) -> None:
    agent, customer = up.edit("call.click", phone=PHONE)
    rows = {row["cmiuid"]: row["to"] for row in up.calls("out_answered")["cdr"]}
    assert rows == {agent: 919200099101, customer: PHONE}
    up.edit("call.click", phone=PHONE, answered=False)
    assert up.calls("out_answered")["count"] == 3 and up.calls("out_missed")["count"] == 1


def test_a_row_can_say_anything(up: Upstream) -> None:
    up.edit("call.insert", kind="missed", phone="anonymous", sent="soon", name="Asha Example")
    up.edit("call.insert", **{"kind": "missed", "phone": PHONE, "time": NOW_MS - 5, "from": None})
    hidden, numberless = up.calls("missed")["cdr"]
    assert (hidden["from"], hidden["time"], hidden["name"]) == ("anonymous", "soon", "Asha Example")
    assert (numberless["from"], numberless["time"]) == (None, NOW_MS - 5)


# Smartflo


def test_smartflo_rows_and_envelope(up: Upstream) -> None:
    made = up.world.smartflo_call_insert("+919200000001", NOW_MS - 1234, status="answered", duration=40)
    answer = up.records().json()
    (row,) = answer.pop("results")
    assert answer == {"count": 1, "page": 1, "size": 1, "limit": 20}
    assert (row["id"], row["date"], row["time"]) == (made, "2026-11-21", "14:59:58")
    assert row["end_stamp"] == "2026-11-21 15:00:38"
    assert (row["direction"], row["status"]) == ("inbound", "answered")
    assert (row["call_duration"], row["answered_seconds"], row["missed_agents"]) == (40, 34, [])
    assert row["client_number"] == "+919200000001" and row["agent_name"] == "User 101"
    assert row["recording_url"].startswith("https://recordings.example.com/file/700001.mp3?token=")
    assert {"call_id", "uuid", "ref_id", "did_number", "call_flow", "circle", "hangup_cause"} <= set(row)


def test_smartflo_missed_and_voicemail(up: Upstream) -> None:
    up.edit("smartflo_call.insert", phone="+919200000001")
    up.edit("smartflo_call.insert", phone="+919200000001", voicemail=True, id="x", agent_name="")
    voicemail, missed = up.records().json()["results"]
    assert (missed["recording_url"], missed["voicemail_recording"]) == (None, False)
    assert len(missed["missed_agents"]) == 1 and missed["answered_seconds"] == 0
    assert voicemail["voicemail_recording"] is True and "?token=" in voicemail["recording_url"]
    up.switch(calls_as="strings", ids_as_strings=True)
    row = up.records().json()["results"][1]
    assert (row["id"], row["call_duration"], row["answered_seconds"]) == ("700001", "30", "0")


def test_smartflo_windows_are_ist_wall_time_in_whole_seconds(up: Upstream) -> None:
    for ms in (-1, 0, 1999, 2000):
        up.world.smartflo_call_insert("+919200000001", NOW_MS - 60_000 + ms)
    window = {"from_date": "2026-11-21 14:59:00", "to_date": "2026-11-21 14:59:01"}
    assert up.records(**window).json()["count"] == 2
    assert up.records(from_date="2026-11-21 14:59:00").json()["count"] == 3
    assert up.records(to_date="2026-11-21 09:29:00").json()["count"] == 0  # UTC would find them


def test_smartflo_pages_count_and_late_rows(up: Upstream) -> None:
    for n in range(45):
        up.world.smartflo_call_insert("+919200000001", NOW_MS - n * MINUTE, id=n)
    pages = [up.records(page=page).json() for page in (1, 2, 3, 4)]
    assert [(p["count"], p["size"], p["page"]) for p in pages] == [
        (45, 20, 1),
        (45, 20, 2),
        (45, 5, 3),
        (45, 0, 4),
    ]
    assert [row["id"] for p in pages for row in p["results"]] == list(range(45))
    assert up.records(limit=1000).json()["limit"] == 100
    up.switch(calls_late_s=600, calls_count_mode="page")
    assert up.records().json()["results"][0]["id"] == 10
    assert up.records(page=2).json()["count"] == 15


@pytest.mark.parametrize("query", [{"from_date": "2026-11-21"}, {"page": 0}, {"limit": "x"}, {"user": 1}])
def test_smartflo_refusals(up: Upstream, query: dict[str, Any]) -> None:
    assert up.records(**query).status_code == 400


def test_smartflo_faults_apply(up: Upstream) -> None:
    up.world.smartflo_call_insert("+919200000001")
    up.world.faults.add({"kind": "too_many", "retry_after": 3}, {"kind": "zero_rows"}, {"kind": "bad_token"})
    busy = up.records()
    assert (busy.status_code, busy.json()["success"], busy.headers["retry-after"]) == (429, "false", "3")
    assert up.records().json() == {"count": 0, "page": 1, "size": 0, "limit": 100, "results": []}
    assert up.records().status_code == 401
    assert up.smartflo("/v1/call/records", token="Bearer wrong").status_code == 401


# By hand, and seeded


@pytest.mark.parametrize(
    "op",
    [
        {"op": "call.insert", "kind": "lost", "phone": PHONE},
        {"op": "call.insert", "kind": "missed"},
        {"op": "call.insert", "kind": "missed", "phone": PHONE, "nick": "A"},
        {"op": "smartflo_call.insert", "phone": "+91", "status": "lost"},
        {"op": "smartflo_call.insert", "phone": "+91", "nick": "A"},
        {"op": "ring", "event": "lost"},
        {"op": "ring", "vendor": "other"},
    ],
)
def test_unfit_operations_are_refused(up: Upstream, op: Any) -> None:
    answer = up.control("POST", "edit", op)
    assert answer.status_code == 400 and answer.json()["problems"]


def test_the_state_shows_calls_that_are_not_listed_yet(up: Upstream) -> None:
    up.edit("call.insert", kind="missed", phone=PHONE, visible_at=NOW + 60)
    up.edit("smartflo_call.insert", phone="+919200000001", visible_at=NOW + 60)
    state = up.control("GET", "state").json()
    (call,), (other,) = state["telecmi"]["1111113"]["calls"], state["smartflo"]["calls"]
    assert (call["kind"], call["from"], call["visible_at"]) == ("missed", PHONE, NOW + 60)
    assert (other["client_number"], other["status"]) == ("+919200000001", "missed")
    assert up.calls("missed")["count"] == up.records().json()["count"] == 0


def test_old_calls_expire_at_both_vendors(up: Upstream) -> None:
    miss(up, 3)
    up.edit("smartflo_call.insert", phone="+919200000001", time=NOW_MS - MINUTE)
    assert up.edit("calls.expire", before=NOW_MS - MINUTE + 1) == 3
    assert up.calls("missed")["count"] == 1 and up.records().json()["count"] == 0


def seeded(**sizes: int) -> dict[str, Any]:
    world = World(clock=lambda: NOW)
    world.seed(**sizes)
    return world.snapshot()


def test_seeding_calls_changes_nothing_else(up: Upstream) -> None:
    plain, more = seeded(), seeded(calls=300, smartflo_calls=200)
    assert more == seeded(calls=300, smartflo_calls=200)
    for whole in (plain, more):
        sizes = len(whole["telecmi"]["1111113"].pop("calls")), len(whole["smartflo"].pop("calls"))
        assert sizes == ((0, 0) if whole is plain else (300, 200))
    assert plain == more


def test_seeded_calls_are_made_by_the_people_of_the_lists(up: Upstream) -> None:
    whole = seeded(calls=400, smartflo_calls=200)
    calls, records = whole["telecmi"]["1111113"]["calls"], whole["smartflo"]["calls"]
    assert len({c["cmiuid"] for c in calls}) == 400 and len({r["id"] for r in records}) == 200
    assert set(Counter(c["kind"] for c in calls)) == set(KINDS)
    assert {r["direction"] for r in records} == {"inbound", "outbound", "clicktocall"}
    assert any(r["voicemail_recording"] for r in records)
    assert all(NOW_MS - 20 * 86_400_000 <= c["time"] <= NOW_MS for c in calls)

    phones = {c["phone_no"] for c in whole["telecmi"]["1111113"]["contacts"]}
    others = [str(c["to" if c["kind"].startswith("out") else "from"]) for c in calls]
    assert 0.5 < sum(other in phones for other in others) / 400 < 1
    missed = [(str(c["from"]), c["time"]) for c in calls if c["kind"] == "missed"]
    answered = [(str(c["to"]), c["time"]) for c in calls if c["kind"] == "out_answered"]
    back = [any(to == phone and at > time for to, at in answered) for phone, time in missed]
    assert 0.3 < sum(back) / len(back) < 0.9


def test_calls_are_seeded_over_the_control_path(up: Upstream) -> None:
    up.edit("seed", contacts=5, voicemails=0, smartflo=0, user_contacts=0)
    up.edit("calls.seed", telecmi=20, smartflo=10, days=2)
    window = {"start_date": NOW_MS - 2 * 86_400_000, "end_date": NOW_MS}
    assert sum(up.calls(kind, **window)["count"] for kind in KINDS) == 20
    assert up.records().json()["count"] == 10


def test_the_journal_keeps_call_requests_without_secrets(up: Upstream) -> None:
    up.calls("missed", page=2)
    up.records(from_date="2026-11-21 00:00:00")
    first, second = up.control("GET", "requests").json()
    assert first["body"] == {"appid": 1111113, "page": 2}
    assert second["query"] == {"from_date": "2026-11-21 00:00:00"}
    assert "sandbox-secret" not in str([first, second]) and "sandbox-token" not in str([first, second])
