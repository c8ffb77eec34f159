"""Direct writes to every table but the editable one are refused, with a word on what to do instead."""

from __future__ import annotations

import sqlite3

import pytest
from sqlalchemy import Integer, Table

from syncer.store.db import read_only_triggers, triggers
from syncer.store.db.tables import metadata
from tests.store.conftest import BEFORE, Mirror

#: What the columns of some tables have to hold.
FITTING: dict[str, dict[str, object]] = {
    "change_queue": {"operation": "add", "state": "queued"},
    "change_log": {"kind": "insert", "origin": "local"},
    "contact_base": {"source": "directory"},
    "push_intents": {"operation": "add"},
    "sync_guard": {"id": 1},
    "home": {"id": 1},
    "outbox": {"state": "sent"},
    "published_edits": {"state": "taken"},
    "reported": {"id": 1},
    "telecmi_calls": {"kind": "missed"},
    "voicemail_audio": {"state": "waiting"},
    "voicemail_clocks": {"clock": "time"},
}


def smallest_row(table: Table) -> dict[str, object]:
    """A row with a value for each column that needs one."""
    needed = [c for c in table.columns if not c.nullable and c.server_default is None and c.name != "id"]
    row: dict[str, object] = {c.name: 1 if isinstance(c.type, Integer) else "x" for c in needed}
    return row | ({"account": "main"} if "account" in row else {}) | FITTING.get(table.name, {})


#: A row of each table that is refused.
ROWS = {
    name: smallest_row(table)
    for name, table in metadata.tables.items()
    if name not in ("telecmi_contacts", "callback_marks", "publish_marks")
}

#: Where an edit of the contact is what a person may have wanted.
EDITED_THERE = {
    "telecmi_user_contacts", "telecmi_notes", "smartflo_contacts", "change_queue", "change_log", "contact_base",
    "push_intents", "sync_guard",
}  # fmt: skip


@pytest.mark.parametrize("table", ROWS)
def test_a_direct_write_is_refused(mirror: Mirror, table: str) -> None:
    mirror.contact(source=None)  # what some of the rows point to
    parents = {
        "held_rows": "held",
        "import_spans": "import_batches",
        "telecmi_notes": "telecmi_user_contacts",
        "voicemail_audio": "telecmi_voicemails",
    }
    needed = parents.get(table)
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
    assert set(metadata.tables) - guarded == {"telecmi_contacts", "callback_marks", "publish_marks"}
