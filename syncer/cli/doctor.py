"""`syncer doctor`: checks everything that a sync needs, and says what is wrong and how to fix it.

It changes nothing, locally or upstream.
"""

from __future__ import annotations

import asyncio
import contextlib
import glob
import os
import shutil
import stat
import tempfile
from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from syncer import files
from syncer.cli.app import App, new_file, pass_app
from syncer.cli.findings import Finding, Level, show
from syncer.cli.options import FILE, example, json_option
from syncer.cli.output import emit_json, say
from syncer.errors import ConfigError, StoreBusyError, StoreError

if TYPE_CHECKING:
    from syncer.cli.report import ResponseShapes
    from syncer.config import Settings

#: Free space below which nothing is reliable, and below which a warning is due, in bytes.
NO_SPACE, LITTLE_SPACE = 50 * 1024**2, 500 * 1024**2

#: Seconds to wait for a write transaction. Our own take a fraction of this, so a longer one is another program's.
BUSY = 2.0

#: SQLite versions in between may corrupt a database in WAL mode when two connections checkpoint at
#: once (sqlite.org, release notes of 3.51.3).
WAL_BUG_FROM, WAL_BUG_FIXED = (3, 7, 0), (3, 51, 3)


@click.command(epilog=example("syncer doctor", "syncer doctor --report report.txt"))
@json_option
@click.option(
    "--report",
    "report_path",
    metavar="PATH",
    type=FILE,
    help="Also write a file for a maintainer: the shape of the vendors' responses, without values.",
)
@click.option(
    "--network", is_flag=True, help="Also connect to the targets of notifications. Nothing is sent to them."
)
@pass_app
@click.pass_context
def doctor(ctx: click.Context, app: App, as_json: bool, report_path: Path | None, network: bool) -> None:
    """Check config, credentials, database, clock, permissions and vendor responses.

    Exit 0 when all is well (warnings included), 1 with a problem, 77 when credentials were refused,
    78 when the config is wrong.
    """
    from syncer.cli.report import ResponseShapes, write_report

    settings = app.settings(logs="error", credentials="shown")
    with contextlib.nullcontext() if report_path is None else new_file(report_path) as file:
        found = list(check_locally(app, settings, network=network))
        if not as_json:
            show(found)
        shapes = None if file is None else ResponseShapes()
        placeholders = {one.about for one in found if one.credentials}
        wrong_config = False
        try:
            upstream = asyncio.run(check_upstream(app, settings, placeholders, shapes))
        except ConfigError as error:  # an unusable proxy or file of certificates
            wrong_config = True
            upstream = [Finding("problem", "config", problem) for problem in error.problems]
        found += upstream
        if as_json:
            emit_json({"findings": [one.as_json() for one in found]})
        else:
            show(upstream)
            _show_totals(found)
        if file is not None and shapes is not None:
            write_report(file, settings, found, shapes, app.stamp())
    if report_path is not None:
        say(f"Wrote {report_path}: read it, then send it.", err=True)
    if wrong_config:
        ctx.exit(78)
    ctx.exit(77 if any(one.credentials for one in found) else int(_number(found, "problem") > 0))


def check_locally(app: App, settings: Settings, *, network: bool) -> Iterator[Finding]:
    """Make all checks except those that ask the vendors."""
    from syncer.cli.page_checks import check_page
    from syncer.cli.recording_checks import check_audio
    from syncer.cli.target_checks import check_copies, check_doorbells, check_targets

    yield from check_config(settings)
    yield from check_secrets(settings)
    yield from check_folder(settings.database.path)
    yield from check_side_files(settings.database.path)
    yield from check_database(settings)
    yield from check_sqlite(settings)
    yield from check_audio(settings)
    yield from check_doorbells(settings)
    yield from check_page(app, settings)
    yield from asyncio.run(check_targets(settings, network=network))
    yield from asyncio.run(check_copies(settings))


def _show_totals(found: Sequence[Finding]) -> None:
    problems, warnings = _number(found, "problem"), _number(found, "warning")
    say()
    if problems:
        say(f"{problems} to fix" + (f", {warnings} to look at." if warnings else "."))
    else:
        say("All is well" + (f", but {warnings} to look at." if warnings else "."))


def _number(found: Sequence[Finding], level: Level) -> int:
    return sum(one.level == level for one in found)


# -- this machine --------------------------------------------------------------------------------------


