"""Edits of contacts by commands: plain SQL within `Database.edit`, which the triggers handle like that of any client."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from syncer.store.db.guard_sql import ENTER
from syncer.store.db.read_only import first, placeholders, raw


def add_contact(conn: Connection, account: str, fields: Mapping[str, str]) -> int:
    """INSERT, as a person would. Returns the new row's id."""
    values = {"account": account} | {name: value for name, value in fields.items() if value != ""}
    query = f"INSERT INTO telecmi_contacts ({', '.join(values)}) VALUES ({placeholders(values)})"
    row_id = raw(conn).execute(query, tuple(values.values())).lastrowid
    assert row_id is not None
    return row_id


def edit_contact(conn: Connection, row_id: int, fields: Mapping[str, str]) -> None:
    """UPDATE, as a person would. '' clears a field."""
    assignments = ", ".join(f"{name} = ?" for name in fields)
    values = [value or None for value in fields.values()]
    raw(conn).execute(f"UPDATE telecmi_contacts SET {assignments} WHERE id = ?", (*values, row_id))


def delete_contact(conn: Connection, row_id: int) -> None:
    """DELETE, as a person would: a trigger turns the row into a tombstone."""
    raw(conn).execute("DELETE FROM telecmi_contacts WHERE id = ?", (row_id,))


def restore_contact(conn: Connection, row_id: int) -> None:
    """Restore a deleted contact, as a person would."""
    raw(conn).execute("UPDATE telecmi_contacts SET deleted_at = NULL WHERE id = ?", (row_id,))


@contextlib.contextmanager
def as_program(conn: Connection) -> Iterator[None]:
    """Within this block of an edit, triggers treat what is written as the program's own."""
    before = first(conn, "SELECT active FROM sync_guard WHERE id = 1")
    raw(conn).execute(ENTER)
    try:
        yield
    finally:
        raw(conn).execute("UPDATE sync_guard SET active = ? WHERE id = 1", (before,))


def set_numbers(conn: Connection, numbers: Iterable[tuple[str, int]]) -> None:
    """Set `phone_e164` of edited contacts: (number, row id). Triggers leave that to the daemon, which reads numbers."""
    with as_program(conn):
        raw(conn).executemany("UPDATE telecmi_contacts SET phone_e164 = ? WHERE id = ?", numbers)


def as_any_client(path: Path, statement: str, *values: object) -> list[tuple[Any, ...]]:
    """Run one statement on a connection of its own, like any SQLite client. For the demo."""
    with contextlib.closing(sqlite3.connect(path, timeout=10)) as conn, conn:
        return conn.execute(statement, values).fetchall()
