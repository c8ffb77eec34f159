"""`verify`: what differs, row by row and by what will happen to it; the exit code."""

from __future__ import annotations

import contextlib
import os
import pty
from typing import Any

from tests.cli.conftest import Done, Syncer, Upstream

CONTACTS = "telecmi-contacts"


def job(done: Done, name: str = CONTACTS) -> dict[str, Any]:
    """What `--json` says of one job."""
    found: dict[str, Any] = next(one for one in done.json["jobs"] if one["job"] == name)
    return found


def summary(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Differences, as far as a person looks at them."""
    return [(one["kind"], one["row_id"], one["field"], one["old"], one["new"]) for one in rows]


def test_an_equal_mirror(syncer: Syncer) -> None:
    done = syncer.ok("verify")
    assert done.out.count("the mirror has the same") == 4


def test_what_a_sync_would_fix_is_named(upstream: Upstream) -> None:
    key = upstream.syncer.one("SELECT contact_id FROM telecmi_contacts WHERE id = 2")
    upstream.world.contact_delete(key)
    upstream.edit(3, company="Elsewhere Traders")
    new = upstream.world.contact_insert({"phone_no": "919200099991", "first_name": "A", "last_name": "B"})
    done = upstream.syncer("verify", CONTACTS)
    assert done.code == 1
    assert f"telecmi_contacts row 2 ({key}): the mirror has it, upstream does not" in done.out
    assert f"telecmi_contacts ({new}): upstream has it, the mirror does not" in done.out
    assert "row 3" in done.out and "'Elsewhere Traders' upstream" in done.out
    assert "`syncer sync telecmi-contacts` fixes these" in done.out
    for _ in range(2):
        upstream.syncer.ok("sync", CONTACTS)
    upstream.syncer.ok("verify", CONTACTS)


def on_a_terminal(syncer: Syncer, *args: str) -> str:
    """What a command prints for a person who looks."""
    ours, theirs = pty.openpty()
    process = syncer.start(*args, stdout=theirs)
    os.close(theirs)
    seen = b""
    with contextlib.suppress(OSError):  # the other end was closed
        while chunk := os.read(ours, 65536):
            seen += chunk
    os.close(ours)
    process.communicate(timeout=60)
    return seen.decode()


def test_names_are_for_people_at_a_terminal(upstream: Upstream) -> None:
    new = upstream.world.contact_insert(
        {"phone_no": "919200099991", "first_name": "Asha", "last_name": "Example"}
    )
    done = upstream.syncer("verify", CONTACTS)
    assert new in done.out and "Asha" not in done.out
    done = upstream.syncer("verify", CONTACTS, "--json")
    (missing,) = job(done)["differences"]
    assert missing["key"] == new and "Asha" not in done.out
    assert f"telecmi_contacts ({new}, Asha Example): upstream has it" in on_a_terminal(
        upstream.syncer, "verify", CONTACTS
    )


def test_what_a_limit_would_hold_is_named_row_by_row(upstream: Upstream) -> None:
    """More rows than the limit allows: exactly then a person wants to know which."""
    keys = dict(
        upstream.syncer.sql("SELECT contact_id, id FROM telecmi_contacts WHERE contact_id IS NOT NULL")
    )
    gone = list(upstream.world.org().contacts)[:9]
    for key in gone:
        upstream.world.contact_delete(key)
    upstream.edit(keys[next(iter(upstream.world.org().contacts))], company="Elsewhere Traders")
    done = upstream.syncer("verify", CONTACTS, "--json")
    assert done.code == 1
    found = job(done)
    assert (found["outcome"], found["same"]) == ("ok", False)
    assert {(one["kind"], one["key"]) for one in found["held"]} == {("delete", key) for key in gone}
    assert [one["new"] for one in found["differences"]] == ["Elsewhere Traders"]
    assert upstream.syncer.sql("SELECT * FROM held") == [], "it was a copy that held them"
    assert "a safety limit keeps these" in upstream.syncer("verify", CONTACTS).out


def test_a_list_that_is_suddenly_empty_and_a_column_that_turned_blank(upstream: Upstream) -> None:
    for row in upstream.world.user().contacts:
        row["name"] = ""
    held = job(upstream.syncer("verify", "telecmi-user-contacts", "--json"), "telecmi-user-contacts")["held"]
    assert {(one["kind"], one["field"], one["new"]) for one in held} == {("update", "name", None)}
    assert all(one["old"] for one in held)
    upstream.world.user().contacts.clear()
    held = job(upstream.syncer("verify", "telecmi-user-contacts", "--json"), "telecmi-user-contacts")["held"]
    assert [one["kind"] for one in held] == ["delete"] * 4


def test_what_a_person_keeps_is_still_a_difference(upstream: Upstream) -> None:
    """A rejected blank, and rejected removals: the values differ, and verify says by whose will."""
    for row in upstream.world.user().contacts:
        row["name"] = ""
    assert upstream.syncer("sync", "telecmi-user-contacts").code == 1
    upstream.syncer.ok("held", "reject", "1")
    upstream.syncer.ok("sync", "telecmi-user-contacts")
    done = upstream.syncer("verify", "telecmi-user-contacts", "--json")
    assert done.code == 1
    found = job(done, "telecmi-user-contacts")
    assert (len(found["kept"]), found["differences"], found["held"]) == (4, [], [])
    assert "a person decided" in upstream.syncer("verify", "telecmi-user-contacts").out


def test_waiting_edits_are_listed_with_their_change(upstream: Upstream) -> None:
    syncer = upstream.syncer
    before = upstream.contact(4).get("job_title", "")
    syncer.sql("UPDATE telecmi_contacts SET job_title = 'Here Only' WHERE id = 4")
    syncer.sql("DELETE FROM telecmi_contacts WHERE id = 5")
    syncer.ok("contacts", "add", "--phone", "9200077777", "--first-name", "Asha", "--last-name", "New")
    row = syncer.one("SELECT max(id) FROM telecmi_contacts")
    done = syncer("verify", CONTACTS, "--json")
    assert done.code == 1, "they do differ"
    found = job(done)
    assert found["differences"] == []
    assert [(one["change"], one["state"]) for one in found["waiting"]] == [
        (1, "queued"), (2, "held"), (3, "queued")
    ]  # fmt: skip
    assert summary(found["waiting"]) == [
        ("update", 4, "job_title", "Here Only", before),
        ("insert", 5, None, None, None),
        ("delete", row, None, None, None),
    ]
    shown = syncer("verify", CONTACTS).out
    assert "change 1, queued: telecmi_contacts row 4: job_title is 'Here Only' local" in shown
    assert "change 2, held: telecmi_contacts row 5 is deleted locally, and upstream still has it" in shown
    assert f"change 3, queued: telecmi_contacts row {row} is to be added upstream" in shown


def test_conflicts_and_edits_that_no_trigger_saw(upstream: Upstream) -> None:
    upstream.syncer.sql("UPDATE telecmi_contacts SET company = 'Ours' WHERE id = 4")
    upstream.edit(4, company="Theirs")
    upstream.syncer.as_program("UPDATE telecmi_contacts SET job_title = 'Slipped By' WHERE id = 6")
    done = upstream.syncer("verify", CONTACTS, "--json")
    assert done.code == 1
    found = job(done)
    assert [(one["row_id"], one["old"]) for one in found["waiting"]] == [(4, "Ours"), (6, "Slipped By")]
    assert (found["waiting"][0]["new"], found["differences"]) == ("Theirs", [])


def test_wrong_tombstones_and_unreadable_rows(upstream: Upstream) -> None:
    upstream.syncer.as_program(
        "UPDATE smartflo_contacts SET deleted_at = '2026-01-01T00:00:00.000Z' WHERE id = 1"
    )
    upstream.world.user().contacts[1]["mobile"] = None
    jobs = ("smartflo-contacts", "telecmi-user-contacts")
    done = upstream.syncer("verify", *jobs, "--json")
    assert done.code == 1
    assert summary(job(done, jobs[0])["differences"]) == [("insert", 1, None, None, None)]
    assert job(done, jobs[1])["unreadable"] == 1
    assert not job(done, jobs[1])["same"]


def test_voicemails_that_the_vendor_deleted_are_not_an_error(upstream: Upstream) -> None:
    name = upstream.syncer.one("SELECT voicename FROM telecmi_voicemails ORDER BY time DESC")
    upstream.world.voicemail_delete(name)
    done = upstream.syncer.ok("verify", "telecmi-voicemails", "--json")
    assert job(done, "telecmi-voicemails")["unlisted"] == [name]
    assert done.json["same"] is True


def test_a_listing_that_is_cut_short_proves_nothing(upstream: Upstream) -> None:
    upstream.world.settings.change({"telecmi.page_cap": 5})
    cut = {"match": {"path": "/v3/contact/get", "page": 2}, "times": None, "kind": "zero_rows"}
    upstream.world.faults.add(cut)
    done = upstream.syncer("verify", CONTACTS)
    assert done.code == 1 and "could not be verified" in done.out
    assert "the mirror has it" not in done.out


def test_lists_that_keep_changing_prove_nothing(upstream: Upstream) -> None:
    upstream.world.settings.change({"smartflo.order": "shuffled", "smartflo.page_cap": 1})
    done = upstream.syncer("verify", "smartflo-contacts")
    assert done.code == 1 and "absence proves nothing" in done.out


def test_refused_credentials(upstream: Upstream) -> None:
    upstream.world.faults.add({"match": {"path": "/v1/*"}, "times": None, "kind": "bad_token"})
    assert upstream.syncer("verify", "smartflo-contacts").code == 77


def test_wrong_usage(syncer: Syncer) -> None:
    assert syncer("verify", "telecmi-nothing").code == 2
    assert syncer("verify", "--account", "nobody").code == 2
    done = syncer("verify", "telecmi-contacts", "telecmi-push")
    assert done.code == 2 and "telecmi-push pulls no list, so there is nothing to compare" in done.err
