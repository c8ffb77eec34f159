"""What people edit by command: plain SQL that the triggers catch like any client's (`Database.edit`).

What becomes of an edit is left to the push. Nothing here writes for the program itself.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, delete, insert, update

from syncer.store.db.tables import telecmi_contacts

_C = telecmi_contacts.c


def add_contact(conn: Connection, account: str, fields: Mapping[str, str]) -> int:
    """INSERT, as a person would; the new row's number."""
    values = {name: value for name, value in fields.items() if value != ""}
    query = insert(telecmi_contacts).values(account=account, **values).returning(_C.id)
    return int(conn.execute(query).scalar_one())


def edit_contact(conn: Connection, row_id: int, fields: Mapping[str, str]) -> None:
    """UPDATE, as a person would; '' clears a field."""
    values = {name: value or None for name, value in fields.items()}
    conn.execute(update(telecmi_contacts).where(_C.id == row_id).values(**values))


def delete_contact(conn: Connection, row_id: int) -> None:
    """DELETE, as a person would: a trigger makes a tombstone of it."""
    conn.execute(delete(telecmi_contacts).where(_C.id == row_id))


# -- the demo ----------------------------------------------------------------------------------------


def as_any_client(path: Path, statement: str, *values: object) -> list[tuple[Any, ...]]:
    """Run one statement as any SQLite client would: a connection of its own, nothing of ours in between."""
    conn = sqlite3.connect(path, timeout=10)
    try:
        with conn:
            return conn.execute(statement, values).fetchall()
    finally:
        conn.close()
