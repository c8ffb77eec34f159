"""What all commands share: the config and the database of a call, tables, JSON, times, progress.

What is shown is left to each command. Nothing slow is imported before it is needed.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from syncer import files
from syncer.errors import SyncerError, UsageError

if TYPE_CHECKING:
    from syncer.config import Settings, TelecmiAccount
    from syncer.store.db.connection import Database
    from syncer.store.db.read_only import Page, ReadOnlyDatabase

T = TypeVar("T")

#: The greatest row number that SQLite knows.
LARGEST_ID = 2**63 - 1

#: Signs that could steer a terminal, end a line, or write from right to left.
_STEERING = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

#: Files that a sync of two accounts has open at once, with some to spare.
FILES_OF_A_SYNC = 24


@dataclass(slots=True)
class App:
    """One call of the program: what stood before the command, and what follows from it."""

    config: Path | None = None
    log_level: str | None = None

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment of the process."""
        return os.environ

    def config_path(self) -> Path:
        """The config file that counts; ConfigError when there is none."""
        from syncer.config import find_config

        return find_config(self.config, self.environ, Path.cwd())

    def settings(self, logs: str | None = None, *, credentials: str = "unused") -> Settings:
        """Load the config, and set up the logs, at level `logs` unless the person said another.

        A command that only looks has nothing to log: it names no level, and is the quicker for it. One that
        calls a vendor says what it does with the `credentials` (see `config.Credentials`).
        """
        from syncer.config import Credentials, load_settings

        settings = load_settings(self.config_path(), self.environ, Credentials(credentials))
        level = self.log_level or logs
        if level is not None:
            from syncer.logs import register_secret, set_up_logs

            for secret in settings.secrets():
                register_secret(secret)
            set_up_logs(level, self.environ)
        return settings

    def now(self) -> datetime:
        """The wall clock, UTC."""
        from syncer.clock import SystemClock

        return SystemClock().now()

    def stamp(self) -> str:
        """The wall clock as it is stored."""
        from syncer.core.normalise import utc_text

        return utc_text(self.now())

    @contextlib.contextmanager
    def reading(self, settings: Settings) -> Iterator[ReadOnlyDatabase]:
        """The database, to look at. It is migrated if it is older, and not created if there is none."""
        from syncer.store.db.read_only import ReadOnlyDatabase
        from syncer.store.db.revision import is_current

        with ReadOnlyDatabase(settings.database.path) as db:
            if is_current(db):
                yield db
                return
        with self.writing(settings):
            pass
        with ReadOnlyDatabase(settings.database.path) as db:
            yield db

    @contextlib.contextmanager
    def deciding(self, settings: Settings) -> Iterator[Database]:
        """The database, to write down what a person decided about rows that are there."""
        from syncer.store.db.connection import Database

        with self.reading(settings):
            pass
        with Database(settings.database.path, group=settings.database.group, create=False) as db:
            yield db

    @contextlib.contextmanager
    def writing(self, settings: Settings) -> Iterator[Database]:
        """The database, to write to: created, migrated, with the accounts of the config in it."""
        from syncer.sync.open_database import open_database

        db = under_schema_lock(settings, lambda: open_database(settings))
        try:
            yield db
        finally:
            db.close()


def under_schema_lock(settings: Settings, work: Callable[[], T]) -> T:
    """Do what may migrate the database; LockedError when somebody else is at it for too long."""
    import asyncio

    from syncer.locks import Locks
    from syncer.sync.open_database import SCHEMA_LOCK

    async def locked() -> T:
        async with Locks(settings.database.path, "syncer", settings.database.group).hold([SCHEMA_LOCK]):
            return work()

    return asyncio.run(locked())


def new_file(path: Path) -> int:
    """A new file to write to, that nobody else may read. Raises UsageError, also where there is one already."""
    try:
        if not os.path.lexists(path) and (other := files.outsider(path)):
            raise UsageError(f"root does not write {path}: {other}; name a file in a folder of root's own")
        return files.create(path)
    except FileExistsError:
        what = "is a folder; name a file in it" if path.is_dir() else "exists already; it was left as it is"
        raise UsageError(f"{path} {what}") from None
    except FileNotFoundError:
        raise UsageError(f"{path} cannot be written: there is no folder {path.parent}") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None


def require_room() -> None:
    """Refuse where this process may open too few files for the connections, locks and files of a sync."""
    if files.room() < FILES_OF_A_SYNC:
        raise SyncerError(files.NO_ROOM)


pass_app = click.make_pass_decorator(App)


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's coroutine; SIGTERM stops it at a safe point, as ctrl-c does."""
    import asyncio
    import signal

    async def main() -> T:
        task = asyncio.ensure_future(work)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await task

    try:
        return asyncio.run(main())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


def example(*lines: str) -> str:
    """The end of a command's help."""
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in lines)


class Words(click.ParamType[str]):
    """Text from the command line that can be stored: no line breaks, no control characters, UTF-8."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text, trimmed; click tells what is wrong with it."""
        text = str(value).strip()
        if any("\ud800" <= sign <= "\udfff" for sign in text):
            self.fail("is not UTF-8 text", param, ctx)
        if any(unicodedata.category(sign) == "Cc" for sign in text):
            self.fail("has a line break or a control character in it", param, ctx)
        return text


WORDS = Words()


class File(click.ParamType[Path]):
    """A path, with `~` as the home folder: shells leave it alone in `--config=~/syncer.toml`, and in quotes."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path; click says what is wrong with it."""
        try:
            return files.expand(value)
        except OSError as error:
            self.fail(f"{value}: {error.strerror}", param, ctx)


