"""`syncer contacts`: who is meant, what may be written, and what is said about it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cli.conftest import Syncer, Upstream

ADD = ["contacts", "add", "--first-name", "Asha", "--last-name", "Example"]


def row(syncer: Syncer, row_id: int) -> dict[str, Any]:
    names = ("id", "account", "contact_id", "phone_no", "phone_e164", "first_name", "last_name", "company")
    found = syncer.sql(f"SELECT {', '.join(names)} FROM telecmi_contacts WHERE id = ?", row_id)
    return dict(zip(names, found[0], strict=True))


def change(syncer: Syncer, row_id: int) -> tuple[Any, ...]:
    return syncer.sql("SELECT id, operation, state FROM change_queue WHERE contact_row = ?", row_id)[-1]


# -- looking --------------------------------------------------------------------------------------------


def test_list_json_is_an_array_with_the_columns_of_the_table(syncer: Syncer) -> None:
    listed = syncer.ok("contacts", "list", "--json").json
    columns = [name for _, name, *_ in syncer.sql("PRAGMA table_info(telecmi_contacts)")]
    assert len(listed) == syncer.one("SELECT count(*) FROM telecmi_contacts WHERE deleted_at IS NULL")
    assert all(list(one) == columns for one in listed)
    assert json.loads(listed[0]["raw"])["contact_id"] == listed[0]["contact_id"]


def test_list_of_other_providers(syncer: Syncer) -> None:
    flo = syncer.ok("contacts", "list", "--json", "--provider", "smartflo").json
    assert len(flo) == 9 and "smartflo_id" in flo[0]
    assert syncer.ok("contacts", "list", "--json", "--account", "smartflo.main").json == flo
    every = syncer.ok("contacts", "list", "--json", "--provider", "any").json
    assert len(every) == syncer.one("SELECT count(*) FROM contacts")
    assert set(every[0]) >= {"provider", "source_table", "source_id"}
    for provider in ("telecmi", "smartflo", "any"):
        assert "contacts." in syncer.ok("contacts", "list", "--provider", provider).out


def test_list_finds_names_in_any_case_and_numbers_in_any_spelling(syncer: Syncer) -> None:
    one = row(syncer, 3)
    digits = one["phone_no"]
    for text in (one["last_name"].upper(), f"+{digits[:2]} {digits[2:7]}-{digits[7:]}", f"0{digits[2:]}"):
        found = syncer.ok("contacts", "list", "--json", "--search", text).json
        assert 3 in [other["id"] for other in found], text
    assert len(syncer.ok("contacts", "list", "--json", "--limit", "2").json) == 2
    assert syncer.ok("contacts", "list", "--json", "--search", "nobody at all").json == []
    assert (
        "No contact in the mirror matches" in syncer.ok("contacts", "list", "--search", "nobody at all").out
    )


def test_what_is_not_ascii_is_printed_as_it_is(syncer: Syncer) -> None:
    syncer.sql("UPDATE telecmi_contacts SET first_name = 'आशा', company = 'Żółw' WHERE id = 3")
    assert "आशा" in syncer.process("contacts", "list", "--json").out
    assert 3 in [one["id"] for one in syncer.ok("contacts", "list", "--json", "--search", "ŻÓŁW").json]
    syncer.env["PYTHONIOENCODING"] = "ascii"
    done = syncer.process("contacts", "list", "--json", "--search", "3")
    assert done.code == 0 and done.json is not None
    assert syncer.process("contacts", "list").code == 0


def test_a_name_cannot_steer_the_terminal(syncer: Syncer) -> None:
    syncer.sql(
        "UPDATE telecmi_contacts SET first_name = ?, company = ? WHERE id = 3", "A\x1b[2Jsha", "two\nlines"
    )
    for args in (["list"], ["show", "3"]):
        out = syncer.ok("contacts", *args).out
        assert "\x1b" not in out and "two lines" in out
    assert syncer.ok("contacts", "show", "3", "--json").json["first_name"] == "A\x1b[2Jsha"


def test_tombstones_are_listed_only_when_asked_for(syncer: Syncer) -> None:
    syncer.sql("DELETE FROM telecmi_contacts WHERE id = 3")
    assert 3 not in [one["id"] for one in syncer.ok("contacts", "list", "--json").json]
    assert 3 in [one["id"] for one in syncer.ok("contacts", "list", "--json", "--all").json]


@pytest.mark.parametrize(
    "spelling", ["{}", "+{}", "00{}", "{10}", "0{10}", "+91 {5} {-5}", "+91-{10}", "tel:+{}"]
)
def test_a_contact_is_known_by_any_usual_spelling_of_its_number(syncer: Syncer, spelling: str) -> None:
    digits = row(syncer, 3)["phone_no"]
    text = spelling.replace("{}", digits).replace("{10}", digits[2:])
    text = text.replace("{5}", digits[2:7]).replace("{-5}", digits[7:])
    assert syncer.ok("contacts", "show", text, "--json").json["id"] == 3


def test_a_contact_is_known_by_its_ids(syncer: Syncer) -> None:
    one = row(syncer, 3)
    for text in ("3", "id:3", one["contact_id"], f"  {one['contact_id']}  "):
        shown = syncer.ok("contacts", "show", text, "--json").json
        assert shown["id"] == 3 and shown["changes"] == []


def test_a_number_that_was_edited_a_moment_ago_is_found(syncer: Syncer) -> None:
    syncer.sql("UPDATE telecmi_contacts SET phone_no = '92111 22333' WHERE id = 3")
    assert row(syncer, 3)["phone_e164"] is None
    assert syncer.ok("contacts", "show", "+919211122333", "--json").json["id"] == 3


def test_who_is_ambiguous_is_listed_and_refused(syncer: Syncer) -> None:
    number = row(syncer, 3)["phone_no"]
    syncer.sql("UPDATE telecmi_contacts SET phone_no = ? WHERE id = 4", number)
    done = syncer("contacts", "edit", number, "--company", "Acme")
    assert done.code == 1 and done.out == ""
    assert "2 contacts match" in done.err and row(syncer, 4)["last_name"] in done.err
    syncer.sql("UPDATE telecmi_contacts SET phone_no = '5' WHERE id = 6")  # a number like a row id
    done = syncer("contacts", "show", "5")
    assert done.code == 1 and "2 contacts match" in done.err
    assert syncer.ok("contacts", "show", "id:5", "--json").json["id"] == 5


def test_an_unknown_contact_lists_similar_ones(syncer: Syncer) -> None:
    done = syncer("contacts", "show", row(syncer, 3)["last_name"])
    assert done.code == 1 and row(syncer, 3)["last_name"] in done.err


def test_a_live_contact_wins_over_a_tombstone(syncer: Syncer) -> None:
    number = row(syncer, 3)["phone_no"]
    syncer.sql("DELETE FROM telecmi_contacts WHERE id = 3")
    assert syncer.ok("contacts", "show", number, "--json").json["id"] == 3
    syncer.ok(*ADD, "--phone", number)
    assert syncer.ok("contacts", "show", number, "--json").json["id"] != 3


# -- editing --------------------------------------------------------------------------------------------


def test_add_is_queued_and_says_so(syncer: Syncer) -> None:
    done = syncer.ok(*ADD, "--phone", "092000 00001", "--company", "Acme", "--account", "main")
    added = syncer.ok("contacts", "show", "+919200000001", "--json").json
    assert (added["phone_no"], added["phone_e164"]) == ("919200000001", "+919200000001")
    assert (added["first_name"], added["company"], added["email_id"]) == ("Asha", "Acme", None)
    assert added["changes"][0]["operation"] == "add" and added["changes"][0]["state"] == "queued"
    assert f"row {added['id']}" in done.out and f"Change {added['changes'][0]['id']}" in done.out


def test_add_refuses_a_number_that_is_there(syncer: Syncer) -> None:
    number = row(syncer, 3)["phone_no"]
    done = syncer(*ADD, "--phone", f"+{number}")
    assert done.code == 1 and "contact row 3 of account main holds this number" in done.err
    assert syncer.one("SELECT count(*) FROM change_queue") == 0


def test_add_before_the_first_sync(empty: Syncer) -> None:
    empty.ok(*ADD, "--phone", "9200000001")
    assert change(empty, 1) == (1, "add", "queued")


def test_add_needs_an_account_where_there_are_two(empty: Syncer) -> None:
    text = empty.config.read_text()
    second = text[text.index("[telecmi.main]") : text.index("[smartflo.main]")].replace("main", "north")
    empty.config.write_text(text + second)
    done = empty(*ADD, "--phone", "9200000001")
    assert done.code == 2 and "main, north" in done.err
    empty.ok(*ADD, "--phone", "9200000001", "--account", "telecmi.north")
    assert row(empty, 1)["account"] == "north"
    empty.ok(*ADD, "--phone", "9200000001", "--account", "main")  # another account's number is its own
    assert empty("contacts", "show", "9200000001").code == 1
    assert empty.ok("contacts", "show", "9200000001", "--account", "north", "--json").json["id"] == 1


def test_add_where_contacts_are_switched_off(empty: Syncer) -> None:
    empty.write_config('voicemails = { since = "3d" }', "contacts = { enabled = false }")
    done = empty(*ADD, "--phone", "9200000001")
    assert done.code == 1 and "switched off" in done.err


def test_edit_changes_what_was_said_and_nothing_else(syncer: Syncer) -> None:
    before = row(syncer, 3)
    done = syncer.ok("contacts", "edit", "3", "--company", "  Acme ", "--first-name", before["first_name"])
    assert row(syncer, 3) == before | {"company": "Acme"}
    assert change(syncer, 3)[1:] == ("update", "queued")
    assert "was changed: company." in done.out


def test_edit_that_changes_nothing_says_so(syncer: Syncer) -> None:
    one = row(syncer, 3)
    spelled = f"+91 {one['phone_no'][2:]}"
    done = syncer.ok("contacts", "edit", "3", "--phone", spelled, "--last-name", one["last_name"])
    assert "nothing was changed" in done.out
    assert syncer.one("SELECT count(*) FROM change_queue") == 0


def test_edit_clears_an_optional_field(syncer: Syncer) -> None:
    syncer.ok("contacts", "edit", "3", "--company", "Acme")
    syncer.ok("contacts", "edit", "3", "--company", "")
    assert row(syncer, 3)["company"] is None


def test_edit_back_says_that_nothing_will_be_sent(syncer: Syncer) -> None:
    before = row(syncer, 3)["company"] or ""
    syncer.ok("contacts", "edit", "3", "--company", "Acme")
    assert "Upstream already has these values" in syncer.ok("contacts", "edit", "3", "--company", before).out


def test_edit_refuses_a_number_that_another_holds(syncer: Syncer) -> None:
    done = syncer("contacts", "edit", "3", "--phone", row(syncer, 4)["phone_no"])
    assert done.code == 1 and "contact row 4" in done.err


def test_disabled_push_is_reported(empty: Syncer) -> None:
    empty.write_config('voicemails = { since = "3d" }', "push = { enabled = false }")
    assert "push is disabled for telecmi.main" in empty.ok(*ADD, "--phone", "9200000001").out


def test_delete_is_held_and_says_how_to_approve_it(syncer: Syncer) -> None:
    done = syncer.ok("contacts", "delete", "3")
    number = change(syncer, 3)[0]
    assert change(syncer, 3)[1:] == ("delete", "held")
    assert f"`syncer queue approve {number}`" in done.out
    for args in (["delete", "3"], ["edit", "3", "--company", "x"]):
        again = syncer("contacts", *args)
        assert again.code == 1 and f"`syncer queue discard {number}`" in again.err


def test_delete_of_what_was_never_sent_is_simply_gone(syncer: Syncer) -> None:
    syncer.ok(*ADD, "--phone", "9200000001")
    assert "never sent" in syncer.ok("contacts", "delete", "9200000001").out
    assert syncer("contacts", "delete", "9200000001").code == 1


def test_a_contact_of_the_users_list_alone_cannot_be_deleted(syncer: Syncer) -> None:
    found = syncer.one("SELECT row_id FROM contact_base WHERE source = 'user_list' LIMIT 1")
    done = syncer("contacts", "delete", str(found))
    assert done.code == 1 and "user's own list" in done.err
    assert syncer.one("SELECT deleted_at FROM telecmi_contacts WHERE id = ?", found) is None


def test_edits_reach_upstream(upstream: Upstream) -> None:
    syncer = upstream.syncer
    syncer.ok("contacts", "edit", "3", "--company", "Acme", "--email", "asha@example.com")
    syncer.ok(*ADD, "--phone", "+1 415 555 2671", "--job-title", "Owner")
    syncer.ok("contacts", "delete", "4")
    gone = syncer.one("SELECT contact_id FROM telecmi_contacts WHERE id = 4")
    syncer.ok("queue", "approve", str(change(syncer, 4)[0]))
    syncer.ok("sync")
    assert upstream.contact(3)["company"] == "Acme"
    assert gone not in upstream.world.org().contacts
    added = syncer.ok("contacts", "show", "+14155552671", "--json").json
    assert added["contact_id"] and upstream.contact(added["id"])["job_title"] == "Owner"
    assert syncer.sql("SELECT state FROM change_queue WHERE state <> 'done'") == []
