"""Editing `telecmi_contacts` by hand: what is taken, queued, logged, passed over and refused."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing

import pytest

from tests.store.conftest import BEFORE, FIELDS, MakeMirror, Mirror

STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


# -- the six fields ----------------------------------------------------------------------------------


@pytest.mark.parametrize("field", FIELDS)
def test_an_edited_field_is_queued_logged_and_stamped(mirror: Mirror, field: str) -> None:
    row_id = mirror.contact()
    old = mirror.row(row_id)[field]
    mirror.sql(f"UPDATE telecmi_contacts SET {field} = '919200000077' WHERE id = ?", row_id)
    row = mirror.row(row_id)
    assert row[field] == "919200000077"
    assert row["last_changed_at"] > BEFORE and STAMP.fullmatch(row["last_changed_at"])
    assert row["first_seen_at"] == BEFORE
    assert row["phone_e164"] == (None if field == "phone_no" else "+919200000001")
    assert mirror.queue() == [(row_id, "update", "queued")]
    assert mirror.log() == [(row_id, "update", field, old, "919200000077", "local")]
    change = mirror.row(1, "change_queue")
    assert change["edit_seq"] == 1 and change["fields"] is None and change["found_by"] == "trigger"
    assert change["account"] == "main" and STAMP.fullmatch(change["created_at"])
    assert mirror.guard() == 0


def test_however_many_edits_one_change_is_queued(mirror: Mirror) -> None:
    row_id = mirror.contact()
    for n in range(5):
        mirror.sql(
            "UPDATE telecmi_contacts SET company = ?, job_title = ? WHERE id = ?", f"C{n}", "B", row_id
        )
    assert mirror.queue() == [(row_id, "update", "queued")]
    assert mirror.one("SELECT edit_seq FROM change_queue") == mirror.one("SELECT max(seq) FROM change_log")
    assert [entry[2:5] for entry in mirror.log()][:3] == [
        ("company", None, "C0"), ("job_title", None, "B"), ("company", "C0", "C1"),
    ]  # fmt: skip


def test_an_update_over_many_rows_queues_each(mirror: Mirror) -> None:
    rows = [mirror.contact(f"91920000000{n}", contact_id=f"c-{n}") for n in range(4)]
    mirror.sql("UPDATE telecmi_contacts SET company = 'Example Traders'")
    assert mirror.queue() == [(row_id, "update", "queued") for row_id in rows]


@pytest.mark.parametrize("value", ["", None])
def test_null_and_empty_are_one_value(mirror: Mirror, value: str | None) -> None:
    row_id = mirror.contact(company="")
    mirror.sql("UPDATE telecmi_contacts SET company = ?, email_id = ? WHERE id = ?", value, value, row_id)
    assert mirror.queue() == [] and mirror.log() == []
    assert mirror.row(row_id)["last_changed_at"] == BEFORE


def test_a_cleared_field_is_logged_as_null_whichever_way_it_was_cleared(mirror: Mirror) -> None:
    row_id = mirror.contact(company="Example Traders", job_title="Buyer")
    mirror.sql("UPDATE telecmi_contacts SET company = '', job_title = NULL WHERE id = ?", row_id)
    assert [entry[2:5] for entry in mirror.log()] == [
        ("company", "Example Traders", None), ("job_title", "Buyer", None),
    ]  # fmt: skip


def test_update_from_another_table(mirror: Mirror) -> None:
    row_id = mirror.contact()
    with closing(mirror.client()) as conn, conn:
        conn.execute("CREATE TEMP TABLE sheet (contact_id TEXT, company TEXT)")
        conn.execute("INSERT INTO sheet VALUES ('c-1', 'Example Traders')")
        conn.execute(
            "UPDATE telecmi_contacts SET company = s.company FROM sheet s WHERE s.contact_id = telecmi_contacts.contact_id"
        )
    assert mirror.row(row_id)["company"] == "Example Traders"
    assert mirror.queue() == [(row_id, "update", "queued")]


def test_update_returning_and_counting(mirror: Mirror) -> None:
    mirror.contact()
    conn = mirror.client()
    cursor = conn.execute("UPDATE telecmi_contacts SET company = 'Example Traders' RETURNING company")
    assert cursor.fetchall() == [("Example Traders",)]
    assert conn.execute("SELECT changes()").fetchone() == (1,)
    conn.close()


def test_a_client_that_sends_every_column_back_changes_nothing(mirror: Mirror) -> None:
    row_id = mirror.contact(contact_id=None, source="user_list")
    row = mirror.row(row_id)
    columns = [name for name in row if name != "id"]
    assignments = ", ".join(f"{name} = ?" for name in ["id", *columns])
    mirror.sql(f"UPDATE telecmi_contacts SET {assignments}", row_id, *(row[name] for name in columns))
    assert mirror.row(row_id) == row and mirror.queue() == [] and mirror.log() == []


def test_a_client_that_sends_empty_text_for_null_changes_nothing(mirror: Mirror) -> None:
    rows = [mirror.contact(f"91920000000{n}", contact_id=None, source="user_list") for n in (1, 2)]
    mirror.own("UPDATE telecmi_contacts SET raw = NULL, phone_e164 = NULL")
    before = [mirror.row(row_id) for row_id in rows]
    mirror.sql("UPDATE telecmi_contacts SET contact_id = '', raw = '', phone_e164 = '', deleted_at = ''")
    assert [mirror.row(row_id) for row_id in rows] == before
    assert mirror.queue() == [] and mirror.log() == []


def test_empty_text_next_to_an_edit_becomes_null(mirror: Mirror) -> None:
    row_id = mirror.contact(contact_id=None, source="user_list")
    mirror.sql("UPDATE telecmi_contacts SET contact_id = '', deleted_at = '', company = 'X', phone_no = '1'")
    row = mirror.row(row_id)
    assert row["contact_id"] is None and row["deleted_at"] is None and row["phone_e164"] is None
    assert row["last_changed_at"] > BEFORE and row["company"] == "X"
    assert mirror.queue() == [(row_id, "add", "queued")]


# -- INSERT ------------------------------------------------------------------------------------------


def test_an_insert_is_queued_as_an_add_with_the_only_account(mirror: Mirror) -> None:
    mirror.sql("INSERT INTO telecmi_contacts (phone_no, last_name) VALUES ('9200000005', 'Rao')")
    row = mirror.row(1)
    assert row["account"] == "main" and row["contact_id"] is None and row["phone_e164"] is None
    assert STAMP.fullmatch(row["first_seen_at"]) and row["first_seen_at"] == row["last_changed_at"]
    assert mirror.queue() == [(1, "add", "queued")]
    assert mirror.log() == [(1, "insert", None, None, None, "local")]
    assert mirror.one("SELECT account FROM change_queue") == "main" and mirror.guard() == 0


@pytest.mark.parametrize("account", [None, "", "main"])
def test_the_account_may_be_left_out_of_an_insert(mirror: Mirror, account: str | None) -> None:
    mirror.sql("INSERT INTO telecmi_contacts (account, last_name) VALUES (?, 'Rao')", account)
    assert mirror.row(1)["account"] == "main"


def test_the_only_account_is_the_one_whose_directory_is_mirrored(make_mirror: MakeMirror) -> None:
    mirror = make_mirror(("desk", False, False), ("main", True, False))
    mirror.sql("INSERT INTO telecmi_contacts (last_name) VALUES ('Rao')")
    assert mirror.row(1)["account"] == "main"
    assert "names no account" in mirror.refused(
        "INSERT INTO telecmi_contacts (account, last_name) VALUES ('desk', 'Rao')"
    )


def test_with_two_accounts_one_must_be_named(make_mirror: MakeMirror) -> None:
    mirror = make_mirror(("main", True, False), ("north", True, False))
    for account in (None, ""):
        text = mirror.refused("INSERT INTO telecmi_contacts (account, last_name) VALUES (?, 'Rao')", account)
        assert "telecmi_contacts.account is needed" in text and "SELECT name FROM telecmi_accounts" in text
    mirror.sql("INSERT INTO telecmi_contacts (account, last_name) VALUES ('north', 'Rao')")
    assert mirror.one("SELECT account FROM change_queue") == "north"


def test_without_an_account_an_insert_is_refused_with_what_to_do(make_mirror: MakeMirror) -> None:
    text = make_mirror().refused("INSERT INTO telecmi_contacts (last_name) VALUES ('Rao')")
    assert "syncer sync" in text


def test_an_unknown_account_is_refused(mirror: Mirror) -> None:
    text = mirror.refused("INSERT INTO telecmi_contacts (account, last_name) VALUES ('nort', 'Rao')")
    assert "names no account" in text and "SELECT name FROM telecmi_accounts" in text


def test_explicit_nulls_and_empty_text_are_what_a_form_sends(mirror: Mirror) -> None:
    columns = (
        "id, account, contact_id, phone_no, phone_e164, first_name, last_name, email_id, company, job_title"
    )
    columns += ", first_seen_at, last_changed_at, deleted_at, raw"
    for blank in ("NULL", "''"):
        values = ", ".join([blank] * 13)
        mirror.sql(f"INSERT INTO telecmi_contacts ({columns}) VALUES (NULL, {values})")
    for row_id in (1, 2):
        row = mirror.row(row_id)
        nothing = ("contact_id", "phone_e164", "deleted_at", "raw")
        assert [row[name] for name in nothing] == [None] * 4
        assert row["account"] == "main" and STAMP.fullmatch(row["first_seen_at"])
    mirror.sql("INSERT INTO telecmi_contacts DEFAULT VALUES")
    assert mirror.queue() == [(n, "add", "queued") for n in (1, 2, 3)]


@pytest.mark.parametrize(
    "column", ["contact_id", "phone_e164", "first_seen_at", "last_changed_at", "deleted_at", "raw"]
)
def test_an_insert_leaves_to_us_what_is_ours(mirror: Mirror, column: str) -> None:
    text = mirror.refused(f"INSERT INTO telecmi_contacts (last_name, {column}) VALUES ('Rao', 'x')")
    assert f"telecmi_contacts.{column} is read-only" in text and "leave it out" in text


@pytest.mark.parametrize("verb", ["INSERT", "INSERT OR REPLACE", "INSERT OR IGNORE", "REPLACE"])
@pytest.mark.parametrize("recursive", ["ON", "OFF"])
def test_an_insert_that_names_an_existing_row_is_refused(mirror: Mirror, verb: str, recursive: str) -> None:
    row_id = mirror.contact()
    pragmas = [f"recursive_triggers = {recursive}"]
    for column, value in (("id", row_id), ("id", str(row_id)), ("contact_id", "c-1")):
        text = mirror.refused(
            f"{verb} INTO telecmi_contacts ({column}, account, last_name) VALUES (?, 'main', 'Rao')",
            value,
            pragmas=pragmas,
        )
        assert "UPDATE" in text or "leave it out" in text


def test_an_upsert_onto_an_existing_row_is_refused(mirror: Mirror) -> None:
    row_id = mirror.contact()
    for action in ("DO UPDATE SET company = 'X'", "DO NOTHING"):
        text = mirror.refused(
            f"INSERT INTO telecmi_contacts (id, company) VALUES (?, 'X') ON CONFLICT (id) {action}", row_id
        )
        assert "change it with UPDATE" in text


@pytest.mark.parametrize("verb", ["REPLACE", "INSERT OR IGNORE", "INSERT OR FAIL", "INSERT OR ROLLBACK"])
def test_a_new_row_comes_in_by_any_verb_and_the_guard_keeps_its_epoch(mirror: Mirror, verb: str) -> None:
    mirror.own("UPDATE sync_guard SET epoch = 41")
    mirror.sql(f"{verb} INTO telecmi_contacts (last_name) VALUES ('Rao'), ('Devi')")
    assert mirror.queue() == [(1, "add", "queued"), (2, "add", "queued")]
    assert mirror.sql("SELECT active, epoch FROM sync_guard") == [(0, 41)]


def test_an_id_of_ones_own_is_taken_but_none_that_stops_later_inserts(mirror: Mirror) -> None:
    mirror.sql("INSERT INTO telecmi_contacts (id, last_name) VALUES (12, 'Rao')")
    assert mirror.queue() == [(12, "add", "queued")]
    for bad in (-1, 0, 2**63 - 1, 5_000_000):
        mirror.refused("INSERT INTO telecmi_contacts (id, last_name) VALUES (?, 'Devi')", bad)
    mirror.sql("INSERT INTO telecmi_contacts (last_name) VALUES ('Devi')")
    assert mirror.queue()[-1] == (13, "add", "queued")


def test_an_id_that_is_still_agreed_on_cannot_be_had(mirror: Mirror) -> None:
    row_id = mirror.contact()
    mirror.own("DELETE FROM telecmi_contacts WHERE id = ?", row_id)
    mirror.refused("INSERT INTO telecmi_contacts (id, last_name) VALUES (?, 'Devi')", row_id)


def test_insert_tells_the_client_its_row(mirror: Mirror) -> None:
    with closing(mirror.client()) as conn, conn:
        cursor = conn.execute("INSERT INTO telecmi_contacts (last_name) VALUES ('Rao')")
        assert cursor.lastrowid == 1 and cursor.rowcount == 1
        row = conn.execute("INSERT INTO telecmi_contacts (last_name) VALUES ('Rao') RETURNING id").fetchone()
        assert row == (2,)


# -- what may not be edited --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "column",
    ["id", "account", "contact_id", "phone_e164", "first_seen_at", "last_changed_at", "raw", "deleted_at"],
)
@pytest.mark.parametrize("verb", ["UPDATE", "UPDATE OR REPLACE", "UPDATE OR IGNORE", "UPDATE OR FAIL"])
def test_every_other_column_is_refused_with_advice(mirror: Mirror, verb: str, column: str) -> None:
    mirror.contact()
    mirror.contact("919200000002", contact_id="c-2")
    value: object = 77 if column == "id" else "c-2"
    text = mirror.refused(f"{verb} telecmi_contacts SET company = 'X', {column} = ? WHERE id = 1", value)
    assert f"telecmi_contacts.{column} is read-only" in text
    assert "DELETE" in text


def test_one_refused_row_takes_the_whole_statement_with_it(mirror: Mirror) -> None:
    mirror.contact()
    mirror.contact("919200000002", contact_id="c-2")
    mirror.refused(
        "UPDATE OR FAIL telecmi_contacts SET company = 'X', raw = CASE id WHEN 2 THEN 'y' ELSE raw END"
    )


def test_an_update_or_replace_of_an_editable_field_keeps_the_guard(mirror: Mirror) -> None:
    row_id = mirror.contact()
    mirror.own("UPDATE sync_guard SET epoch = 41")
    mirror.sql("UPDATE OR REPLACE telecmi_contacts SET company = 'X' WHERE id = ?", row_id)
    assert mirror.sql("SELECT active, epoch FROM sync_guard") == [(0, 41)]
    assert mirror.queue() == [(row_id, "update", "queued")]


# -- tombstones --------------------------------------------------------------------------------------


def test_a_blanket_update_passes_tombstones_over(mirror: Mirror) -> None:
    dead = mirror.contact(deleted_at=BEFORE)
    alive = mirror.contact("919200000002", contact_id="c-2")
    before = mirror.row(dead)
    mirror.sql("UPDATE telecmi_contacts SET company = 'Example Traders'")
    mirror.sql("UPDATE telecmi_contacts SET deleted_at = '2026-01-01' WHERE id = ?", dead)
    mirror.sql("UPDATE OR REPLACE telecmi_contacts SET raw = 'x' WHERE id = ?", dead)
    assert mirror.row(dead) == before
    assert mirror.queue() == [(alive, "update", "queued")]


@pytest.mark.parametrize("nothing", [None, ""])
def test_a_tombstone_comes_back_by_its_deleted_at(mirror: Mirror, nothing: str | None) -> None:
    row_id = mirror.contact()
    mirror.sql("DELETE FROM telecmi_contacts WHERE id = ?", row_id)
    stone = mirror.row(row_id)["deleted_at"]
    mirror.sql("UPDATE telecmi_contacts SET deleted_at = ?, company = 'X' WHERE id = ?", nothing, row_id)
    row = mirror.row(row_id)
    assert row["deleted_at"] is None and row["company"] == "X"
    assert mirror.queue() == [(row_id, "delete", "discarded"), (row_id, "update", "queued")]
    assert mirror.log()[1:] == [
        (row_id, "update", "company", None, "X", "local"),
        (row_id, "update", "deleted_at", stone, None, "local"),
    ]


def test_bringing_back_a_contact_that_upstream_lost_adds_it(mirror: Mirror) -> None:
    row_id = mirror.contact(source="gone", deleted_at=BEFORE)
    mirror.sql("UPDATE telecmi_contacts SET deleted_at = NULL WHERE id = ?", row_id)
    assert mirror.queue() == [(row_id, "add", "queued")]
    mirror.sql("DELETE FROM telecmi_contacts WHERE id = ?", row_id)  # upstream has none to delete
    assert mirror.queue() == [(row_id, "add", "discarded")]


def test_bringing_back_may_touch_nothing_else(mirror: Mirror) -> None:
    mirror.contact(deleted_at=BEFORE)
    assert "raw is read-only" in mirror.refused("UPDATE telecmi_contacts SET deleted_at = NULL, raw = 'x'")


# -- DELETE ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("deletes, state", [(False, "held"), (True, "queued")])
def test_a_delete_leaves_a_tombstone_and_a_change(make_mirror: MakeMirror, deletes: bool, state: str) -> None:
    mirror = make_mirror(("main", True, deletes))
    row_id = mirror.contact()
    before = mirror.row(row_id)
    mirror.sql("UPDATE telecmi_contacts SET company = 'X' WHERE id = ?", row_id)
    mirror.sql("DELETE FROM telecmi_contacts WHERE id = ?", row_id)
    row = mirror.row(row_id)
    assert STAMP.fullmatch(row["deleted_at"]) and row["last_changed_at"] == row["deleted_at"]
    changed = ("deleted_at", "last_changed_at", "company")
    assert {k: v for k, v in row.items() if k not in changed} == {
        k: v for k, v in before.items() if k not in changed
    }
    assert mirror.queue() == [(row_id, "update", "discarded"), (row_id, "delete", state)]
    assert mirror.log()[-1] == (row_id, "delete", None, None, None, "local")
    assert mirror.one("SELECT edit_seq FROM change_queue WHERE operation = 'delete'") == 2
    assert mirror.guard() == 0


def test_the_account_of_the_row_says_whether_its_delete_is_held(make_mirror: MakeMirror) -> None:
    mirror = make_mirror(("main", True, False), ("north", True, True))
    mirror.contact()
    mirror.contact(account="north")
    mirror.sql("DELETE FROM telecmi_contacts")
    assert mirror.queue() == [(1, "delete", "held"), (2, "delete", "queued")]


@pytest.mark.parametrize("foreign_keys", ["ON", "OFF"])
@pytest.mark.parametrize("recursive", ["ON", "OFF"])
def test_a_delete_counts_and_returns_its_rows(mirror: Mirror, foreign_keys: str, recursive: str) -> None:
    # A client that sees no row deleted tells its user so, or rolls back.
    for n in range(3):
        mirror.contact(f"91920000000{n}", contact_id=f"c-{n}")
    mirror.sql("UPDATE telecmi_contacts SET company = 'X'")  # rows of the queue point to them
    conn = mirror.client(f"foreign_keys = {foreign_keys}", f"recursive_triggers = {recursive}")
    assert conn.execute("DELETE FROM telecmi_contacts WHERE id = 2").rowcount == 1
    assert conn.execute("DELETE FROM telecmi_contacts RETURNING id").fetchall() == [(1,), (3,)]
    assert conn.execute("DELETE FROM telecmi_contacts").rowcount == 0  # tombstones are passed over
    conn.commit()
    assert conn.execute("PRAGMA foreign_key_check").fetchall() == []
    conn.close()
    assert [entry[:2] for entry in mirror.log()[3:]] == [(2, "delete"), (1, "delete"), (3, "delete")]
    assert [change[1:] for change in mirror.queue()] == [("update", "discarded")] * 3 + [
        ("delete", "held")
    ] * 3


def test_a_row_that_was_never_sent_is_simply_discarded(mirror: Mirror) -> None:
    mirror.sql("INSERT INTO telecmi_contacts (last_name) VALUES ('Rao')")
    mirror.sql("DELETE FROM telecmi_contacts")
    assert mirror.queue() == [(1, "add", "discarded")]
    change = mirror.row(1, "change_queue")
    assert change["settled_at"] and change["next_attempt_at"] is None
    assert mirror.row(1)["deleted_at"] is not None


def test_a_row_whose_add_is_under_way_is_deleted_upstream_too(mirror: Mirror) -> None:
    mirror.sql("INSERT INTO telecmi_contacts (last_name) VALUES ('Rao')")
    mirror.own("UPDATE change_queue SET state = 'unknown'")
    mirror.insert("push_intents", change_id=1, row_id=1, operation="add", fields="{}", sent_at=BEFORE)
    mirror.sql("DELETE FROM telecmi_contacts")
    assert mirror.queue() == [(1, "add", "unknown"), (1, "delete", "held")]


@pytest.mark.parametrize("state", ["queued", "rejected", "conflict"])
def test_a_delete_takes_what_waits_with_it(mirror: Mirror, state: str) -> None:
    row_id = mirror.contact()
    mirror.change(row_id, "update", state)
    mirror.sql("DELETE FROM telecmi_contacts")
    assert mirror.queue() == [(row_id, "update", "discarded"), (row_id, "delete", "held")]


# -- with changes in later states --------------------------------------------------------------


@pytest.mark.parametrize("state", ["sending", "unknown", "conflict", "done", "discarded"])
def test_an_edit_during_a_later_state_queues_its_own_change(mirror: Mirror, state: str) -> None:
    row_id = mirror.contact()
    mirror.change(row_id, "update", state)
    for company in ("X", "Y"):
        mirror.sql("UPDATE telecmi_contacts SET company = ? WHERE id = ?", company, row_id)
    assert mirror.queue() == [(row_id, "update", state), (row_id, "update", "queued")]


def test_a_refused_change_is_queued_again_by_a_new_edit(mirror: Mirror) -> None:
    row_id = mirror.contact()
    number = mirror.change(
        row_id, "update", "rejected",
        attempts=4, last_error="company: no", fields='{"company": "X"}', next_attempt_at=BEFORE, approved=1,
    )  # fmt: skip
    mirror.sql("UPDATE telecmi_contacts SET company = 'Y' WHERE id = ?", row_id)
    assert mirror.queue() == [(row_id, "update", "queued")]
    change = mirror.row(number, "change_queue")
    nothing = ("attempts", "approved", "last_error", "fields", "next_attempt_at", "settled_at")
    assert [change[name] for name in nothing] == [0, 0, None, None, None, None]
    assert change["edit_seq"] == 1


def test_a_queued_change_goes_before_a_refused_one(mirror: Mirror) -> None:
    row_id = mirror.contact()
    mirror.change(row_id, "update", "queued", attempts=2)
    mirror.change(row_id, "update", "rejected")
    mirror.sql("UPDATE telecmi_contacts SET company = 'Y' WHERE id = ?", row_id)
    assert mirror.queue() == [(row_id, "update", "queued"), (row_id, "update", "rejected")]
    assert mirror.row(1, "change_queue")["attempts"] == 2


# -- people's own transactions -----------------------------------------------------------------------


def test_a_rolled_back_edit_never_was(mirror: Mirror) -> None:
    mirror.contact()
    before = mirror.everything()
    conn = mirror.client()
    conn.execute("UPDATE telecmi_contacts SET company = 'X'")
    conn.execute("INSERT INTO telecmi_contacts (last_name) VALUES ('Devi')")
    conn.execute("DELETE FROM telecmi_contacts WHERE id = 1")
    assert conn.execute("SELECT active FROM sync_guard").fetchone() == (0,)
    conn.rollback()
    conn.close()
    assert mirror.everything() == before


def test_a_savepoint_takes_back_its_part_alone(mirror: Mirror) -> None:
    row_id = mirror.contact()
    conn = mirror.client()
    conn.isolation_level = None
    for statement in (
        "BEGIN",
        "UPDATE telecmi_contacts SET company = 'X'",
        "SAVEPOINT half",
        "DELETE FROM telecmi_contacts",
        "ROLLBACK TO half",
        "RELEASE half",
        "COMMIT",
    ):
        conn.execute(statement)
    conn.close()
    assert mirror.row(row_id)["deleted_at"] is None and mirror.queue() == [(row_id, "update", "queued")]


def test_a_refusal_inside_a_transaction_leaves_the_rest_of_it(mirror: Mirror) -> None:
    row_id = mirror.contact()
    with closing(mirror.client()) as conn, conn:
        conn.execute("UPDATE telecmi_contacts SET company = 'X'")
        with pytest.raises(sqlite3.IntegrityError):
            conn.execute("UPDATE telecmi_contacts SET contact_id = 'c-9'")
        conn.execute("UPDATE telecmi_contacts SET job_title = 'Buyer'")
    assert mirror.row(row_id)["job_title"] == "Buyer" and mirror.queue() == [(row_id, "update", "queued")]


# -- odd values --------------------------------------------------------------------------------------


def test_a_number_typed_without_quotes_is_text(mirror: Mirror) -> None:
    row_id = mirror.contact()
    mirror.sql("UPDATE telecmi_contacts SET phone_no = 919200000001, company = 42")
    row = mirror.row(row_id)
    assert (row["phone_no"], row["company"]) == ("919200000001", "42")
    assert [entry[2] for entry in mirror.log()] == ["company"]  # the number is the same
    assert row["phone_e164"] == "+919200000001"


def test_a_blob_is_refused(mirror: Mirror) -> None:
    mirror.contact()
    mirror.refused("UPDATE telecmi_contacts SET company = x'41'")
    mirror.refused("INSERT INTO telecmi_contacts (company) VALUES (x'41')")


def test_a_very_long_text_is_kept_whole(mirror: Mirror) -> None:
    row_id = mirror.contact()
    mirror.sql("UPDATE telecmi_contacts SET company = ?", "x" * 1_000_000)
    assert len(mirror.row(row_id)["company"]) == 1_000_000
    assert mirror.queue() == [(row_id, "update", "queued")]
