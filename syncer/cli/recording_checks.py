"""Checks of `doctor` about recordings: their folder, its disk, and missing files."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from typing import TYPE_CHECKING

from syncer import files
from syncer.cli.findings import Finding
from syncer.cli.output import count
from syncer.errors import ConfigError, FolderError, StoreError
from syncer.sync.recordings import Recordings

if TYPE_CHECKING:
    from pathlib import Path

    from syncer.config import Settings
    from syncer.store.read.audio_queries import Kept

ABOUT = "audio"


def check_audio(settings: Settings) -> Iterator[Finding]:
    """Check the recordings, if an account keeps any."""
    keeping = [account for account in settings.telecmi if account.audio.enabled]
    if not keeping:
        return
    root = settings.audio.path
    yield (folder := _check_folder(root))
    if folder.level == "problem":
        return
    there = next(one for one in (root, *root.parents) if one.exists())
    kept, given_up = _rows(settings)
    yield _check_room(
        there, sum(account.audio.max_size for account in keeping), sum(one.bytes for one in kept)
    )
    if kept:
        yield _check_files(Recordings(root), kept)
    if given_up:
        text = f"{count(given_up, 'recording')} never came within three days of the first try"
        fix = (
            "`syncer sync telecmi-audio --full` asks for them again; `SELECT * FROM voicemail_audio` says why"
        )
        yield Finding("note", ABOUT, text, fix)


def _check_folder(root: Path) -> Finding:
    fix = "give it to the user that runs syncer (chown), or name another folder in audio.path"
    try:
        files.refuse_root(root, "audio.path")
        handle = files.open_folder(root)
    except ConfigError as error:
        return Finding("problem", ABOUT, error.problems[0])
    except FileNotFoundError:
        above = next(one for one in root.parents if one.exists())
        if above.is_dir() and os.access(above, os.W_OK | os.X_OK):
            return Finding("ok", ABOUT, f"the first run will create the folder {root}")
        return Finding("problem", ABOUT, f"there is no folder {root}, and it cannot be created", fix)
    except OSError as error:
        return Finding("problem", ABOUT, f"the folder {root} cannot be used: {error.strerror}", fix)
    mode = stat.S_IMODE(os.fstat(handle).st_mode)
    os.close(handle)
    if not os.access(root, os.W_OK | os.X_OK):
        return Finding("problem", ABOUT, f"the folder {root} cannot be written by this user", fix)
    if mode & 0o077:
        text = f"the folder {root} can be entered by others (mode {mode:o}): it holds what people said"
        return Finding("warning", ABOUT, text, f"chmod 700 {root}")
    return Finding("ok", ABOUT, f"the folder {root} can be written")


def _rows(settings: Settings) -> tuple[list[Kept], int]:
    """The recordings that should be there, and how many were given up."""
    from syncer.store.db.read_only import ReadOnlyDatabase
    from syncer.store.db.revision import is_current
    from syncer.store.read import audio_queries

    accounts = [account.name for account in settings.telecmi if account.audio.enabled]
    try:
        with ReadOnlyDatabase(settings.database.path) as db:
            if not is_current(db):
                return [], 0
            with db.read() as conn:
                totals = audio_queries.totals(conn)
                kept = list(audio_queries.kept(conn, accounts))
    except StoreError:
        return [], 0  # the checks of the database report what is wrong with it
    return kept, sum(
        totals.get((name, state), (0, 0))[0] for name in accounts for state in ("gone", "failed")
    )


def _check_room(place: Path, most: int, kept: int) -> Finding:
    free = shutil.disk_usage(place).free
    text = f"{_size(kept)} of recordings are kept, of {_size(most)} at most (max_size); {_size(free)} are free on the disk of {place}"
    if free < most - kept:
        fix = "free some space, or lower max_size: at a full disk nothing more is fetched"
        return Finding("warning", ABOUT, text, fix)
    return Finding("ok", ABOUT, text)


def _size(size: int) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 10**9 else f"{size / 1e6:,.1f} MB"


def _check_files(recordings: Recordings, kept: list[Kept]) -> Finding:
    try:
        lost = sum(not recordings.is_whole(one.path, one.bytes) for one in kept)
    except FolderError as error:
        return Finding("problem", ABOUT, str(error))
    if lost:
        text = f"{lost:,} of {count(len(kept), 'recording')} are missing or damaged"
        return Finding(
            "warning", ABOUT, text, "the next run fetches them again, as long as the vendor has them"
        )
    return Finding("ok", ABOUT, f"the files of {count(len(kept), 'recording')} are there")