FILE = File()

json_option = click.option("--json", "as_json", is_flag=True, help="For programs: JSON on stdout.")
account_option = click.option(
    "--account", metavar="A", type=WORDS, help="An account's name (main), or with its vendor (telecmi.main)."
)
format_option = click.option(
    "--format", "form", type=click.Choice(["csv", "json"]), help="For programs: all columns, on stdout."
)
limit_option = click.option("--limit", metavar="N", type=click.IntRange(min=1), help="At most so many.")


def account_names(settings: Settings, word: str | None, kind: str) -> tuple[str, ...]:
    """The names of the accounts at one vendor (`telecmi`, `smartflo`) that `--account` means."""
    if word is None:
        return tuple(account.name for account in settings.accounts if account.kind == kind)
    try:
        found = settings.accounts_named(word)
    except UsageError as error:
        raise click.UsageError(str(error)) from None
    return tuple(account.name for account in found if account.kind == kind)


def telecmi_accounts(settings: Settings, word: str | None) -> dict[str, TelecmiAccount]:
    """The TeleCMI accounts that `--account` means, by name; click tells when there is none."""
    names = account_names(settings, word, "telecmi")
    if not names:
        where = f"--account {word} means no TeleCMI account" if word else "the config has no TeleCMI account"
        raise click.UsageError(f"{where}; only TeleCMI contacts can be looked up and edited this way")
    return {account.name: account for account in settings.telecmi if account.name in names}


def region_of(settings: Settings, account: str) -> str:
    """How numbers of a TeleCMI account are read; one that left the config is read as the default."""
    return next((one.region for one in settings.telecmi if one.name == account), "IN")


# -- output --------------------------------------------------------------------------------------------


def emit_json(value: object) -> None:
    """One JSON document on stdout."""
    click.echo(to_json(value, indent=2))


def to_json(value: object, indent: int | None = None) -> str:
    """JSON in UTF-8 where stdout can take that, with what could steer a terminal escaped."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return json.dumps(value, indent=indent)
    return _STEERING.sub(lambda sign: sign[0] if sign[0] == "\n" else f"\\u{ord(sign[0]):04x}", text)


def plain(value: object) -> str:
    """A value on one line, without what could steer a terminal. None is a dash."""
    if value is None or value == "":
        return "-"
    text = str(value)
    if text.isascii() and text.isprintable():
        return text  # most of all values, and a long list has a million
    return _STEERING.sub(lambda sign: " " if sign[0] in "\n\r\t" else "\ufffd", text)


def say(text: str = "", *, err: bool = False) -> None:
    """One line for people, without what could steer a terminal."""
    stream = sys.stderr if err else sys.stdout
    clean = plain(text) if text else ""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    click.echo(clean.encode(encoding, "replace").decode(encoding), err=err)


def say_folded(text: str) -> None:
    """The same, folded between words where stdout is a terminal: not for what is to be copied."""
    if not sys.stdout.isatty():
        say(text)
        return
    indent = " " * (len(text) - len(text.lstrip()))
    width = shutil.get_terminal_size().columns
    lines = textwrap.wrap(
        plain(text), width, break_long_words=False, break_on_hyphens=False, subsequent_indent=f"{indent}  "
    )
    for line in lines:
        say(line)


def span(seconds: float) -> str:
    """A length of time in one unit: `45 s`, `12 min`, `1.5 h`, `9 d`."""
    seconds = abs(seconds)
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            number = seconds / size
            return f"{number:.0f} {unit}" if number >= 10 else f"{round(number, 1):g} {unit}"
    return f"{seconds:.0f} s"


def seconds_since(stamp: str, now: datetime) -> float | None:
    """How long ago a stored time was; None when it is none."""
    try:
        moment = datetime.fromisoformat(stamp)
    except ValueError:
        return None
    return (now - (moment if moment.tzinfo else moment.replace(tzinfo=UTC))).total_seconds()


def when(stamp: str | None, now: datetime) -> str:
    """A stored time for people, relative and exact: `2 h ago (2026-11-21 15:00:00 IST)`."""
    if not stamp:
        return "never"
    seconds = seconds_since(stamp, now)
    if seconds is None:
        return stamp
    relative = f"{span(seconds)} ago" if seconds >= 0 else f"in {span(seconds)}"
    return f"{relative} ({local(stamp)})"


def local(stamp: str) -> str:
    """A stored time as this machine's clocks show it, with the zone: `2026-11-21 15:00:00 IST`."""
    try:
        moment = datetime.fromisoformat(stamp)
        return (
            f"{(moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone():%Y-%m-%d %H:%M:%S %Z}"
        )
    except (ValueError, OverflowError):
        return stamp


def count(number: int, noun: str, plural: str | None = None) -> str:
    """`1 row`, `2 rows`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def shown(rows: Page, noun: str) -> str:
    """How many rows are shown, and of how many: `3 of 270 contacts`."""
    if len(rows) == rows.total:
        return count(rows.total, noun)
    return f"{len(rows):,} of {count(rows.total, noun)}"


@contextlib.contextmanager
def progress_bars() -> Iterator[Callable[[str, str, int, int | None], None]]:
    """Bars on stderr, one a job and account, while a sync runs; nothing where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

    tasks: dict[tuple[str, str], TaskID] = {}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:

        def tell(job: str, account: str, done: int, total: int | None) -> None:
            key = (job, account)
            if key not in tasks:
                tasks[key] = bars.add_task(f"{job} {account}", total=total)
            bars.update(tasks[key], completed=done, total=total)

        yield tell
