"""Brings the schema of a database to this version, and repairs what can be repaired.

A new database is created from the metadata, an older one is upgraded by the Alembic scripts in `migrations/`. Triggers
and views are created in the same transaction, because rebuilding a table silently drops its triggers.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Connection, text

import syncer
from syncer.errors import SchemaError
from syncer.store.db import callback_triggers, objects, schema_diff, triggers, views
from syncer.store.db.connection import Database
from syncer.store.db.copies import backup
from syncer.store.db.identity import stamp
from syncer.store.db.revision import HEAD, current, is_current
from syncer.store.db.tables import metadata


def migrations_folder() -> Path:
    """Where the scripts are: inside the installed package, or at the top of the repository."""
    package = Path(syncer.__file__).resolve().parent
    shipped = package / "_migrations"
    return shipped if shipped.is_dir() else package.parent / "migrations"


def backup_before_upgrade(db: Database) -> Path | None:
    """Copy a database into its folder before it is migrated. Returns the copy's path, or None for a new database."""
    with db.read() as conn:
        revision = current(conn)
    if revision is None:
        return None
    target = db.path.with_name(f"{db.path.name}.before-{HEAD}-{stamp()}")
    backup(db, target)
    return target


def upgrade(db: Database) -> list[str]:
    """Bring the database to `HEAD`. Returns what was done and repaired, in words.

    Safe if several processes start at once: the version is checked again inside the write transaction, and the whole
    upgrade is one commit.
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
            # Nothing was changed, and a service that keeps restarting must not fill the disk with copies.
            if saved is not None:
                saved.unlink(missing_ok=True)
            raise
    return done + heal(db)


@contextlib.contextmanager
def _free_to_rebuild(db: Database) -> Iterator[None]:
    """Let a migration replace tables: rows that refer to the old table stay, and views may name it while it is gone.

    Inside a transaction, both PRAGMAs would have no effect.
    """
    db.pragma("PRAGMA foreign_keys = OFF")
    db.pragma("PRAGMA legacy_alter_table = ON")
    try:
        yield
    finally:
        db.pragma("PRAGMA legacy_alter_table = OFF")
        db.pragma("PRAGMA foreign_keys = ON")


def create(conn: Connection) -> None:
    """Create a new database at `HEAD` without the scripts, which would take most of a first start.

    A test compares it with a migrated one, object by object.
    """
    metadata.create_all(conn, checkfirst=False)
    conn.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
    conn.exec_driver_sql("INSERT INTO alembic_version VALUES (?)", (HEAD,))
    conn.exec_driver_sql("INSERT INTO sync_guard (id, active, epoch) VALUES (1, 0, 0)")
    views.ensure(conn)
    triggers.ensure(conn)


def migrate(conn: Connection) -> None:
    """Run the scripts without our triggers, then create all triggers again, including people's own.

    Raises SchemaError if a script leaves a row that points to nothing.
    """
    orphans = conn.execute(_ORPHANS).all()
    before = objects.existing(conn, "trigger")
    ours = triggers.expected().keys()
    for name in ours & before.keys():
        conn.exec_driver_sql(f"DROP TRIGGER {name}")
    _run_alembic(conn)
    callback_triggers.refresh_all(conn)
    views.ensure(conn)
    triggers.ensure(conn)
    for name in before.keys() - ours - objects.existing(conn, "trigger").keys():  # dropped with their tables
        conn.exec_driver_sql(before[name])
    for table, row_id, parent, _ in set(conn.execute(_ORPHANS).all()) - set(orphans):
        raise SchemaError(f"row {row_id} of {table} points to a row of {parent} that does not exist")


def heal(db: Database) -> list[str]:
    """Restore indexes, triggers and views that are missing or different, and the guard. Returns the repairs, in words.

    Raises SchemaError if a table is missing or incomplete, since only a backup has what it contained.
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
            # A later epoch than any row's, so that no page that was requested earlier overrides an agreement.
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
    from alembic import command  # imported late: that takes longer than most commands
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    config.attributes["connection"] = conn
    command.upgrade(config, "head")
