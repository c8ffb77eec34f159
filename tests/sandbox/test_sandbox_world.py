"""The invented people, the control path, and edits by somebody upstream."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import fields
from typing import Any

import pytest

from syncer.sandbox import World
from syncer.sandbox.people import number
from syncer.sandbox.settings import SettingsError, SmartfloSettings, TelecmiSettings
from tests.sandbox.conftest import NOW, SECRET, TOKEN, Upstream, row


def seeded(seed: int = 7) -> dict[str, Any]:
    world = World(clock=lambda: NOW)
    world.seed(seed=seed)
    return world.snapshot()


def test_the_same_seed_gives_the_same_world() -> None:
    assert seeded() == seeded()
    assert seeded() != seeded(seed=8)


def test_what_a_seeded_world_holds() -> None:
    whole = seeded()
    org, smartflo = whole["telecmi"]["1111113"], whole["smartflo"]
    mine = org["users"]["101_1111113"]
    assert [len(x) for x in (org["contacts"], org["voicemails"], mine)] == [250, 60, 40]
    assert len(smartflo["contacts"]) == 60 and len(smartflo["groups"]) == 3

    phones = Counter(c["phone_no"] for c in org["contacts"])
    assert set(phones.values()) == {1}
    assert all(re.fullmatch(r"9192000\d{5}", phone) for phone in phones)
    shared = [r for r in mine if f"91{r['mobile']}" in phones]
    assert len(shared) == 20
    assert any("notes" in r for r in mine) and any("notes" not in r for r in mine)
    for name in ("email_id", "company", "job_title"):
        kinds = {
            (c.get(name) is None and "absent") or (c[name] == "" and "empty") or "full"
            for c in org["contacts"]
        }
        assert kinds == {"absent", "empty", "full"}

    callers = [v["from"] for v in org["voicemails"]]
    assert {c for c in callers if isinstance(c, str)} == {"+91xxxxxx2999", "anonymous"}
    known = [c for c in callers if str(c) in phones]
    assert 10 < len(known) < 55
    for voicemail in org["voicemails"]:
        assert voicemail["voicename"].startswith(f"{voicemail['time'] // 1000}_1111113_")
        assert NOW - 20 * 86400 <= voicemail["time"] / 1000 <= NOW
    assert len({v["voicename"] for v in org["voicemails"]}) == 60
    assert any(c["phone_number"][1:] in phones for c in smartflo["contacts"])


def test_large_worlds_have_numbers_enough() -> None:
    made = {number(n) for n in range(101_000)}
    assert len(made) == 101_000 and {len(digits) for digits in made} == {10}


# The control path


def test_settings_are_changed_in_part_and_refused_as_a_whole(up: Upstream) -> None:
    answer = up.control("POST", "settings", {"telecmi": {"page_cap": 9, "respell": ["phone"]}})
    assert answer.json()["telecmi"]["page_cap"] == 9 and answer.json()["telecmi"]["respell"] == ["phone"]
    assert up.control("POST", "settings", {"smartflo.expired_as": "http403"}).status_code == 200
    bad = {
        "telecmi": {"page_cap": None, "nonsense": 1, "order": "sideways", "token_ttl_s": "x"},
        "other": {"x": 1},
    }
    refused = up.control("POST", "settings", bad)
    assert refused.status_code == 400
    assert [problem.partition(": ")[0] for problem in refused.json()["problems"]] == [
        "unknown setting",
        "telecmi.order",
        "telecmi.token_ttl_s",
        "unknown setting",
    ]
    assert up.control("GET", "settings").json()["telecmi"]["page_cap"] == 9
    assert up.world.settings.smartflo.expired_as == "http403"


@pytest.mark.parametrize("kind", [TelecmiSettings, SmartfloSettings])
def test_every_setting_takes_its_default_and_refuses_an_object(up: Upstream, kind: Any) -> None:
    group = "telecmi" if kind is TelecmiSettings else "smartflo"
    defaults = up.world.settings.as_json()[group]
    up.world.settings.change({group: defaults})
    assert up.world.settings.as_json()[group] == defaults
    for field in fields(kind):
        with pytest.raises(SettingsError):
            up.world.settings.change({f"{group}.{field.name}": ["no", "such"]})


def test_the_journal_keeps_requests_without_secrets(up: Upstream) -> None:
    up.post("/v2/user/login", {"id": "101_1111113", "password": "sandbox-password"})
    up.add(row(0))
    up.voicemails()
    up.request("GET", "/v2/play", params={**SECRET, "file": "x"})
    up.smartflo(limit=2)
    up.request("POST", "/v3/contact/get", content=b"{")
    journal = up.control("GET", "requests").json()
    assert [(r["method"], r["path"], r["status"]) for r in journal] == [
        ("POST", "/v2/user/login", 200),
        ("POST", "/v3/contact/add", 200),
        ("POST", "/v2/voicemail", 200),
        ("GET", "/v2/play", 200),
        ("GET", "/v1/contacts", 200),
        ("POST", "/v3/contact/get", 200),
    ]
    assert journal[1]["body"] == {"contacts": [row(0)]}
    assert journal[3]["query"] == {"appid": "1111113", "file": "x"} and journal[3]["code"] == 502
    assert journal[4]["auth"] == "Bearer"
    for secret in ("sandbox-password", "sandbox-secret", "sandbox-token", TOKEN):
        assert secret not in str(journal)
    assert [r["n"] for r in up.control("GET", f"requests?after={journal[4]['n']}").json()] == [
        journal[5]["n"]
    ]
    assert up.control("GET", "requests?after=x").status_code == 400
    up.control("DELETE", "requests")
    assert up.control("GET", "requests").json() == []


def test_faults_over_the_control_path(up: Upstream) -> None:
    rules = [{"kind": "list", "match": {"path": "/v3/*"}}, {"kind": "null"}]
    assert len(up.control("POST", "faults", rules).json()) == 2
    assert up.contacts() == []
    assert up.control("GET", "faults").json()[0]["acted"] == 1
    assert up.control("POST", "faults", {"kind": "nothing"}).status_code == 400
    assert up.control("DELETE", "faults").json() == []
    assert up.contacts()["code"] == 200
    assert up.control("GET", "requests").json()[0]["fault"] == "list"


def test_edits_of_the_directory(up: Upstream) -> None:
    one = up.edit("contact.insert", fields=row(0))
    two = up.edit("contact.insert", **row(1))  # fields may be next to the operation
    up.edit("contact.update", contact_id=one, fields={"company": "Example Tools"})
    up.edit("contact.delete", contact_id=two)
    assert up.contacts()["contacts"] == [{"contact_id": one, **row(0, company="Example Tools")}]
    assert up.edit("contacts.blank", field="company") == 1
    assert up.contacts()["contacts"][0]["company"] == ""
    up.fill(99)
    assert len(up.edit("contact.delete_share", share=0.49)) == 49
    assert up.contacts()["count"] == 51
    up.edit("contact.delete_share", share=1)
    assert up.contacts()["count"] == 0


def test_edits_of_everything_else(up: Upstream) -> None:
    up.edit("user_contact.upsert", mobile=9200000001, name="Asha", notes=[{"msg": "Hi."}])
    up.edit("user_contact.upsert", mobile=9200000001, notes=[{"msg": "Again.", "date": 5, "agent": "x"}])
    (mine,) = up.mine()["contacts"]
    assert mine["name"] == "Asha" and [n["msg"] for n in mine["notes"]] == ["Hi.", "Again."]
    up.edit("user_contact.delete", mobile=9200000001)
    assert up.mine()["count"] == 0

    name = up.edit("voicemail.insert", **{"time": int(NOW * 1000) - 5, "from": 919200000001})
    assert up.voicemails()["voicemail"][0]["voicename"] == name
    up.edit("voicemail.delete", voicename=name)
    assert up.voicemails()["count"] == 0

    group = up.edit("group.upsert", name="Customers")
    contact = up.edit("smartflo.upsert", name="Asha", contact_group_id=group)
    up.edit("smartflo.upsert", id=contact, fields={"name": "Asha Devi"}, updated_at=NOW + 5)
    assert up.smartflo().json()["results"][0]["name"] == "Asha Devi"
    up.edit("smartflo.delete", id=contact)
    state = up.control("GET", "state").json()
    assert state["smartflo"]["contacts"][0]["deleted_at"] and state["smartflo"]["groups"][0]["id"] == group

    up.edit("user.add", user_id="102_1111113", token="second")
    assert up.post("/v3/contact/get", {"token": "second"})["code"] == 200
    assert up.edit("clock.advance", seconds=60) == NOW + 60
    up.edit("tokens.expire", vendor="telecmi")
    assert up.contacts()["code"] == 404
    up.edit("seed", contacts=3, voicemails=0, smartflo=0, user_contacts=0)
    assert len(up.world.org().contacts) == 3


@pytest.mark.parametrize(
    "op",
    [
        {"op": "nothing"},
        {"op": "contact.update", "contact_id": "gone", "fields": {}},
        {"op": "contact.update", "fields": {"company": "X"}},
        {"op": "contact.insert", "fields": {"nick": "A"}},
        {"op": "contacts.blank", "field": "nick"},
        {"op": "voicemail.insert", "time": 5},
        {"op": "smartflo.delete", "id": 5},
        {"op": "user_contact.delete", "mobile": 5},
        {"op": "voicemail.delete", "voicename": "x"},
        {"op": "contact.insert", "fields": {}, "app_id": 5},
        "nothing",
    ],
)
def test_an_edit_of_something_unknown_is_refused(up: Upstream, op: Any) -> None:
    answer = up.control("POST", "edit", op)
    assert answer.status_code == 400 and answer.json()["problems"]


def test_the_control_path_says_what_it_can(up: Upstream) -> None:
    about = up.control("GET", "").json()
    assert "contact.update" in about["ops"] and "drop_after" in about["faults"]
