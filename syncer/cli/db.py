"""`syncer db`: upgrade, check, backup, restore, adopt, rename-account."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from syncer import files
from syncer.cli.app import App, pass_app, run_async, under_schema_lock
from syncer.cli.options import FILE, WORDS, example, json_option
from syncer.cli.output import count, emit_json, say, say_sentence
from syncer.errors import LockedError, SchemaError, UsageError

if TYPE_CHECKING:
    from syncer.config import Settings
    from syncer.store.db.read_only import Reader


@click.group()
def db() -> None:
    """Upgrade, check, back up, restore or move the database, or rename an account in it."""


@db.command(epilog=example("syncer db upgrade"))
@pass_app
def upgrade(app: App) -> None:
    """Migrate the database to this version. The daemon and `sync` do this at start.

    An older database is backed up first, next to it. Missing triggers and views are restored.
    """
    from syncer.store.db import migrations, revision
    from syncer.store.db.connection import Database
    from syncer.sync.open_database import register

    settings = app.settings()

    def work() -> list[str]:
        with Database(settings.database.path, group=settings.database.group) as opened:
            done = migrations.upgrade(opened)
            register(opened, settings)
        return done

    for line in under_schema_lock(settings, work):
        say_sentence(line)
    say(f"The database {settings.database.path} is at schema {revision.HEAD}.")


@db.command(epilog=example("syncer db check"))
@json_option
@pass_app
@click.pass_context
def check(ctx: click.Context, app: App, as_json: bool) -> None:
    """Check the whole file; exit 1 if something is wrong."""
    from syncer.store.db import integrity, revision
    from syncer.store.db.connection import Database

    settings = app.settings()
    path = settings.database.path
    with Database(path, group=settings.database.group, create=False) as opened:
        if not revision.is_current(opened):
            findings = ["its schema is older than this version: `syncer db upgrade`"]
        else:
            try:
                findings = integrity.integrity_problems(opened)
            except SchemaError as error:
                findings = [str(error)]
    if as_json:
        emit_json({"database": str(path), "ok": not findings, "findings": findings})
    elif findings:
        say(f"The database {path} has {count(len(findings), 'problem')}:")
        for finding in findings:
            say(f"  {finding}")
    else:
        say(f"The database {path} is intact.")
    ctx.exit(1 if findings else 0)


@db.command(epilog=example("syncer db backup /var/backups/syncer-monday.db"))
@click.argument("path", type=FILE)
@pass_app
def backup(app: App, path: Path) -> None:
    """Copy the database to PATH while it is in use, never over an existing file."""
    from syncer.store.db import copies, revision
    from syncer.store.db.connection import Database

    settings = app.settings()
    files.refuse_root(path.parent, "the command")
    with Database(settings.database.path, group=settings.database.group, create=False) as opened:
        revision.is_current(opened)  # also refuses one from a newer version
        copies.backup(opened, path)
    say(f"Copied {settings.database.path} to {path} ({path.stat().st_size:,} bytes).")


@contextlib.asynccontextmanager
async def _alone(settings: Settings, who: str) -> AsyncIterator[None]:
    """Keep daemons and syncs from starting. Raises LockedError if one is running."""
    from syncer.locks import DAEMON, Locks
    from syncer.sync import registry
    from syncer.sync.open_database import SCHEMA_LOCK

    locks = Locks(settings.database.path, who)
    daemon = locks.try_acquire(DAEMON)
    if daemon is None:
        raise LockedError(
            "a daemon of this database", locks.holder(DAEMON), "stop it first, then run this again"
        )
    try:
        async with locks.hold([SCHEMA_LOCK, *(spec.lock for spec in registry.specs(settings))]):
            yield
    finally:
        locks.release(daemon)


@db.command(epilog=example("syncer db restore backups/syncer-20261121T052833Z.db"))
@click.argument("path", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@pass_app
def restore(app: App, path: Path) -> None:
    """Replace the database with a copy of the backup PATH, while no daemon runs.

    The backup is checked first. The old database is kept under another name, and nothing from its WAL reaches the
    restored file. Queued changes are compared with upstream before anything is sent.
    """
    from syncer.store.db import copies, home
    from syncer.store.db.read_only import ReadOnlyDatabase

    settings = app.settings()
    database = settings.database.path
    files.refuse_root(database.parent, "database.url", settings.database.group)

    async def work() -> Path | None:
        async with _alone(settings, "syncer db restore"):
            return copies.restore(path, database, settings.database.group)

    kept = run_async(work())
    say(f"Restored {database} from {path}.")
    if kept is not None:
        say(f"The old database is kept as {kept}. Edits that had not been sent are only there.")
    with ReadOnlyDatabase(database) as opened, opened.read() as conn:
        away = home.elsewhere(conn, home.place_of(database))
    say(f"Note: {away}." if away else "Start the daemon, or run `syncer sync`.")


@db.command(epilog=example("syncer db adopt"))
@pass_app
def adopt(app: App) -> None:
    """Make the current place of the database its home, so that edits are sent from here.

    A database remembers its home, and a copy elsewhere sends nothing. Stop the other one first, or both would send.
    """
    from syncer.store.db import home

    settings = app.settings()
    here = home.place_of(settings.database.path)
    with app.deciding(settings) as opened, opened.write() as conn:
        before = home.recorded(conn)
        home.adopt(conn, here)
    if before == here:
        say(f"{here.path} is already the home of this database.")
    else:
        say(f"{here.path} is now the home of this database: edits are sent from here with the next push.")
        if before is not None:
            say(
                f"It belonged to {home.describe(before, here)}. If that one is still used, stop it: both would send."
            )


@db.command("rename-account", epilog=example("syncer db rename-account telecmi.office telecmi.chennai"))
@click.argument("old", metavar="OLD", type=WORDS)
@click.argument("new", metavar="NEW", type=WORDS)
@pass_app
def rename_account(app: App, old: str, new: str) -> None:
    """Give all rows of account OLD to NEW, after its section in the config was renamed.

    Stop the daemon first. A name without a vendor means the account of that name at either one. Rows that NEW has
    already pulled are merged with those of OLD. No edit is lost, and nothing changes upstream.
    """
    from syncer.store.write import accounts
    from syncer.sync.open_database import open_database, register
    from syncer.sync.recordings import Recordings

    settings = app.settings()
    remove = Recordings(settings.audio.path).remove

    async def work() -> list[str]:
        async with _alone(settings, "syncer db rename-account"):
            with open_database(settings) as opened:
                with opened.write() as conn:
                    moves = _renamings(conn, settings, old, new)
                    done = [accounts.rename(conn, *move, app.stamp(), remove) for move in moves]
                register(opened, settings)
        return [_renamed(*move, counts) for move, counts in zip(moves, done, strict=True)]

    for line in run_async(work()):
        say(line)


def _renamings(conn: Reader, settings: Settings, old: str, new: str) -> list[tuple[str, str, str]]:
    """The accounts to rename: vendor, old name, new name. UsageError if there is none, or the config lacks the new name."""
    from syncer.config import VENDORS
    from syncer.store.write import accounts

    known = {account.label for account in settings.accounts}
    provider, _, name = new.partition(".")
    if provider not in VENDORS or not name:  # a name without a vendor
        provider, name = "", new
    there = accounts.registered(conn)
    meant = [label for label in there if old in (label, label.partition(".")[2])]
    if not meant:
        raise UsageError(f"the database has nothing of an account {old}; it has {', '.join(there) or 'none'}")
    left = [label for label in meant if label not in known]
    if not left:
        raise UsageError(
            f"{meant[0]} is in the config: give its section there the new name first, then run this again"
        )
    moves = []
    for label in left:
        vendor, _, old_name = label.partition(".")
        wanted = f"{vendor}.{name}"
        if provider not in ("", vendor):
            raise UsageError(f"{label} cannot become {new}: that is another vendor")
        if wanted not in known:
            raise UsageError(f"the config has no account {wanted}: name the section [{wanted}] first")
        moves.append((vendor, old_name, name))
    return moves


def _renamed(provider: str, old: str, new: str, counts: dict[str, int]) -> str:
    contacts = counts[f"{provider}_contacts"]
    merged = f"; merged {count(counts['merged'], 'row')} that both had" if counts["merged"] else ""
    return f"Renamed {provider}.{old} to {provider}.{new}, with {count(contacts, 'contact')}{merged}."
