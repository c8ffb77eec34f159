"""`syncer queue` and `syncer held`: what waits for a person, and what a person says."""

from __future__ import annotations

import json

from tests.cli.conftest import Syncer, Upstream


def number(syncer: Syncer, row: int, state: str) -> str:
    return str(syncer.one("SELECT id FROM change_queue WHERE contact_row = ? AND state = ?", row, state))


def conflict(upstream: Upstream, row: int) -> str:
    upstream.syncer.sql("UPDATE telecmi_contacts SET company = 'Here' WHERE id = ?", row)
    upstream.edit(row, company="There")
    upstream.syncer.ok("sync", "telecmi-contacts", "telecmi-push")
    return number(upstream.syncer, row, "conflict")


def test_an_empty_queue(syncer: Syncer) -> None:
    assert "No change is open" in syncer.ok("queue", "list").out
    assert syncer.ok("queue", "list", "--json").json == []


def test_list_says_what_why_and_what_to_do(upstream: Upstream) -> None:
    syncer = upstream.syncer
    clash = conflict(upstream, 3)
    syncer.sql("DELETE FROM telecmi_contacts WHERE id = 4")
    syncer.sql("INSERT INTO telecmi_contacts (phone_no, first_name) VALUES ('9200000001', 'Asha')")
    out = syncer.ok("sync", "telecmi-push").out
    assert out.endswith("3 changes cannot go upstream before you decide: see `syncer queue list`.\n")
    syncer.sql("UPDATE telecmi_contacts SET job_title = 'Owner' WHERE id = 5")
    out = syncer.ok("queue", "list").out
    rejected, held = (
        number(syncer, syncer.one("SELECT max(id) FROM telecmi_contacts"), "rejected"),
        number(syncer, 4, "held"),
    )
    assert f"`syncer queue resolve {clash} --keep local|remote`" in out and "company" in out
    assert f"`syncer queue approve {held}`" in out
    assert f"`syncer queue retry {rejected}`" in out and "last_name" in out
    assert "update of job_title" in out and "next push" in out

    listed = syncer.ok("queue", "list", "--json").json
    promised = {"id", "account", "contact_row", "operation", "state", "fields", "edit_seq", "attempts"}
    promised |= {"next_attempt_at", "last_error", "created_at", "sent_at", "settled_at"}
    assert len(listed) == 4 and all(set(one) == promised for one in listed)
    assert len(syncer.ok("queue", "list", "--json", "--limit", "1").json) == 1

    status = syncer.ok("status", "--json").json
    assert (status["conflicts"], status["rejected"], status["held_deletes"]) == (1, 1, 1)
    assert status["queue"]["queued"] == 1 and len(status["waiting"]) == 3
    out = syncer.ok("status").out
    assert f"syncer queue resolve {clash}" in out and f"syncer queue approve {held}" in out


def test_a_change_next_to_a_conflict_shows_upstream_values(upstream: Upstream) -> None:
    """Not what was agreed on before: the conflict has not moved that yet."""
    syncer = upstream.syncer
    conflict(upstream, 3)
    syncer.sql("UPDATE telecmi_contacts SET job_title = 'Owner' WHERE id = 3")
    out = syncer.ok("queue", "show", number(syncer, 3, "queued")).out
    assert [line.split() for line in out.splitlines() if line.startswith("company")] == [
        ["company", "There", "Here", "-"]
    ]


def test_a_conflict_shows_all_three_sides_and_either_may_be_kept(upstream: Upstream) -> None:
    syncer = upstream.syncer
    clash = conflict(upstream, 3)
    shown = syncer.ok("queue", "show", clash)
    assert "Here" in shown.out and "There" in shown.out
    sides = syncer.ok("queue", "show", clash, "--json").json["sides"]
    assert (sides["company"]["local"], sides["company"]["remote"]) == ("Here", "There")
    assert syncer("queue", "retry", clash).code == 1
    assert "goes upstream" in syncer.ok("queue", "resolve", clash, "--keep", "local").out
    syncer.ok("sync", "telecmi-push")
    assert upstream.contact(3)["company"] == "Here"

    clash = conflict(upstream, 5)
    syncer.ok("queue", "resolve", clash, "--keep", "remote")
    assert syncer.one("SELECT company FROM telecmi_contacts WHERE id = 5") == "There"
    done = syncer("queue", "resolve", clash, "--keep", "local")
    assert done.code == 1 and "nothing to resolve" in done.err
    syncer.ok("queue", "list", "--all")


