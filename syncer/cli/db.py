"""`syncer db`: upgrade, check and backup of the database. What a sound one is, is left to `store`."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from syncer import files
from syncer.cli.common import (
    FILE,
    App,
    count,
    emit_json,
    example,
    json_option,
    pass_app,
    say,
    under_schema_lock,
)
from syncer.errors import SchemaError


@click.group()
def db() -> None:
    """The database: upgrade, check, backup, restore, adopt."""


@db.command(epilog=example("syncer db upgrade"))
@pass_app
def upgrade(app: App) -> None:
    """Bring the database to this version; the daemon and `sync` do so themselves when they start.

    A backup is put beside an older database first. Triggers and views that are missing are put back.
    """
    from syncer.cycle import jobs
    from syncer.store import schema
    from syncer.store.connect import Database

    settings = app.settings()

    def work() -> list[str]:
        with Database(settings.database.path, group=settings.database.group) as opened:
            done = schema.upgrade(opened)
            jobs.register(opened, settings)
        return done

    for line in under_schema_lock(settings, work):
        say(f"{line[:1].upper()}{line[1:]}.")
    say(f"The database {settings.database.path} is at schema {schema.HEAD}.")


@db.command(epilog=example("syncer db check"))
@json_option
@pass_app
@click.pass_context
def check(ctx: click.Context, app: App, as_json: bool) -> None:
    """Look at everything that can be wrong with the file; exit 1 if something is."""
    from syncer.store import schema, soundness
    from syncer.store.connect import Database

    settings = app.settings()
    path = settings.database.path
    with Database(path, group=settings.database.group, create=False) as opened:
        if not schema.is_current(opened):
            findings = ["its schema is older than this version: `syncer db upgrade`"]
        else:
            try:
                findings = soundness.integrity_problems(opened)
            except SchemaError as error:
                findings = [str(error)]
    if as_json:
        emit_json({"database": str(path), "ok": not findings, "findings": findings})
    elif findings:
        say(f"The database {path} has {count(len(findings), 'problem')}:")
        for finding in findings:
            say(f"  {finding}")
    else:
        say(f"The database {path} is sound.")
    ctx.exit(1 if findings else 0)


@db.command(epilog=example("syncer db backup /var/backups/syncer-monday.db"))
@click.argument("path", type=FILE)
@pass_app
def backup(app: App, path: Path) -> None:
    """Copy the database to PATH while it is in use, never over an existing file."""
    from syncer.store import schema
    from syncer.store.connect import Database

    settings = app.settings()
    files.refuse_root(path.parent, "the command")
    with Database(settings.database.path, group=settings.database.group, create=False) as opened:
        schema.is_current(opened)  # one from a newer version is refused here, too
        schema.backup(opened, path)
    say(f"Copied {settings.database.path} to {path} ({path.stat().st_size:,} bytes).")


@db.command(epilog=example("syncer db restore backups/syncer-20261121T052833Z.db"))
@click.argument("path", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@pass_app
def restore(app: App, path: Path) -> None:
    """Put a copy of the backup PATH in the place of the database, while no daemon runs.

    The backup is checked first. What was there is kept under another name, and nothing of its log reaches the
    restored file. Whatever is queued in it is compared with upstream before anything is sent.
    """
    from syncer.cycle import jobs
    from syncer.errors import LockedError
    from syncer.locks import DAEMON, Locks
    from syncer.store import copies, home
    from syncer.store.looking import Looking

    settings = app.settings()
    database = settings.database.path
    files.refuse_root(database.parent, "database.url", settings.database.group)
    locks = Locks(database, "syncer db restore")

    async def alone() -> Path | None:
        daemon = locks.try_acquire(DAEMON)
        if daemon is None:
            holder = locks.holder(DAEMON)
            raise LockedError("a daemon of this database", holder, "stop it first, then restore")
        try:
            async with locks.hold([jobs.SCHEMA_LOCK, *map(jobs.lock_name, jobs.specs(settings))]):
                return copies.restore(path, database, settings.database.group)
        finally:
            locks.release(daemon)

    kept = asyncio.run(alone())
    say(f"Restored {database} from {path}.")
    if kept is not None:
        say(f"What was there is kept as {kept}: edits in it that were not sent are only there.")
    with Looking(database) as opened, opened.read() as conn:
        away = home.elsewhere(conn, home.place_of(database))
    say(f"Note: {away}." if away else "Start the daemon, or run `syncer sync`.")


@db.command(epilog=example("syncer db adopt"))
@pass_app
def adopt(app: App) -> None:
    """Make the place where the database lies its home, so that edits are sent from here.

    A database remembers its home, and nothing is sent from a copy of it elsewhere. Where the other one goes on
    being used, both would send.
    """
    from syncer.store import home

    settings = app.settings()
    here = home.place_of(settings.database.path)
    with app.deciding(settings) as opened, opened.write() as conn:
        before = home.recorded(conn)
        home.adopt(conn, here)
    if before == here:
        say(f"{here.path} is the home of this database already.")
    else:
        say(f"{here.path} is the home of this database now: edits are sent from here with the next push.")
        if before is not None:
            say(
                f"It belonged to {home.describe(before, here)}. If that one is still used, stop it: both would send."
            )
