"""Opens the database of a config: migrated, and with the jobs and accounts of the config stored in it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path

from syncer.clock import SystemClock
from syncer.config import Settings
from syncer.config.targets import NotifyTarget, PublishTarget
from syncer.core.normalise import utc_text
from syncer.store.db import copies, home, migrations, revision
from syncer.store.db.connection import Database
from syncer.store.write import callbacks, canonical_ids, outbox, publishing, runs
from syncer.store.write.runs import JobRow
from syncer.sync.registry import specs

#: The lock under which the schema is changed.
SCHEMA_LOCK = "schema"


def open_database(settings: Settings, *, path: Path | None = None) -> Database:
    """Open the database, upgrade it to this version, and store the jobs of the config.

    Raises StoreError, SchemaError.
    """
    db = Database(path or settings.database.path, group=settings.database.group)
    try:
        if path is None:  # the first start after a kill
            copies.clear_parts(db.path.parent)
            copies.clear_parts(settings.backup.path)
        migrations.upgrade(db)
        register(db, settings)
        canonical_ids.make_canonical(db)
        read_marks(db, settings)
        db.make_distinct()
    except BaseException:
        db.close()
        raise
    return db


def read_marks(db: Database, settings: Settings) -> None:
    """Convert numbers that people typed into `callback_marks` to E.164."""
    with db.read() as conn:
        numbers = callbacks.unread_marks(conn, settings.regions)
    if numbers:
        with db.write() as conn:
            callbacks.read_marks(conn, numbers)


def is_outdated(settings: Settings) -> bool:
    """Whether the database has an older schema, so Alembic has to upgrade it. A new one does not need Alembic."""
    if not settings.database.path.exists():
        return False
    with Database(settings.database.path, group=settings.database.group) as db:
        if revision.is_current(db):
            return False
        with db.read() as conn:
            return revision.current(conn) is not None


async def upgrade_apart(config: Path, environ: Mapping[str, str] | None = None) -> None:
    """Upgrade the database of a config to this version, in a separate process.

    Importing Alembic here would use 8 MB for good. If the process fails, the caller upgrades the database itself
    and reports the error.
    """
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "syncer", "--config", str(config), "db", "upgrade"),
        env=None if environ is None else dict(environ),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    await child.wait()


def register(db: Database, settings: Settings) -> None:
    """Store the jobs, accounts and targets of the config if they have changed, and the home if none is recorded."""
    jobs = [
        JobRow(s.job, s.account, s.provider, s.enabled, max(1, int(s.every.total_seconds())))
        for s in specs(settings)
    ]
    accounts = [(a.name, a.contacts.enabled, a.push.deletes) for a in settings.telecmi]
    wanted = [
        (target.name, event, int(target.max_age.total_seconds()))
        for target in settings.targets
        if isinstance(target, NotifyTarget)
        for event in target.on
    ]
    copies_of = {target.name for target in settings.targets if isinstance(target, PublishTarget)}
    with db.read() as conn:
        done = (
            runs.is_registered(conn, jobs, accounts)
            and outbox.is_registered(conn, wanted)
            and publishing.is_registered(conn, copies_of)
            and home.recorded(conn) is not None
        )
    if not done:
        with db.write() as conn:
            runs.register(conn, jobs, accounts)
            outbox.register(conn, wanted)
            publishing.register(conn, copies_of, utc_text(SystemClock().now()))
            if home.recorded(conn) is None:
                home.adopt(conn, home.place_of(settings.database.path))