def check_config(settings: Settings) -> Iterator[Finding]:
    """Whether others can read or change the config file, or the secrets and certificates that it names."""
    path = settings.path
    assert path is not None  # loaded from a file
    yield Finding("ok", "config", f"{path}, with {', '.join(account.label for account in settings.accounts)}")
    secret = [path, *(source.file for source in settings.sources.values() if source.file)]
    for file in secret:
        mode = stat.S_IMODE(file.stat().st_mode)
        if mode & stat.S_IROTH:
            text = f"{file} can be read by everybody on this machine (mode {mode:o}), secrets included"
            fix = f"chmod 600 {file} (or 640, with the group of the service)"
            yield Finding("warning", "config", text, fix)
    named = [account.ca_file for account in settings.accounts if account.ca_file]
    others = {
        str(other): other for file in (*secret, *named) for other in files.outsiders(file, os.getegid())
    }
    for text, other in others.items():
        yield Finding(
            "problem" if other.name == "everybody" else "warning",
            "config",
            f"{text}, who can have the credentials sent elsewhere",
            f"give it to root or this user alone: {other.remedy}",
        )


def check_secrets(settings: Settings) -> Iterator[Finding]:
    """Which credentials each account has, and whether they are still placeholders."""
    from syncer.config import placeholders

    for account in settings.accounts:
        given = account.secrets()
        if blanks := placeholders(account):
            text = f"{' and '.join(blanks)} {'is' if len(blanks) == 1 else 'are'} still the placeholder of the example"
            unused = len(blanks) == len(given) and len(settings.accounts) > 1
            part = "section if you do not use this vendor" if unused else "key"
            fix = f"write the real one below [{account.label}], or remove the {part}"
            yield Finding("problem", account.label, text, fix, credentials=True)
            continue
        for name, value in given.items():
            if value.reveal() != value.reveal().strip():
                text = f"{name} begins or ends with a space"
                yield Finding("warning", account.label, text, "remove the space if it is not intended")
        yield Finding("ok", account.label, f"credentials are set: {', '.join(given) or 'none are needed'}")


def check_folder(path: Path) -> Iterator[Finding]:
    """Whether the database can be where the config puts it."""
    folder = path.parent
    if folder.exists() and not folder.is_dir():
        yield Finding(
            "problem", "database", f"{folder} is not a folder", "correct database.url in the config"
        )
        return
    if not folder.exists():
        above = next(one for one in folder.parents if one.exists())
        if os.access(above, os.W_OK | os.X_OK):
            yield Finding("ok", "database", f"the first sync will create the folder {folder}")
        else:
            fix = f"create it, owned by the user that runs syncer: mkdir -p {folder}"
            yield Finding(
                "problem", "database", f"there is no folder {folder}, and it cannot be created", fix
            )
        return
    if not os.access(folder, os.W_OK | os.X_OK):
        text = (
            f"the folder {folder} cannot be written by this user, and SQLite needs files next to the database"
        )
        yield Finding("problem", "database", text, "give the folder to the user that runs syncer (chown)")
    free = shutil.disk_usage(folder).free
    text = f"{free / 1024**2:,.0f} MiB are free on the disk of {folder}"
    if free < LITTLE_SPACE:
        level: Level = "problem" if free < NO_SPACE else "warning"
        yield Finding(level, "database", text, "free some space: a full disk stops every sync")
    else:
        yield Finding("ok", "database", text)


def check_side_files(database: Path) -> Iterator[Finding]:
    """Whether the files next to the database can be used: the locks, the tokens, the key of `forget`."""
    folder = database.with_name(f"{database.name}.locks")
    usable = True
    locks: list[Path] = []
    try:
        os.close(files.open_folder(folder))
        locks = sorted(folder.glob("*.lock"))
    except FileNotFoundError:
        pass  # the first sync creates it
    except OSError as error:
        usable = False
        yield _unusable(folder, error)
    name = glob.escape(database.name)
    tokens = sorted(database.parent.glob(f"{name}.tokens*"))
    for path in (*locks, *tokens, *database.parent.glob(f"{name}.forget-key")):
        try:
            os.close(files.open_plain(path, os.O_RDWR))
        except FileNotFoundError:
            continue  # replaced meanwhile
        except OSError as error:
            usable = False
            yield _unusable(path, error)
    if usable:
        yield Finding("ok", "database", "its locks and tokens can be used")


def _unusable(path: Path, error: OSError) -> Finding:
    fix = f"find out who put it there (ls -l {path}), then remove it"
    if isinstance(error, PermissionError):
        fix = f"give it to the user that runs syncer: chown USER {path}"
    return Finding("problem", "database", f"{path} cannot be used: {error.strerror}", fix)


