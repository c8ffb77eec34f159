"""Direct writes to every table but the editable one are refused, with a word on what to do instead."""

from __future__ import annotations

import sqlite3

import pytest

from syncer.store.db import read_only_triggers, triggers
from syncer.store.db.tables import metadata
from tests.store.conftest import BEFORE, Mirror

#: A row of each table that is refused; values for its NOT NULL columns.
ROWS: dict[str, dict[str, object]] = {
    "telecmi_user_contacts": {"account": "main", "mobile": "9200000001"},
    "telecmi_notes": {"account": "main", "contact_row": 1, "msg": "x", "first_seen_at": BEFORE},
    "telecmi_voicemails": {"account": "main", "voicename": "v"},
    "smartflo_contacts": {"account": "main", "smartflo_id": "1"},
    "smartflo_contact_groups": {"account": "main", "group_id": "1"},
    "change_queue": {
        "account": "main", "contact_row": 1, "operation": "add", "state": "queued", "created_at": BEFORE,
    },
    "change_log": {"at": BEFORE, "table_name": "t", "row_id": 1, "kind": "insert", "origin": "local"},
    "held": {"job": "j", "account": "main", "reason": "r", "rows": 1, "created_at": BEFORE},
    "sync_runs": {"job": "j", "account": "main", "started_at": BEFORE},
    "sync_guard": {"id": 1},
    "telecmi_accounts": {"name": "x", "contacts": 1, "deletes": 0},
    "contact_base": {"row_id": 1, "account": "main", "source": "directory"},
    "push_intents": {"change_id": 1, "row_id": 1, "operation": "add", "fields": "{}", "sent_at": BEFORE},
    "sync_jobs": {"job": "j", "account": "main", "provider": "telecmi", "every_s": 60},
    "telecmi_calls": {"account": "main", "kind": "missed", "cmiuid": "1"},
    "smartflo_calls": {"account": "main", "smartflo_id": "1"},
    "callback_numbers": {"phone_e164": "+919200000001", "missed": 1, "voicemails": 0},
    "windows": {"account": "main", "list": "x", "start_ms": 1, "end_ms": 2, "verified_ms": 3, "rows": 0},
    "voicemail_clocks": {
        "account": "main", "clock": "time", "contrary": 0, "newest_row": 0, "follows": 1,
    },
    "reported": {"kind": "conflict", "id": 1, "account": "main", "at": BEFORE},
    "home": {"id": 1, "path": "/srv/mirror.db"},
    "set_aside": {
        "job": "j", "account": "main", "digest": "d", "reason": "r", "raw": "{}",
        "first_seen_at": BEFORE, "last_seen_at": BEFORE,
    },
    "absences": {"table_name": "t", "row_id": 1, "noted_at": BEFORE},
    "forgotten": {"digest": "d", "at": BEFORE},
    "held_rows": {"held_id": 1, "table_name": "t", "row_id": 1},
}  # fmt: skip

#: Where an edit of the contact is what a person may have wanted.
EDITED_THERE = {
    "telecmi_user_contacts", "telecmi_notes", "smartflo_contacts", "change_queue", "change_log", "contact_base",
    "push_intents", "sync_guard",
}  # fmt: skip


def test_every_table_is_looked_at() -> None:
    assert set(ROWS) == set(metadata.tables) - {"telecmi_contacts", "callback_marks"}


@pytest.mark.parametrize("table", ROWS)
def test_a_direct_write_is_refused(mirror: Mirror, table: str) -> None:
    mirror.contact(source=None)  # what some of the rows point to
    needed = {"held_rows": "held", "telecmi_notes": "telecmi_user_contacts"}.get(table)
    for name in filter(None, (needed, table)):
        row = ROWS[name]
        insert = f"INTO {name} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})"
        if name not in ("sync_guard", "telecmi_accounts"):
            mirror.own(f"INSERT {insert}", *row.values())
    column = next(iter(row))
    for statement, values in (
        (f"INSERT {insert}", tuple(row.values())),
        (f"REPLACE {insert}", tuple(row.values())),
        (f"INSERT OR IGNORE {insert}", tuple(row.values())),
        (f"UPDATE {table} SET {column} = {column}", ()),
        (f"UPDATE OR REPLACE {table} SET {column} = {column}", ()),
        (f"DELETE FROM {table}", ()),
    ):
        text = mirror.refused(statement, *values, pragmas=["recursive_triggers = ON"])
        assert text.startswith(f"{table} is read-only: "), statement
        if table in EDITED_THERE:
            assert "telecmi_contacts" in text


