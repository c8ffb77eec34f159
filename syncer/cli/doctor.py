"""`syncer doctor`: looks at everything a sync needs, says what is wrong and how to mend it.

It changes nothing, neither here nor upstream. What was synced is left to `status`.
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
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from syncer import files
from syncer.cli.common import FILE, App, emit_json, example, json_option, new_file, pass_app, say
from syncer.cli.findings import Finding, Level, show
from syncer.errors import ConfigError, StoreBusyError, StoreError

if TYPE_CHECKING:
    from syncer.cli.report import Heard
    from syncer.config import Settings

#: Free space below which nothing can be relied on, and below which it gets tight, in bytes.
NO_SPACE, LITTLE_SPACE = 50 * 1024**2, 500 * 1024**2

#: Our own write transactions take a fraction of this, in seconds: who holds the file longer stands in the way.
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
    help="Also write a file for a maintainer: the shape of the vendors' answers, and no value of them.",
)
@pass_app
@click.pass_context
def doctor(ctx: click.Context, app: App, as_json: bool, report_path: Path | None) -> None:
    """Check config, credentials, database, clock, permissions and upstream answers.

    Exit 0 when all is well (warnings included), 1 with a problem, 77 when credentials were refused,
    78 when the config is wrong.
    """
    settings = app.settings(logs="error", credentials="shown")
    with _reporting(app, settings, report_path) as (heard, told):
        code = _look(app, settings, heard, told, as_json=as_json)
    ctx.exit(code)


@contextlib.contextmanager
def _reporting(
    app: App, settings: Settings, path: Path | None
) -> Iterator[tuple[Heard | None, list[Finding]]]:
    """What is heard and found meanwhile goes into a file at `path`; made first, gone if that fails."""
    if path is None:
        yield None, []
        return
    from syncer.cli import report

    handle = new_file(path)
    heard, told = report.Heard(), list[Finding]()
    try:
        yield heard, told
        report.write(handle, settings, told, heard, app.stamp())
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    say(f"Wrote {path}: read it, then send it.", err=True)


def _look(app: App, settings: Settings, heard: Heard | None, told: list[Finding], *, as_json: bool) -> int:
    findings = [
        *check_config(settings),
        *check_secrets(settings),
        *check_folder(settings.database.path),
        *check_side_files(settings.database.path),
        *check_database(settings),
        *check_sqlite(settings),
    ]
    if not as_json:
        for finding in findings:
            show(finding)
    placeholders = {one.about for one in findings if one.credentials}
    try:
        upstream, wrong = asyncio.run(check_upstream(app, settings, placeholders, heard)), False
    except ConfigError as error:  # a proxy or a file of certificates that cannot be used
        upstream, wrong = [Finding("problem", "config", problem) for problem in error.problems], True
    told += [*findings, *upstream]
    if as_json:
        emit_json({"findings": [asdict(one) for one in told]})
    else:
        for finding in upstream:
            show(finding)
        _conclude(told)
    return 78 if wrong else _code(told)


def _conclude(findings: Sequence[Finding]) -> None:
    problems = sum(one.level == "problem" for one in findings)
    warnings = sum(one.level == "warning" for one in findings)
    say()
    if problems:
        say(f"{problems} to mend" + (f", {warnings} to look at." if warnings else "."))
    else:
        say("All is well" + (f", but for {warnings} to look at." if warnings else "."))


def _code(findings: Sequence[Finding]) -> int:
    if any(one.credentials for one in findings):
        return 77
    return 1 if any(one.level == "problem" for one in findings) else 0


# -- this machine --------------------------------------------------------------------------------------


def check_config(settings: Settings) -> list[Finding]:
    """Who may read or change the config file and the files of secrets and certificates that it names."""
    path = settings.path
    assert path is not None  # loaded from a file
    labels = ", ".join(account.label for account in settings.accounts)
    found = [Finding("ok", "config", f"{path}, with {labels}")]
    secret = [path, *(source.file for source in settings.sources.values() if source.file)]
    for file in secret:
        mode = stat.S_IMODE(file.stat().st_mode)
        if mode & stat.S_IROTH:
            text = f"{file} may be read by everybody on this machine (mode {mode:o}), secrets included"
            mend = f"chmod 600 {file} (or 640, with the group of the service)"
            found.append(Finding("warning", "config", text, mend))
    named = [account.ca_file for account in settings.accounts if account.ca_file]
    others = {
        str(other): other for file in (*secret, *named) for other in files.outsiders(file, os.getegid())
    }
    for text, other in others.items():
        level: Level = "problem" if other.name == "everybody" else "warning"
        text += ", who can have the credentials sent elsewhere"
        found.append(Finding(level, "config", text, f"give it to root or this user alone: {other.remedy}"))
    return found


def check_secrets(settings: Settings) -> list[Finding]:
    """Which credentials each account has, and whether they are still placeholders."""
    from syncer.config import placeholders

    out = []
    for account in settings.accounts:
        given = account.secrets()
        if blanks := placeholders(account):
            text = f"{' and '.join(blanks)} {'is' if len(blanks) == 1 else 'are'} still the placeholder of the example"
            whole = len(blanks) == len(given) and len(settings.accounts) > 1
            mend = f"write the real one below [{account.label}], or remove the " + (
                "section if you do not use this vendor" if whole else "key"
            )
            out.append(Finding("problem", account.label, text, mend, credentials=True))
            continue
        for name, value in given.items():
            if value.reveal() != value.reveal().strip():
                text = f"{name} begins or ends with a blank"
                out.append(Finding("warning", account.label, text, "remove the blank if it was not meant"))
        out.append(
            Finding("ok", account.label, f"credentials are set: {', '.join(given) or 'none are needed'}")
        )
    return out


def check_folder(path: Path) -> list[Finding]:
    """Whether the database can live where the config puts it."""
    folder = path.parent
    if not folder.is_dir():
        if folder.exists():
            return [
                Finding("problem", "database", f"{folder} is no folder", "mend database.url in the config")
            ]
        above = next(one for one in folder.parents if one.exists())
        if os.access(above, os.W_OK | os.X_OK):
            return [Finding("ok", "database", f"the folder {folder} will be made by the first sync")]
        mend = f"make it, owned by the user that runs syncer: mkdir -p {folder}"
        return [Finding("problem", "database", f"there is no folder {folder}, and it cannot be made", mend)]
    out = []
    if not os.access(folder, os.W_OK | os.X_OK):
        text = (
            f"the folder {folder} cannot be written by this user, and SQLite needs files beside the database"
        )
        out.append(
            Finding("problem", "database", text, "give the folder to the user that runs syncer (chown)")
        )
    free = shutil.disk_usage(folder).free
    size = f"{free / 1024**2:,.0f} MiB are free on the disk of {folder}"
    if free < LITTLE_SPACE:
        level: Level = "problem" if free < NO_SPACE else "warning"
        out.append(Finding(level, "database", size, "free some space: a full disk stops every sync"))
    else:
        out.append(Finding("ok", "database", size))
    return out


def check_side_files(database: Path) -> list[Finding]:
    """Whether the files next to the database can be used: the locks, the tokens, the key of `forget`."""
    folder = database.with_name(f"{database.name}.locks")
    found: list[Finding] = []
    locks: list[Path] = []
    try:
        os.close(files.open_folder(folder))
        locks = sorted(folder.glob("*.lock"))
    except FileNotFoundError:
        pass  # the first sync makes it
    except OSError as error:
        found.append(_unusable(folder, error))
    name = glob.escape(database.name)
    for path in (
        *locks,
        *sorted(database.parent.glob(f"{name}.tokens*")),
        *database.parent.glob(f"{name}.forget-key"),
    ):
        try:
            os.close(files.open_plain(path, os.O_RDWR))
        except FileNotFoundError:
            continue  # replaced meanwhile
        except OSError as error:
            found.append(_unusable(path, error))
    return found or [Finding("ok", "database", "its locks and tokens can be used")]


def _unusable(path: Path, error: OSError) -> Finding:
    if isinstance(error, PermissionError):
        mend = f"give it to the user that runs syncer: chown USER {path}"
    else:
        mend = f"look who put it there (ls -l {path}), then remove it"
    return Finding("problem", "database", f"{path} cannot be used: {error.strerror}", mend)


def check_database(settings: Settings) -> list[Finding]:
    """Whether the database itself is sound, and who may read it."""
    from syncer.store.db import home, integrity, migrations, schema_diff
    from syncer.store.db.connection import Database
    from syncer.store.write import accounts

    path = settings.database.path
    if not path.exists():
        return [Finding("ok", "database", f"{path.name} does not exist yet; the first sync makes it")]
    out = []
    mode = stat.S_IMODE(path.stat().st_mode)
    allowed = 0o660 if settings.database.group else 0o600
    if mode & ~allowed:
        text = f"{path.name} may be read by others (mode {mode:o}): it holds people's names and numbers"
        out.append(Finding("warning", "database", text, f"chmod {allowed:o} {path}"))
    if not os.access(path, os.R_OK | os.W_OK):
        text = f"{path.name} cannot be read and written by this user"
        return [
            *out,
            Finding("problem", "database", text, f"give it to the user that runs syncer: chown USER {path}"),
        ]
    try:
        with Database(path, group=settings.database.group, create=False, busy_timeout=BUSY) as db:
            if not migrations.is_current(db):
                with db.read() as conn:
                    empty = migrations.current(conn) is None
                text = f"{path.name} is {'empty' if empty else 'older than this version'}"
                return [
                    *out,
                    Finding("warning", "database", text, "`syncer db upgrade`, or the next sync, mends it"),
                ]
            damage = integrity.quick_problems(db)
            if damage:
                text = f"{path.name} is damaged: {damage[0]}"
                return [*out, Finding("problem", "database", text, "stop the daemon and restore a backup")]
            with db.read() as conn:
                guards = integrity.guard_problems(conn)
                away = None if guards else home.elsewhere(conn, home.place_of(path))
                unique = schema_diff.compare(conn).unique
                unknown = [] if guards else accounts.strays(conn, {one.label for one in settings.accounts})
            with db.edit():
                pass  # begins a write and writes nothing: is somebody in the way?
            guards = guards or integrity.own_trigger_problems(db)
    except StoreBusyError:
        text = f"{path.name} is held by a program that has begun to write and does not end: nothing can be synced"
        mend = (
            f"finish its transaction (COMMIT or ROLLBACK) or end it; who has the file open: fuser -v {path}"
        )
        return [*out, Finding("problem", "database", text, mend)]
    except StoreError as error:
        return [*out, Finding("problem", "database", str(error))]
    if away is not None:
        out.append(Finding("warning", "database", away))
    out += [Finding("problem", "database", text) for text in guards]
    for index in unique:
        text = (
            f"the unique index {index} is not one of syncer's: a sync fails where upstream has the same twice"
        )
        out.append(Finding("warning", "database", text))
    for stray in unknown:
        out.append(Finding("problem" if stray.changes else "warning", stray.label, str(stray), stray.advice))
    if not guards:
        out.append(
            Finding("ok", "database", f"{path.name} is sound, schema {migrations.HEAD}, triggers in place")
        )
    return out


def check_sqlite(settings: Settings) -> list[Finding]:
    """Whether the SQLite that this Python links has a bug that matters here."""
    from syncer.store.db.integrity import sqlite_version

    version = sqlite_version()
    number = tuple(int(part) for part in version.split("."))
    if not WAL_BUG_FROM <= number < WAL_BUG_FIXED:
        return [Finding("ok", "sqlite", f"version {version}")]
    text = (
        f"version {version} lies in the range of SQLite's WAL-reset bug (fixed in 3.51.3): rare, and kept away "
        "here by letting one connection checkpoint"
    )
    advice = "a newer SQLite ends the matter"
    if not settings.backup.enabled:
        advice = f"switch on [backup] in the config; {advice}"
    return [Finding("note", "sqlite", text, advice)]


# -- upstream ------------------------------------------------------------------------------------------


async def check_upstream(
    app: App, settings: Settings, without: Container[str], heard: Heard | None = None
) -> list[Finding]:
    """A login and one list call per list of every account but those `without`, all at once.

    With `heard`, whole pages are asked for, and their shapes noted there.
    """
    from syncer.cli.upstream import check_account
    from syncer.clock import SystemClock
    from syncer.remote import client
    from syncer.store.db.connection import Database
    from syncer.sync.env import build

    if heard is not None:
        client.heard.set(heard.take)
    whole = heard is not None

    # The clients come with a database; none of these calls needs the real one.
    with (
        tempfile.TemporaryDirectory(prefix="syncer-doctor-") as folder,
        Database(Path(folder) / "none.db") as db,
    ):
        env = build(settings, db, SystemClock())
        try:
            found = await asyncio.gather(
                *(
                    check_account(source, app.now, whole=whole)
                    for label, source in env.sources.items()
                    if label not in without
                )
            )
        finally:
            await env.aclose()
    return [finding for findings in found for finding in findings]
