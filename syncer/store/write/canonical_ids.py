"""Converts ids to their canonical form that older versions stored as the vendor spelled them.

`core.normalise.canonical_id` gives the canonical form. New rows already have it.
"""

from __future__ import annotations

from sqlalchemy import Connection

from syncer.core.normalise import canonical_id
from syncer.store.db.connection import Database
from syncer.store.db.guard_sql import NOW
from syncer.store.db.mirrors import CONTACTS, MIRRORS
from syncer.store.write import contacts, queue
from syncer.store.write.mirror import MirrorReconciler
from syncer.store.write.reconciler import Context

#: Table -> the column of its id.
KEYS = {mirror.name: mirror.key for mirror in MIRRORS.values() if not mirror.one_spelling}

#: Finds ids that may not be canonical. SQLite only reads the index: 0.4 s for a million ids, where GLOB takes 1.4 s.
SUSPECT = (
    "SELECT id, account, {key} FROM {table} WHERE {key} < '0' OR {key} >= '{{' OR {key} <> lower(trim({key})) "
    "OR instr({key}, '.') OR instr({key}, ':')"
)


def make_canonical(db: Database) -> int:
    """Convert every stored id to its canonical form, without log entries. Returns how many changed.

    If two rows have the same canonical id, the one that was already canonical stays and the other becomes a
    tombstone. A row with edits stays until they are settled.
    """
    with db.read() as conn:
        if not any(_written_otherwise(conn, table) for table in KEYS):
            return 0
    with db.write() as conn:
        return sum(
            _change(conn, table, *found) for table in KEYS for found in _written_otherwise(conn, table)
        )


def _written_otherwise(conn: Connection, table: str) -> list[tuple[int, str, str, str]]:
    """Rows with an id that is not canonical: (row, account, id, its canonical form)."""
    found = conn.exec_driver_sql(SUSPECT.format(table=table, key=KEYS[table])).all()
    return [(*row, form) for row in found if (form := canonical_id(row[2])) != row[2]]


def _change(conn: Connection, table: str, row_id: int, account: str, written: str, form: str) -> int:
    key = KEYS[table]
    one_row = f"SELECT deleted_at FROM {table} WHERE account = ? AND {key} = ?"
    if conn.exec_driver_sql(one_row, (account, form)).first() is None:
        conn.exec_driver_sql(f"UPDATE {table} SET {key} = ? WHERE id = ?", (form, row_id))
        if table == CONTACTS.name:
            conn.exec_driver_sql("UPDATE contact_base SET contact_id = ? WHERE row_id = ?", (form, row_id))
        return 1
    if conn.exec_driver_sql(one_row, (account, written)).scalar() is not None:
        return 0  # already gone
    at = str(conn.exec_driver_sql(f"SELECT {NOW}").scalar())
    if table != CONTACTS.name:
        MirrorReconciler(MIRRORS[table], Context(account)).remove(conn, row_id, at)
        return 1
    if queue.load_open(conn, [row_id]):
        return 0
    contacts.tombstone(conn, row_id, at)
    return 1