def check_database(settings: Settings) -> Iterator[Finding]:
    """Whether the database is intact and private, and can be written."""
    path = settings.database.path
    if not path.exists():
        yield Finding("ok", "database", f"{path.name} does not exist yet; the first sync creates it")
        return
    mode = stat.S_IMODE(path.stat().st_mode)
    allowed = 0o660 if settings.database.group else 0o600
    if mode & ~allowed:
        text = f"{path.name} can be read by others (mode {mode:o}): it holds people's names and numbers"
        yield Finding("warning", "database", text, f"chmod {allowed:o} {path}")
    if not os.access(path, os.R_OK | os.W_OK):
        text = f"{path.name} cannot be read and written by this user"
        yield Finding("problem", "database", text, f"give it to the user that runs syncer: chown USER {path}")
        return
    try:
        yield from _inside(settings)
    except StoreBusyError:
        text = f"{path.name} is held by a program that has begun to write and does not end: nothing can be synced"
        fix = f"finish its transaction (COMMIT or ROLLBACK) or end it; who has the file open: fuser -v {path}"
        yield Finding("problem", "database", text, fix)
    except StoreError as error:
        yield Finding("problem", "database", str(error))


def _inside(settings: Settings) -> Iterator[Finding]:
    """Check what is in the file (structure, triggers, accounts), and that it can be written."""
    from syncer.store.db import home, integrity, revision, schema_diff
    from syncer.store.db.connection import Database
    from syncer.store.write import accounts

    path = settings.database.path
    with Database(path, group=settings.database.group, create=False, busy_timeout=BUSY) as db:
        if not revision.is_current(db):
            with db.read() as conn:
                state = "empty" if revision.current(conn) is None else "older than this version"
            yield Finding(
                "warning", "database", f"{path.name} is {state}", "run `syncer db upgrade`, or a sync"
            )
            return
        if damage := integrity.quick_problems(db):
            text = f"{path.name} is damaged: {damage[0]}"
            yield Finding("problem", "database", text, "stop the daemon and restore a backup")
            return
        with db.read() as conn:
            guards = integrity.guard_problems(conn)
            away = None if guards else home.elsewhere(conn, home.place_of(path))
            unique = schema_diff.compare(conn).unique
            strays = [] if guards else accounts.strays(conn, {one.label for one in settings.accounts})
        with db.edit():
            pass  # begins a write, and writes nothing: fails if another program blocks it
        guards = guards or integrity.own_trigger_problems(db)
    if away is not None:
        yield Finding("warning", "database", away)
    for text in guards:
        yield Finding("problem", "database", text)
    for index in unique:
        text = (
            f"the unique index {index} is not one of syncer's: a sync fails where upstream has the same twice"
        )
        yield Finding("warning", "database", text)
    for stray in strays:
        yield Finding("problem" if stray.changes else "warning", stray.label, str(stray), stray.advice)
    if not guards:
        yield Finding("ok", "database", f"{path.name} is intact, schema {revision.HEAD}, triggers in place")


def check_sqlite(settings: Settings) -> Iterator[Finding]:
    """Whether the SQLite that this Python links has a bug that matters here."""
    from syncer.store.db.integrity import sqlite_version

    version = sqlite_version()
    if not WAL_BUG_FROM <= tuple(int(part) for part in version.split(".")) < WAL_BUG_FIXED:
        yield Finding("ok", "sqlite", f"version {version}")
        return
    text = (
        f"version {version} has SQLite's WAL-reset bug (fixed in 3.51.3): it is rare, and syncer avoids it by "
        "letting only one connection checkpoint"
    )
    fix = "a newer SQLite fixes it"
    yield Finding(
        "note", "sqlite", text, fix if settings.backup.enabled else f"switch on [backup] in the config; {fix}"
    )


# -- upstream ------------------------------------------------------------------------------------------


async def check_upstream(
    app: App, settings: Settings, without: Container[str], shapes: ResponseShapes | None = None
) -> list[Finding]:
    """Log in and make one call per list, for all accounts at once, except those in `without`.

    `shapes` requests full pages, and records their shapes.
    """
    from syncer.cli.vendor_checks import check_account
    from syncer.clock import SystemClock
    from syncer.config import Account
    from syncer.remote import client
    from syncer.store.db.connection import Database
    from syncer.sync.env import build

    full = shapes is not None
    if shapes is not None:
        client.response_hook.set(shapes.take)
    # A client needs a database, but none of these calls uses what is in it.
    with (
        tempfile.TemporaryDirectory(prefix="syncer-doctor-") as folder,
        Database(Path(folder) / "none.db") as db,
    ):
        async with contextlib.aclosing(build(settings, db, SystemClock())) as env:
            found = await asyncio.gather(
                *(
                    check_account(source, app.now, full=full)
                    for label, source in env.sources.items()
                    if isinstance(source.account, Account) and label not in without
                )
            )
    return [finding for findings in found for finding in findings]