def test_the_guard_may_be_opened_but_its_epoch_stays(mirror: Mirror) -> None:
    for assignment in ("epoch = 9", "epoch = 9, active = 1", "id = 2, active = 1", "active = 0"):
        assert "read-only" in mirror.refused(f"UPDATE sync_guard SET {assignment}")


@pytest.mark.parametrize("view", ["contacts", "voicemails", "sync_health"])
def test_views_are_for_reading(mirror: Mirror, view: str) -> None:
    mirror.contact()
    mirror.own("INSERT INTO telecmi_voicemails (account, voicename) VALUES ('main', 'v')")
    mirror.own("INSERT INTO sync_jobs (job, account, provider, every_s) VALUES ('j', 'main', 'telecmi', 60)")
    for statement in (
        f"DELETE FROM {view}",
        f"UPDATE {view} SET account = 'x'",
        f"INSERT INTO {view} (account) VALUES ('x')",
    ):
        text = mirror.refused(statement)
        assert text.startswith(f"{view} is read-only: ")
        assert ("telecmi_contacts" in text) is (view != "sync_health")


@pytest.mark.parametrize(
    "table, column, junk",
    [
        ("change_queue", "state", "que ued"),
        ("change_queue", "operation", "upsert"),
        ("change_queue", "approved", 2),
        ("change_queue", "found_by", "me"),
        ("change_log", "kind", "x"),
        ("change_log", "origin", "x"),
        ("held", "decision", "approved"),  # without decided_at
        ("sync_runs", "outcome", "fine"),
        ("contact_base", "source", "elsewhere"),
        ("push_intents", "answer", "yes"),
        ("sync_guard", "active", 2),
        ("telecmi_accounts", "deletes", "yes"),
    ],
)
def test_junk_stays_out_even_while_the_guard_is_open(
    mirror: Mirror, table: str, column: str, junk: object
) -> None:
    mirror.contact(source=None)
    if table not in ("sync_guard", "telecmi_accounts"):
        row = ROWS[table]
        mirror.own(
            f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", *row.values()
        )
    conn = mirror.client()
    conn.execute("UPDATE sync_guard SET active = 1")
    with pytest.raises(sqlite3.IntegrityError):
        conn.execute(f"UPDATE {table} SET {column} = ?", (junk,))
    conn.close()


def test_one_hold_is_open_for_a_job_and_account(mirror: Mirror) -> None:
    insert = "INSERT INTO held (job, account, reason, rows, created_at) VALUES ('j', 'main', 'r', 1, ?)"
    number = mirror.own(insert, BEFORE)
    with pytest.raises(Exception, match="refused a statement"):
        mirror.own(insert, BEFORE)
    mirror.own("UPDATE held SET decided_at = ?, decision = 'approved' WHERE id = ?", BEFORE, number)
    mirror.own(insert, BEFORE)


def test_triggers_use_nothing_that_a_strict_client_lacks() -> None:
    for name, sql in triggers.expected().items():
        assert "json" not in sql.lower(), name
        assert "ON CONFLICT" not in sql and " OR REPLACE" not in sql, name


def test_every_table_but_the_editable_ones_has_read_only_triggers() -> None:
    guarded = {name.rsplit("_read_only_", 1)[0] for name in read_only_triggers.expected()}
    assert set(metadata.tables) - guarded == {"telecmi_contacts", "callback_marks"}
