"""What a person says to a change: retry, approve, discard, resolve."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from sqlalchemy import Connection

from syncer.errors import UsageError
from syncer.store.write import decisions
from tests.store.conftest import BEFORE, Mirror

NOW = "2026-11-21T12:00:00.000Z"


def say(mirror: Mirror, what: Callable[..., str], number: int, *more: str) -> str:
    def act(conn: Connection) -> str:
        if what is decisions.resolve:
            return what(conn, number, more[0], NOW, "IN")
        if what is decisions.discard:
            return what(conn, number, NOW, "IN")
        return what(conn, number, NOW)

    with mirror.db.write() as conn:
        return act(conn)


def clash(mirror: Mirror, **columns: object) -> tuple[int, int]:
    """A row in conflict over its company: base '', here 'Here', upstream 'There'."""
    row_id = mirror.contact()
    mirror.own("UPDATE telecmi_contacts SET company = 'Here', job_title = 'Buyer' WHERE id = ?", row_id)
    clashes = json.dumps({"company": {"base": "", "local": "Here", "remote": "There"}})
    return row_id, mirror.change(row_id, "update", "conflict", clashes=clashes, **columns)


@pytest.mark.parametrize("state", ["queued", "rejected", "unknown"])
def test_retry_asks_for_another_try_now(mirror: Mirror, state: str) -> None:
    row_id = mirror.contact()
    number = mirror.change(row_id, "update", state, attempts=5, next_attempt_at=NOW, last_error="no")
    assert "next push" in say(mirror, decisions.retry, number)
    change = mirror.row(number, "change_queue")
    assert change["state"] == ("unknown" if state == "unknown" else "queued")
    assert (change["attempts"], change["next_attempt_at"], change["last_error"]) == (0, None, None)


@pytest.mark.parametrize("state", ["sending", "done", "discarded", "conflict", "held"])
def test_what_cannot_be_retried_says_what_to_do(mirror: Mirror, state: str) -> None:
    number = mirror.change(mirror.contact(), "delete", state)
    before = mirror.everything()
    with pytest.raises(UsageError, match=f"change {number} is"):
        say(mirror, decisions.retry, number)
    assert mirror.everything() == before


def test_an_unknown_number_names_the_list(mirror: Mirror) -> None:
    for what in (decisions.retry, decisions.approve, decisions.discard):
        with pytest.raises(UsageError, match="queue list"):
            say(mirror, what, 99)


def test_approve_lets_a_held_delete_go_and_nothing_else(mirror: Mirror) -> None:
    row_id = mirror.contact()
    mirror.sql("DELETE FROM telecmi_contacts")
    say(mirror, decisions.approve, 1)
    assert mirror.queue() == [(row_id, "delete", "queued")]
    assert mirror.row(1, "change_queue")["approved"] == 1
    with pytest.raises(UsageError, match="not held"):
        say(mirror, decisions.approve, 1)


def test_a_discarded_edit_shows_upstreams_values(mirror: Mirror) -> None:
    row_id = mirror.contact(company="Agreed")
    mirror.sql("UPDATE telecmi_contacts SET company = 'Mine', phone_no = '919200000009'")
    say(mirror, decisions.discard, 1)
    row = mirror.row(row_id)
    assert (row["company"], row["phone_no"], row["phone_e164"]) == ("Agreed", "919200000001", "+919200000001")
    assert mirror.queue() == [(row_id, "update", "discarded")]
    assert mirror.row(1, "change_queue")["settled_at"] == NOW


def test_a_discarded_add_is_gone(mirror: Mirror) -> None:
    mirror.sql("INSERT INTO telecmi_contacts (last_name) VALUES ('Rao')")
    assert "never had" in say(mirror, decisions.discard, 1)
    assert mirror.row(1)["deleted_at"] == NOW and mirror.queue() == [(1, "add", "discarded")]


def test_a_discarded_delete_brings_the_row_back(mirror: Mirror) -> None:
    row_id = mirror.contact(company="Agreed")
    mirror.sql("DELETE FROM telecmi_contacts")
    say(mirror, decisions.discard, 1)
    row = mirror.row(row_id)
    assert row["deleted_at"] is None and row["company"] == "Agreed"
    assert mirror.queue() == [(row_id, "delete", "discarded")]


def test_a_discarded_conflict_takes_upstreams_value_of_its_fields_alone(mirror: Mirror) -> None:
    row_id, number = clash(mirror)
    other = mirror.change(row_id, "update", "queued")
    say(mirror, decisions.discard, number)
    row = mirror.row(row_id)
    assert (row["company"], row["job_title"]) == ("There", "Buyer")
    assert mirror.one("SELECT company FROM contact_base") == "There"
    assert mirror.row(other, "change_queue")["state"] == "queued"


def test_resolve_keeps_the_local_value_and_sends_it(mirror: Mirror) -> None:
    row_id, number = clash(mirror, attempts=3)
    other = mirror.change(row_id, "update", "queued")
    assert "company" in say(mirror, decisions.resolve, number, "local")
    assert mirror.row(row_id)["company"] == "Here"
    assert mirror.one("SELECT company FROM contact_base") == "There"  # if upstream moved, it opens again
    change = mirror.row(number, "change_queue")
    assert (change["state"], change["clashes"], change["attempts"]) == ("queued", None, 0)
    assert mirror.row(other, "change_queue")["state"] == "discarded"  # one queued change a row


def test_resolve_takes_the_remote_value(mirror: Mirror) -> None:
    row_id, number = clash(mirror)
    say(mirror, decisions.resolve, number, "remote")
    row = mirror.row(row_id)
    assert (row["company"], row["job_title"]) == ("There", "Buyer")
    assert mirror.queue() == [(row_id, "update", "discarded")]
    assert mirror.log()[-1] == (row_id, "update", "company", "Here", "There", "upstream")


def test_only_conflicts_are_resolved(mirror: Mirror) -> None:
    number = mirror.change(mirror.contact(), "update", "queued")
    with pytest.raises(UsageError, match="not a conflict"):
        say(mirror, decisions.resolve, number, "local")


@pytest.mark.parametrize("keep, state", [("local", "queued"), ("remote", "discarded")])
def test_a_delete_that_upstream_edited_meanwhile(mirror: Mirror, keep: str, state: str) -> None:
    row_id = mirror.contact(deleted_at=BEFORE)
    clashes = json.dumps({"company": {"base": "", "local": "", "remote": "There"}})
    number = mirror.change(row_id, "delete", "conflict", clashes=clashes)
    say(mirror, decisions.resolve, number, keep)
    row = mirror.row(row_id)
    assert mirror.queue() == [(row_id, "delete", state)]
    assert (row["deleted_at"] is None) is (keep == "remote")
    assert row["company"] == ("There" if keep == "remote" else None)


def test_a_change_of_a_row_that_is_gone_is_reported(mirror: Mirror) -> None:
    number = mirror.change(mirror.contact(), "update", "queued")
    mirror.db.pragma("PRAGMA foreign_keys = OFF")
    mirror.own("DELETE FROM telecmi_contacts")
    with pytest.raises(UsageError, match="is gone"):
        say(mirror, decisions.discard, number)
