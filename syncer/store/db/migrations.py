"""The schema over time: brings a database to this version, or says why it cannot be.

A new database is created from the metadata. An older one is upgraded by the Alembic scripts in `migrations/`. Triggers
and views are created in the same transaction, because rebuilding a table silently drops its triggers.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, text

import syncer
from syncer.errors import SchemaError
from syncer.store.db import callback_triggers, schema_diff, triggers, views
from syncer.store.db.connection import Database
from syncer.store.db.copies import backup
from syncer.store.db.revision import HEAD, REVISIONS, current, is_current
from syncer.store.db.tables import metadata

__all__ = [
    "HEAD",
    "REVISIONS",
    "backup",
    "backup_before_upgrade",
    "current",
    "heal",
    "is_current",
    "migrations_folder",
    "upgrade",
]


def migrations_folder() -> Path:
    """Where the scripts are: inside the installed package, or at the top of the repository."""
    package = Path(syncer.__file__).resolve().parent
    shipped = package / "_migrations"
    return shipped if shipped.is_dir() else package.parent / "migrations"


def backup_before_upgrade(db: Database) -> Path | None:
    """Copy a database before it is migrated, into the same folder. None if it is new."""
    with db.read() as conn:
        revision = current(conn)
    if revision is None:
        return None
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    target = db.path.with_name(f"{db.path.name}.before-{HEAD}-{stamp}")
    backup(db, target)
    return target


def upgrade(db: Database) -> list[str]:
    """Bring the database to `HEAD`; returns what was repaired or done, in words.

    Safe when several processes start at once: the version is looked at again inside the write
    transaction, and all of it commits together or not at all.
    """
    done: list[str] = []
    if not is_current(db):
        saved = backup_before_upgrade(db)
        if saved is not None:
            done.append(f"a backup was taken first: {saved.name}")
        try:
            with _free_to_rebuild(db), db.edit() as conn:
                before = current(conn)
                if before is None:
                    create(conn)
                elif before != HEAD:
                    migrate(conn)
                if before != HEAD:
                    done.append(f"schema upgraded from {before or 'nothing'} to {HEAD}")
        except BaseException:
            # Nothing was changed. A service that is started again and again must not fill the disk with copies.
            if saved is not None:
                saved.unlink(missing_ok=True)
            raise
    return done + heal(db)


@contextlib.contextmanager
def _free_to_rebuild(db: Database) -> Iterator[None]:
    """Where a table is recreated and the old one dropped, the rows that refer to it stay.

    Both switches do nothing inside a transaction. The second keeps a renaming from stumbling over
    views, a person's own among them.
    """
    db.pragma("PRAGMA foreign_keys = OFF")
    db.pragma("PRAGMA legacy_alter_table = ON")
    try:
        yield
    finally:
        db.pragma("PRAGMA legacy_alter_table = OFF")
        db.pragma("PRAGMA foreign_keys = ON")


def create(conn: Connection) -> None:
    """Make a new database at `HEAD` without the scripts, which take most of a first start.

    A test proves that it equals a migrated one, object by object.
    """
    metadata.create_all(conn, checkfirst=False)
    conn.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
    conn.exec_driver_sql("INSERT INTO alembic_version VALUES (?)", (HEAD,))
    conn.exec_driver_sql("INSERT INTO sync_guard (id, active, epoch) VALUES (1, 0, 0)")
    views.ensure(conn)
    triggers.ensure(conn)


def migrate(conn: Connection) -> None:
    """Run the scripts with none of our triggers in place, then put all back, a person's own too.

    SchemaError, and so nothing happened, when a script left a row pointing to nothing.
    """
    orphans = conn.execute(_ORPHANS).all()
    there = _take_away(conn)
    _run_alembic(conn)
    callback_triggers.refresh_all(conn)
    views.ensure(conn)
    triggers.ensure(conn)
    _put_back(conn, there)
    for table, row_id, parent, _ in set(conn.execute(_ORPHANS).all()) - set(orphans):
        raise SchemaError(f"row {row_id} of {table} points to a row of {parent} that does not exist")


def _take_away(conn: Connection) -> dict[str, str]:
    """Drop our triggers for a migration; gives back those of others, which may go with their tables."""
    there: dict[str, str] = dict(
        conn.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").all()
    )
    for name in triggers.expected().keys() & there:
        conn.exec_driver_sql(f"DROP TRIGGER {name}")
    return {name: sql for name, sql in there.items() if name not in triggers.expected()}


def _put_back(conn: Connection, others: Mapping[str, str]) -> None:
    """Recreate those of `others` that were dropped with their tables."""
    there = set(conn.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'trigger'").scalars())
    for name in others.keys() - there:
        conn.exec_driver_sql(others[name])


def heal(db: Database) -> list[str]:
    """Put back indexes, triggers and views that are missing or differ, and the guard as it has to be.

    Raises SchemaError when a table is missing, or lacks something: what it held only a backup has.
    """
    with db.read() as conn:
        found = schema_diff.compare(conn)
        if found.problems:
            raise SchemaError(f"the database {db.path.name} cannot be used: {'; '.join(found.problems)}")
        current(conn)
        guard = conn.execute(_GUARD).scalar()
        if guard == 0 and not (found.indexes or triggers.missing(conn) or views.missing(conn)):
            return []
    with db.edit() as conn:
        for name, sql in found.indexes.items():
            conn.exec_driver_sql(f"DROP INDEX IF EXISTS {name}")
            conn.exec_driver_sql(sql)
        names = [*found.indexes, *views.ensure(conn), *triggers.ensure(conn)]
        repaired = [f"put back: {name}" for name in names]
        guard = conn.execute(_GUARD).scalar()
        if guard is None:
            # No page that was asked for earlier may be believed about a row that was agreed on since.
            conn.execute(
                text(
                    "INSERT INTO sync_guard (id, active, epoch) "
                    "SELECT 1, 0, 1 + COALESCE(max(touched), 0) FROM contact_base"
                )
            )
            repaired.append("put back: the write guard")
        elif guard:
            conn.execute(text("UPDATE sync_guard SET active = 0 WHERE id = 1"))
            repaired.append("the write guard was open: closed")
    return repaired


_GUARD = text("SELECT active FROM sync_guard WHERE id = 1")
_ORPHANS = text("PRAGMA foreign_key_check")


def _run_alembic(conn: Connection) -> None:
    from alembic import command  # late: it takes longer to import than most commands run
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    config.attributes["connection"] = conn
    command.upgrade(config, "head")
