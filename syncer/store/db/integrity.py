"""Checks a database: the file's structure, our tables, triggers and views, and references between rows.

`migrations.py` repairs what can be repaired.
"""

from __future__ import annotations

import sqlite3

from sqlalchemy import Connection, Integer, insert, text

from syncer.core.wording import some
from syncer.errors import StoreError
from syncer.store.db import schema_diff, triggers, views
from syncer.store.db.connection import Database
from syncer.store.db.tables import metadata

#: How many findings of one kind are listed. The others are counted.
_MOST = 10


def sqlite_version() -> str:
    """The version of SQLite that this Python links."""
    return sqlite3.sqlite_version


def quick_problems(db: Database) -> list[str]:
    """Problems with the file's structure."""
    return [str(row[0]) for row in db.pragma(f"PRAGMA quick_check({_MOST})") if row[0] != "ok"]


def guard_problems(conn: Connection) -> list[str]:
    """Tables, indexes, triggers and views that are missing or differ, and an open write guard, in words."""
    found = schema_diff.compare(conn)
    if found.problems:
        return list(found.problems)
    out = found.in_words()
    if lost := triggers.broken(conn):
        number = "1 trigger is" if len(lost) == 1 else f"{len(lost)} triggers are"
        out.append(
            f"{number} missing or altered ({some(lost, 3)}), so that edits may go unnoticed: `syncer db upgrade` puts them back"
        )
    if stale := views.missing(conn):
        out.append(f"views are missing or altered ({', '.join(stale)}): `syncer db upgrade` puts them back")
    if conn.execute(text("SELECT active FROM sync_guard WHERE id = 1")).scalar():
        out.append("the write guard is open, so edits go unnoticed: `syncer db upgrade` closes it")
    return out


class _RollBackError(Exception):
    """Ends a trial write."""


def own_trigger_problems(db: Database) -> list[str]:
    """People's own triggers that make our writes fail, in words: found with trial writes that are rolled back."""
    with db.read() as conn:
        own = triggers.own(conn)
    out = []
    for table in sorted(set(own.values())):
        names = [name for name in own if own[name] == table]
        reason = _refused(db, table, without=[])
        if reason is None or _refused(db, table, without=names) is not None:
            continue
        guilty = [name for name in names if _refused(db, table, without=[name]) is None] or names
        which = "the trigger" if len(guilty) == 1 else "one of the triggers"
        out.append(
            f"{which} {', '.join(guilty)} on {table}, not one of syncer's, makes what syncer writes fail: {reason}; "
            "correct it or drop it"
        )
    return out


def _refused(db: Database, table: str, *, without: list[str]) -> str | None:
    """Why a row of the table cannot be inserted, updated and deleted without these triggers; None if it can."""
    columns = [c for c in metadata.tables[table].columns if c.autoincrement is not True and c.name != "id"]
    row = {column.name: 1 if isinstance(column.type, Integer) else "syncer doctor" for column in columns}
    changed = columns[-1].name
    try:
        with db.write() as conn:
            for pragma in ("defer_foreign_keys", "ignore_check_constraints"):
                conn.exec_driver_sql(f"PRAGMA {pragma} = ON")
            for name in without:
                conn.exec_driver_sql(f'DROP TRIGGER "{name}"')
            conn.execute(insert(metadata.tables[table]).values(**row))
            for statement in (f"UPDATE {table} SET {changed} = {changed}", f"DELETE FROM {table}"):
                conn.exec_driver_sql(f"{statement} WHERE rowid = last_insert_rowid()")
            raise _RollBackError
    except _RollBackError:
        return None
    except StoreError as error:
        return str(error)
    finally:
        db.pragma("PRAGMA ignore_check_constraints = OFF")


#: What is wrong, and the query that finds the ids of such rows.
_PROBLEM_QUERIES = {
    "the base copy of a contact row that does not exist": (
        "SELECT row_id FROM contact_base b WHERE NOT EXISTS (SELECT 1 FROM telecmi_contacts c WHERE c.id = b.row_id)"
    ),
    "a base copy that belongs to another account than its contact": (
        "SELECT row_id FROM contact_base b JOIN telecmi_contacts c ON c.id = b.row_id WHERE c.account <> b.account"
    ),
    "a base copy of an unknown source": (
        "SELECT row_id FROM contact_base WHERE source NOT IN ('directory', 'user_list', 'gone')"
    ),
    "a live contact that the directory knows, without a base copy": (
        "SELECT id FROM telecmi_contacts c WHERE contact_id IS NOT NULL AND deleted_at IS NULL "
        "AND NOT EXISTS (SELECT 1 FROM contact_base b WHERE b.row_id = c.id AND b.source <> 'gone')"
    ),
    "a base copy with another contact_id than its contact": (
        "SELECT row_id FROM contact_base b JOIN telecmi_contacts c ON c.id = b.row_id "
        "WHERE b.source = 'directory' AND b.contact_id IS NOT c.contact_id"
    ),
    "a change of a contact row that does not exist": (
        "SELECT id FROM change_queue q WHERE NOT EXISTS (SELECT 1 FROM telecmi_contacts c WHERE c.id = q.contact_row)"
    ),
    "a change in an unknown state": (
        "SELECT id FROM change_queue WHERE state NOT IN "
        "('queued', 'sending', 'unknown', 'done', 'rejected', 'conflict', 'held', 'discarded')"
    ),
}


def integrity_problems(db: Database) -> list[str]:
    """All problems that a full check finds, in words."""
    out = [
        f"the file is damaged: {row[0]}"
        for row in db.pragma(f"PRAGMA integrity_check({_MOST})")
        if row[0] != "ok"
    ]
    if out:
        return [*out, "stop the daemon and restore a backup: `syncer db restore PATH`"]
    with db.read() as conn:
        out += guard_problems(conn)
        if schema_diff.compare(conn).problems:
            return out
    orphans = db.pragma("PRAGMA foreign_key_check")
    for table, row_id, parent, _ in orphans[:_MOST]:
        out.append(f"row {row_id} of {table} points to a row of {parent} that does not exist")
    if len(orphans) > _MOST:
        out.append(f"and {len(orphans) - _MOST} more rows that point to nothing")
    with db.read() as conn:
        for finding, query in _PROBLEM_QUERIES.items():
            if ids := conn.execute(text(query)).scalars().all():
                out.append(f"{finding}: {len(ids)} ({some(ids, _MOST)})")
    return out + own_trigger_problems(db)
