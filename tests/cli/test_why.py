"""`syncer why`: one person's story, with right and wrong input."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cli.conftest import Syncer, Upstream


def story(syncer: Syncer, who: str) -> dict[str, Any]:
    known: dict[str, Any] = syncer.ok("why", who, "--json").json
    stamps = [event["at"] for event in known["events"]]
    assert stamps == sorted(stamps) and "" not in stamps
    return known


def kinds(known: dict[str, Any]) -> list[str]:
    return [event["kind"] for event in known["events"]]


def test_from_the_first_listing_to_a_conflict(upstream: Upstream) -> None:
    syncer = upstream.syncer
    row, number = syncer.sql(
        "SELECT id, phone_e164 FROM telecmi_contacts WHERE contact_id IS NOT NULL ORDER BY id"
    )[0]
    syncer.ok("contacts", "edit", str(row), "--company", "Acme Example")
    syncer.ok("sync", "telecmi-push", "telecmi-contacts")
    upstream.edit(row, job_title="Head of Theirs")
    syncer.ok("contacts", "edit", str(row), "--job-title", "Head of Ours")
    syncer.ok("sync", "telecmi-contacts", "telecmi-push")
    known = story(syncer, str(row))
    assert (known["number"], known["contact"], known["name_from"]) == (number, row, "telecmi_contacts")
    own = [event for event in known["events"] if event["table"] == "telecmi_contacts"]
    seen, edited, queued, sent, done = own[:5]
    assert (seen["kind"], seen["job"], seen["by"]) == ("first-seen", "telecmi-contacts", "upstream")
    assert seen["run"] == syncer.one("SELECT min(id) FROM sync_runs WHERE job = 'telecmi-contacts'")
    assert (edited["kind"], edited["field"], edited["new"], edited["by"]) == (
        "edited",
        "company",
        "Acme Example",
        "local",
    )
    assert (queued["kind"], sent["kind"], done["kind"]) == ("queued", "sent", "done")
    assert sent["fields"]["company"] == "Acme Example"
    assert own[-1]["kind"] == "conflict"
    assert own[-1]["clashes"]["job_title"]["remote"] == "Head of Theirs"
    out = syncer.ok("why", number).out
    assert "first seen, by a listing of telecmi-contacts, run" in out
    assert '"Head of Ours" locally and "Head of Theirs" upstream' in out


@pytest.mark.parametrize("by", ["name", "number", "contact_id", "id"])
def test_a_person_is_found_as_by_other_commands_and_by_name(syncer: Syncer, by: str) -> None:
    row, number, contact_id = syncer.sql(
        "SELECT id, phone_e164, contact_id FROM telecmi_contacts WHERE contact_id IS NOT NULL ORDER BY id"
    )[0]
    name = "Asha Singular"
    syncer.as_program(
        f"UPDATE telecmi_contacts SET first_name = 'Asha', last_name = 'Singular' WHERE id = {row}"
    )
    who = {"name": name.upper(), "number": number, "contact_id": contact_id, "id": f"id:{row}"}[by]
    known = story(syncer, who)
    assert (known["contact"], known["number"], known["name"]) == (row, number, name)


def test_a_caller_without_a_contact(syncer: Syncer) -> None:
    number = "+919200000777"
    syncer.as_program(
        "INSERT INTO telecmi_calls (account, kind, cmiuid, phone_e164, started_at, duration) "
        f"VALUES ('main', 'missed', 'a', '{number}', '2026-11-21T09:00:00.000Z', 31), "
        f"('main', 'out_answered', 'b', '{number}', '2026-11-21T11:00:00.000Z', 31)",
        "INSERT INTO telecmi_voicemails (account, voicename, phone_e164, received_at, first_seen_at) "
        f"VALUES ('main', 'v', '{number}', '2026-11-21T10:00:00.000Z', '2026-11-21T10:05:00.000Z')",
    )
    syncer.ok("callbacks", "done", number, "--note", "rang back")
    known = story(syncer, "92000 00777")
    assert (known["number"], known["contact"], known["name"], known["name_from"]) == (
        number,
        None,
        None,
        None,
    )
    assert kinds(known) == ["call", "voicemail", "call", "called-back"]
    assert (known["events"][0]["outcome"], known["events"][3]["note"]) == ("missed", "rang back")
    out = syncer.ok("why", number).out
    assert "No name is known" in out and "outgoing call, answered, 31 s" in out and "rang back" in out


def test_the_name_is_explained_by_its_sources_in_order(syncer: Syncer) -> None:
    number = "+919200000777"
    for table, column in (("smartflo_contacts", "smartflo_id"), ("telecmi_user_contacts", "mobile")):
        syncer.as_program(
            f"INSERT INTO {table} (account, {column}, name, phone_e164, first_seen_at) "
            f"VALUES ('main', 'x', 'From {table}', '{number}', '2026-11-21T09:00:00.000Z')"
        )
    known = story(syncer, number)
    assert (known["name"], known["name_from"]) == ("From telecmi_user_contacts", "telecmi_user_contacts")
    assert [one["table"] for one in known["sources"]] == ["telecmi_user_contacts", "smartflo_contacts"]
    assert [one["job"] for one in known["events"]] == ["telecmi-user-contacts", "smartflo-contacts"]


def test_a_contact_whose_number_is_masked_has_a_story_as_well(upstream: Upstream) -> None:
    syncer = upstream.syncer
    row = syncer.one("SELECT min(id) FROM telecmi_contacts WHERE contact_id IS NOT NULL")
    syncer.as_program(
        f"UPDATE telecmi_contacts SET phone_no = '+91xxxxxx2999', phone_e164 = NULL WHERE id = {row}"
    )
    known = story(syncer, str(row))
    assert (known["number"], known["contact"], known["name_from"]) == (None, row, "telecmi_contacts")
    assert "a number that cannot be read" in syncer.ok("why", str(row)).out


@pytest.mark.parametrize(
    ("who", "code", "says"),
    [
        ("", 2, "WHO is empty"),
        ("+919299999999", 1, "nothing is known of this number"),
        ("Nobody Known", 1, "nothing is known of this number"),
        ("a", 1, "several people match"),
    ],
)
def test_who_is_nobody_or_several(syncer: Syncer, who: str, code: int, says: str) -> None:
    done = syncer("why", who)
    assert (done.code, done.out) == (code, "") and says in done.err