def test_discard_undoes_edits(syncer: Syncer) -> None:
    before = syncer.one("SELECT company FROM telecmi_contacts WHERE id = 3")
    syncer.sql("UPDATE telecmi_contacts SET company = 'Acme' WHERE id = 3")
    syncer.sql("DELETE FROM telecmi_contacts WHERE id = 4")
    syncer.ok("queue", "discard", number(syncer, 3, "queued"), number(syncer, 4, "held"))
    assert syncer.sql("SELECT company, deleted_at FROM telecmi_contacts WHERE id = 3") == [(before, None)]
    assert syncer.one("SELECT deleted_at FROM telecmi_contacts WHERE id = 4") is None
    shown = syncer.ok("queue", "show", "1").out
    assert "Given up" in shown


def test_retry_and_approve_of_the_wrong_state_say_why(syncer: Syncer) -> None:
    syncer.sql("DELETE FROM telecmi_contacts WHERE id = 4")
    held = number(syncer, 4, "held")
    done = syncer("queue", "retry", held)
    assert done.code == 1 and f"`syncer queue approve {held}`" in done.err
    syncer.ok("queue", "approve", held)
    done = syncer("queue", "approve", held)
    assert done.code == 1 and f"the state of change {held} is queued, not held" in done.err


def test_numbers_before_a_wrong_one_are_carried_out(syncer: Syncer) -> None:
    syncer.sql("DELETE FROM telecmi_contacts WHERE id = 4")
    held = number(syncer, 4, "held")
    done = syncer("queue", "approve", held, "999")
    assert done.code == 1 and "999" in done.err and "row 4" in done.out


# -- held ----------------------------------------------------------------------------------------------


def test_what_a_limit_stopped_is_shown_and_decided(upstream: Upstream) -> None:
    syncer = upstream.syncer
    assert "Nothing is held" in syncer.ok("held", "list").out
    upstream.world.contact_delete_share(0.6)
    done = syncer("sync", "telecmi-contacts")
    assert done.code == 1 and "syncer held" in done.out

    hold = syncer.ok("held", "list", "--json").json
    assert len(hold) == 1 and hold[0]["rows"] == 12 and hold[0]["decided_at"] is None
    one = str(hold[0]["id"])
    out = syncer.ok("held", "list").out
    assert out.count("would be removed") == 5 and "7 more" in out and f"`syncer held approve {one}`" in out
    assert syncer.ok("held", "show", one).out.count("would be removed") == 12
    assert len(syncer.ok("held", "show", one, "--json").json["listed"]) == 12
    status = syncer.ok("status", "--json").json
    assert [held["id"] for held in status["held"]] == [hold[0]["id"]]
    assert f"syncer held approve {one}" in syncer.ok("status").out

    assert "approved" in syncer.ok("held", "approve", one).out
    assert syncer.ok("held", "list", "--json").json == []
    assert syncer.ok("held", "list", "--json", "--all").json[0]["decision"] == "approved"
    again = syncer("held", "reject", one)
    assert again.code == 1 and "approved already" in again.err
    for _ in range(2):  # an approved row goes at the next listing that still lacks it
        syncer("sync", "telecmi-contacts")
    assert syncer.one("SELECT count(*) FROM telecmi_contacts WHERE deleted_at IS NOT NULL") == 12
    shown = syncer.ok("held", "show", one).out
    assert shown.count("would be removed") == 12 and "approved" in shown, "on record, when it is done, too"


def test_a_decision_is_used_up_and_its_rows_stay_on_record(upstream: Upstream) -> None:
    syncer, contacts = upstream.syncer, upstream.world.org().contacts
    before = {key: one.fields["company"] for key, one in contacts.items() if one.fields.get("company")}
    upstream.world.contacts_blank("company")
    assert syncer("sync", "telecmi-contacts").code == 1
    listed = syncer.ok("held", "show", "1", "--json").json["listed"]
    assert len(listed) == len(before)
    syncer.ok("held", "reject", "1")
    for key, company in before.items():
        upstream.world.contact_update(key, {"company": company})
    syncer.ok("sync", "telecmi-contacts")
    assert syncer.ok("held", "show", "1", "--json").json["listed"] == listed
    upstream.world.contacts_blank("company")
    assert syncer("sync", "telecmi-contacts").code == 1, "rows that came back are held again"
    assert [one["decision"] for one in syncer.ok("held", "list", "--json", "--all").json] == [
        "rejected",
        None,
    ]


def test_names_of_held_rows_are_shown(upstream: Upstream) -> None:
    upstream.world.contacts_blank("company")
    syncer = upstream.syncer
    assert syncer("sync", "telecmi-contacts").code == 1
    out = syncer.ok("held", "list").out
    assert "company would turn blank" in out
    listed = syncer.ok("held", "show", "1", "--json").json["listed"]
    names = {
        first for (first,) in syncer.sql("SELECT trim(first_name || ' ' || last_name) FROM telecmi_contacts")
    }
    assert {one["name"] for one in listed} <= names
    assert json.dumps(listed)
