"""`syncer voicemails`: lists voicemails, and plays and saves recordings."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import click

from syncer.cli.app import App, new_file, pass_app
from syncer.cli.options import (
    FILE,
    account_option,
    example,
    limit_option,
    list_options,
    number_argument,
    numbers_argument,
    search_option,
    since_option,
    since_stamp,
    telecmi_accounts,
)
from syncer.cli.output import emit_list, say, show_table, shown, when
from syncer.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from syncer.config import Settings
    from syncer.store.db.read_only import Record
    from syncer.sync.recordings import Recordings

#: Opens a file in the program that the desktop has for it.
PLAYER = "xdg-open"


@click.group()
def voicemails() -> None:
    """List, play and save voicemails, with the callers' names."""


@voicemails.command("list", epilog=example("syncer voicemails list --since 7d --unknown"))
@account_option
@since_option("Received")
@click.option("--unknown", is_flag=True, help="Only callers without a contact.")
@search_option("caller's")
@limit_option
@list_options
@pass_app
def list_(
    app: App,
    account: str | None,
    since: str | None,
    unknown: bool,
    search: str | None,
    limit: int | None,
    form: str | None,
) -> None:
    """List voicemails, newest first, with the caller's name from any provider's contacts.

    `audio` is the state of the recording: kept, waiting, gone (never published), failed or expired.
    """
    from syncer.store.db import columns
    from syncer.store.read import contact_queries

    settings = app.settings()
    accounts = list(telecmi_accounts(settings, account))
    begin = since_stamp(app, since) if since is not None else None
    with app.query(settings) as conn:
        rows = contact_queries.list_voicemails(
            conn, accounts, since=begin, unknown=unknown, search=search, limit=limit
        )
    if form:
        emit_list(
            rows, (*columns.COLUMNS["telecmi_voicemails"], "caller_name", "caller_company", "audio"), form
        )
        return
    now = app.now()
    if not rows:
        say("No voicemail in the mirror matches.")
        return
    show_table(
        ("id", "received", "account", "from", "caller", "company", "audio", "file"),
        (
            (
                row["id"],
                when(row["received_at"], now) if row["received_at"] else "undated",
                row["account"],
                row["phone_e164"] or row["from_number"],
                row["caller_name"],
                row["caller_company"],
                row["audio"],
                row["voicename"],
            )
            for row in rows
        ),
    )
    say()
    say(f"{shown(rows, 'voicemail')}.")


@voicemails.command(epilog=example("syncer voicemails play 12"))
@number_argument
@pass_app
def play(app: App, number: int) -> None:
    """Play the recording of voicemail N (its row id). Without a desktop, print its path."""
    from syncer.sync.recordings import Recordings

    settings = app.settings()
    recordings = Recordings(settings.audio.path)
    [row] = _kept(app, settings, recordings, [number])
    file = recordings.file(row["path"])
    player = _player(app.environ)
    if player is None:
        say(str(file))
        return
    done = subprocess.run([player, str(file)], stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise UsageError(f"{PLAYER} could not play it (exit code {done.returncode}); the recording is {file}")


@voicemails.command(epilog=example("syncer voicemails save 12 13 --to /tmp"))
@numbers_argument
@click.option(
    "--to", "folder", metavar="DIR", type=FILE, help="The folder to copy into. The current one by default."
)
@pass_app
def save(app: App, numbers: tuple[int, ...], folder: Path | None) -> None:
    """Copy the recordings of voicemails, by row id, and print the paths. Never over an existing file."""
    from syncer.sync.recordings import Recordings

    settings = app.settings()
    recordings = Recordings(settings.audio.path)
    for row in _kept(app, settings, recordings, numbers):
        copy = (folder or Path()) / recordings.file(row["path"]).name
        with new_file(copy) as file:
            if not recordings.copy(row["path"], row["sha256"], file.fileno()):
                raise UsageError(
                    f"the recording of voicemail {row['id']} is damaged: `syncer sync telecmi-audio --full` "
                    "fetches it again"
                )
        say(str(copy))


def _kept(app: App, settings: Settings, recordings: Recordings, numbers: Iterable[int]) -> list[Record]:
    """The rows of the recordings of these voicemails, each once. UsageError unless all of the files are there."""
    from syncer.store.read import audio_queries

    out = []
    with app.query(settings) as conn:
        rows = {number: audio_queries.recording(conn, number) for number in numbers}
    for number, row in rows.items():
        if row is None:
            raise UsageError(f"there is no voicemail {number}: `syncer voicemails list` shows their ids")
        if row["state"] != "kept":
            raise UsageError(f"the recording of voicemail {number} is not here: {_why(row)}")
        if not recordings.is_whole(row["path"], row["bytes"]):
            raise UsageError(
                f"the recording of voicemail {number} is missing in {settings.audio.path}, or damaged: the next run of "
                "telecmi-audio fetches it again"
            )
        out.append(row)
    return out


def _why(row: Record) -> str:
    match row["state"]:
        case None:
            return "it was not looked for yet: `syncer sync telecmi-audio` does that, if the account has audio = { enabled = true }"
        case "waiting":
            why = f"({row['last_error']})" if row["last_error"] else "at the next run of telecmi-audio"
            return f"it is to be fetched {why}"
        case "expired":
            return "it was older than audio.keep, or there was no room for it in audio.max_size"
        case "gone":
            return "the vendor did not publish it within three days"
        case _:
            return f"it did not come whole within three days ({row['last_error']})"


def _player(environ: Mapping[str, str]) -> str | None:
    """The program that plays a file on this desktop, or None without a desktop."""
    on_a_desktop = environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY")
    return shutil.which(PLAYER, path=environ.get("PATH")) if on_a_desktop else None
