"""The command `syncer`: finds the subcommand, and turns every error into one sentence and an exit code.

The module of a subcommand is imported only when it is called.
"""

from __future__ import annotations

import errno
import gc
import importlib
import os
import sys
import threading
from pathlib import Path
from typing import Any, Final, NoReturn

import click

from syncer import __version__, files
from syncer.cli.app import App
from syncer.cli.options import FILE, example
from syncer.errors import (
    AuthError,
    ConfigError,
    LockedError,
    SchemaError,
    StoreBusyError,
    SyncerError,
)

#: Exit codes (docs/commands.md).
FAILED, USAGE, BUSY, CREDENTIALS, CONFIG = 1, 2, 75, 77, 78
INTERRUPTED, READER_GONE = 130, 141

#: How long other threads may delay the exit, in seconds.
LEAVE_BY: Final = 1.0

#: What `--log-level` takes: `syncer.logs.LEVELS`, which is slow to import.
LEVELS: Final = ("debug", "info", "warning", "error")

#: Command -> help, so that help and completion import nothing. The module of a command has its name.
COMMANDS: Final = {
    "init": "Write a commented config to start from.",
    "config": "Check or show the config. Calls no vendor.",
    "doctor": "Check config, credentials, database, clock and vendor responses.",
    "sync": "Make one pass now, of all jobs or the named ones.",
    "run": "Run the daemon: all jobs on schedule, until SIGTERM.",
    "status": "Show how fresh every job is, and what waits.",
    "contacts": "List, show and edit the contacts of the mirror.",
    "voicemails": "List, play and save voicemails, with the callers' names.",
    "calls": "List calls of both vendors, with names.",
    "callbacks": "List who waits for a call back, and close or reopen numbers.",
    "queue": "Show the changes on their way upstream, and decide about them.",
    "held": "Show what a safety limit stopped in a pull, and approve or reject it.",
    "console": "Invite people to the page, list sessions, and end them.",
    "notify": "Test notification targets, or queue notifications again.",
    "publish": "Bring the published copies in PostgreSQL up to date now.",
    "verify": "Compare the mirror with upstream, row by row.",
    "why": "Show one person's history, and where the caller's name comes from.",
    "log": "Show what changed, from either side, in order.",
    "forget": "Remove a person from every table, and keep them out.",
    "db": "Upgrade, check, back up, restore or move the database, or rename an account in it.",
    "sandbox": "Run a sandbox of both vendors on loopback.",
    "demo": "Show the whole program against the sandbox.",
}


class ReaderGoneError(Exception):
    """The reader of our output has gone away."""


class LazyGroup(click.Group):
    """A group whose subcommands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The commands, in the order in which people need them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - likewise
        """The subcommand itself; imports its module."""
        if cmd_name not in COMMANDS:
            return None
        command = getattr(importlib.import_module(f"syncer.cli.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The subcommand, or an error that names similar ones."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise click.exceptions.NoSuchCommand(args[0], possibilities=list(COMMANDS), ctx=ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The list of subcommands, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. click itself would treat a closed pipe as a failure."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise ReaderGoneError from error


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=example("syncer --config /etc/syncer/config.toml sync telecmi-contacts"),
)
@click.option(
    "--config",
    metavar="PATH",
    type=FILE,
    help="The config file; else $SYNCER_CONFIG, ./syncer.toml, /etc/syncer/config.toml.",
)
@click.option(
    "--log-level",
    type=click.Choice(LEVELS, case_sensitive=False),
    help="How much is logged to stderr.",
)
@click.version_option(__version__, message="syncer %(version)s")
@click.pass_obj
def cli(app: App, config: Path | None, log_level: str | None) -> None:
    """Keeps TeleCMI and Smartflo contacts, voicemails and calls in SQLite, with contacts in sync both ways."""
    app.config = config
    app.log_level = log_level.lower() if log_level else None


def exit_code(error: SyncerError) -> int:
    """The exit code of an error that ends a command."""
    match error:
        case ConfigError() | SchemaError():
            return CONFIG
        case AuthError():
            return CREDENTIALS
        case LockedError() | StoreBusyError():
            return BUSY
        case _:
            return FAILED


def run(args: list[str] | None = None) -> int:
    """Run one command line and return its exit code. Never raises."""
    app = App()
    try:
        _open_standard_streams()
        code = cli.main(args, prog_name="syncer", standalone_mode=False, obj=app)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except click.ClickException as error:
        if isinstance(error, click.NoSuchOption) and error.option_name in ("--config", "--log-level"):
            place = f"{error.option_name} goes before the command: syncer {error.option_name} ... COMMAND"
            error = click.UsageError(place, error.ctx)
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except (ReaderGoneError, BrokenPipeError):
        _discard_output()
        return READER_GONE
    except ConfigError as error:
        for problem in error.problems:
            _complain(problem)
        return CONFIG
    except SyncerError as error:
        _complain(str(error))
        return exit_code(error)
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            _complain(files.NO_ROOM)
        elif error.filename:
            _complain(f"{error.filename}: {error.strerror}")
        elif error.errno in (errno.ENOSPC, errno.EIO, errno.EBADF, errno.EDQUOT):
            _complain(f"the output could not be written: {error.strerror}")
            _discard_output()
        else:
            _bug(app, error)
        return FAILED
    except Exception as error:  # noqa: BLE001 - the end of the program: reported as a bug
        _bug(app, error)
        return FAILED


def _open_standard_streams() -> None:
    """Open closed standard streams: otherwise the database could get the descriptor of stdout, and be printed into."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stdout is None:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - lives as long as we do
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - lives as long as we do


def _discard_output() -> None:
    """Drop what is still buffered: writing it would fail again when Python exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _complain(text: str) -> None:
    click.echo(f"syncer: {text}", err=True)


def _bug(app: App, error: Exception) -> None:
    """Report a bug and where it is, without any data."""
    import traceback

    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if f"{os.sep}syncer{os.sep}" in frame.filename] or frames
    where = f" ({Path(ours[-1].filename).name}, line {ours[-1].lineno})" if ours else ""
    _complain(
        f"this is a bug in syncer: {type(error).__name__}{where}; "
        "run the same with --log-level debug before the command to see where it comes from"
    )
    if app.log_level == "debug":
        from syncer.logs import scrub

        click.echo(scrub("".join(traceback.format_exception(error))).rstrip(), err=True)


def main() -> NoReturn:
    """The entry point."""
    code = run()
    if threading.active_count() > 1:
        # Python waits for all threads, and a library's thread that waits for a service cannot be cancelled.
        leave = threading.Timer(LEAVE_BY, os._exit, (code,))
        leave.daemon = True
        leave.start()
    gc.freeze()  # otherwise Python searches all objects for cycles before it exits, which takes 0.04 s
    sys.exit(code)
