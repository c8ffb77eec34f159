"""The schema over time: brings a database to this version, or says why it cannot be.

Runs the Alembic scripts of `migrations/`, then puts triggers and views in place in the same
transaction, since rebuilding a table drops its triggers without a word.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, text

from syncer.errors import SchemaError
from syncer.store import triggers, views
from syncer.store.connect import Database

#: The newest revision in `migrations/versions`; a test holds it to them.
HEAD = "0001"

#: Every revision that this version knows, oldest first.
REVISIONS = ("0001",)


def migrations_folder() -> Path:
    """Where the scripts are: inside the installed package, or at the top of the repository."""
    package = Path(__file__).resolve().parent.parent
    shipped = package / "_migrations"
    return shipped if shipped.is_dir() else package.parent / "migrations"


def current(conn: Connection) -> str | None:
    """The revision of the database; None for an empty file."""
    tables = set(conn.execute(text("SELECT name FROM sqlite_master WHERE type = 'table'")).scalars())
    if "alembic_version" in tables:
        revision = conn.execute(text("SELECT version_num FROM alembic_version")).scalar()
        return None if revision is None else str(revision)
    if "telecmi_contacts" in tables:
        raise SchemaError(
            "the database has a table telecmi_contacts that syncer did not make: name another file in database.url"
        )
    return None


def is_current(db: Database) -> bool:
    """Whether nothing is to be done; raises SchemaError for a database from a newer version."""
    with db.read() as conn:
        revision = current(conn)
        if revision is not None and revision not in REVISIONS:
            raise SchemaError(
                f"the database {db.path.name} was written by a newer version of syncer "
                f"(its schema is {revision}, this version knows up to {HEAD}): upgrade syncer, or restore "
                "the backup that was taken before the upgrade"
            )
        return revision == HEAD


def backup_before_upgrade(db: Database) -> Path | None:
    """Copy a database that is about to be migrated, beside it; None when there is nothing in it yet."""
    with db.read() as conn:
        revision = current(conn)
    if revision is None:
        return None
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    target = db.path.with_name(f"{db.path.name}.before-{HEAD}-{stamp}")
    backup(db, target)
    return target


def upgrade(db: Database) -> list[str]:
    """Bring the database to `HEAD`; returns what was mended or done, in words.

    Safe when several processes start at once: the version is looked at again inside the write
    transaction, and all of it commits together or not at all.
    """
    done: list[str] = []
    if not is_current(db):
        saved = backup_before_upgrade(db)
        if saved is not None:
            done.append(f"a backup was taken first: {saved.name}")
        with db.edit() as conn:
            before = current(conn)
            if before != HEAD:
                _run_alembic(conn)
                triggers.ensure(conn)
                views.ensure(conn)
                done.append(f"schema upgraded from {before or 'nothing'} to {HEAD}")
    return done + heal(db)


def heal(db: Database) -> list[str]:
    """Put back triggers and views that are missing or differ, and a guard left on by hand."""
    with db.read() as conn:
        lost = triggers.missing(conn)
        stale = [n for n, sql in views.expected().items() if n not in lost and _sql_of(conn, n) != sql]
        guard = conn.execute(text("SELECT active FROM sync_guard WHERE id = 1")).scalar()
    if not lost and not stale and not guard:
        return []
    with db.edit() as conn:
        mended = triggers.ensure(conn) + views.ensure(conn)
        conn.execute(
            text(
                "INSERT INTO sync_guard (id, active) VALUES (1, 0) ON CONFLICT (id) DO UPDATE SET active = 0"
            )
        )
    return [f"put back: {name}" for name in mended] + (
        ["the write guard stood open: closed"] if guard else []
    )


def _sql_of(conn: Connection, name: str) -> str | None:
    found = conn.execute(text("SELECT sql FROM sqlite_master WHERE name = :name"), {"name": name}).scalar()
    return None if found is None else str(found)


def _run_alembic(conn: Connection) -> None:
    from alembic import command  # late: it takes longer to import than most commands run
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    config.attributes["connection"] = conn
    command.upgrade(config, "head")


def backup(db: Database, target: Path) -> None:
    """Copy the database while it is in use (VACUUM INTO), never over an existing file.

    Raises StoreError when the target exists or cannot be written.
    """
    import os

    from syncer.errors import StoreError

    try:
        handle = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise StoreError(f"{target} exists already: name a file that does not") from None
    except OSError as error:
        raise StoreError(f"{target} cannot be written: {error.strerror}") from None
    os.close(handle)
    try:
        db.pragma(f"VACUUM INTO '{str(target).replace(chr(39), chr(39) * 2)}'")
    except BaseException:
        target.unlink(missing_ok=True)
        raise
