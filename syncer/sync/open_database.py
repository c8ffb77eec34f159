"""Opens the database of a config: migrated, with the jobs and accounts of the config written down in it.

What is then done with it is left to the runs and commands.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path

from syncer.config import Settings
from syncer.config.targets import NotifyTarget
from syncer.store.db import copies, home, migrations
from syncer.store.db.connection import Database
from syncer.store.write import callbacks, canonical_ids, outbox, runs
from syncer.store.write.runs import JobRow
from syncer.sync.registry import specs

#: The lock under which the schema is changed.
SCHEMA_LOCK = "schema"


def open_database(
    settings: Settings, *, migrate: bool = True, checkpoints: bool = True, path: Path | None = None
) -> Database:
    """Open the database, bring it to this version, and write down the jobs of the config.

    Raises StoreError, SchemaError.
    """
    db = Database(path or settings.database.path, group=settings.database.group, checkpoints=checkpoints)
    try:
        if migrate:
            if path is None:  # the next start after a kill
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
    """Bring numbers that people typed into `callback_marks` into E.164."""
    with db.read() as conn:
        numbers = callbacks.unread_marks(conn, settings.regions)
    if numbers:
        with db.write() as conn:
            callbacks.read_marks(conn, numbers)


def is_current(settings: Settings) -> bool:
    """Whether the database is there in this version. One that is not there is made, empty."""
    with open_database(settings, migrate=False) as db:
        return migrations.is_current(db)


async def upgrade_apart(config: Path, environ: Mapping[str, str] | None = None) -> None:
    """Bring the database of a config to this version, in a process of its own.

    The migration tool takes 8 MB that would never be given back. Where that fails, what comes
    next does it again, and tells why it cannot.
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
    """Write down the jobs, accounts and targets of the config, where they differ from what is there, and a first home."""
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
    with db.read() as conn:
        done = (
            runs.is_registered(conn, jobs, accounts)
            and outbox.is_registered(conn, wanted)
            and home.recorded(conn) is not None
        )
    if not done:
        with db.write() as conn:
            runs.register(conn, jobs, accounts)
            outbox.register(conn, wanted)
            if home.recorded(conn) is None:
                home.adopt(conn, home.place_of(settings.database.path))
