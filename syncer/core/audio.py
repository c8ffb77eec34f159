"""Decisions about recordings of voicemails: their type, their file name, retries, and which ones expire.

`sync` fetches them and handles the files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from syncer.core.due import lies_ahead
from syncer.core.normalise import utc_text


class AudioState(StrEnum):
    """The state of a recording."""

    WAITING = "waiting"  #: to be fetched, perhaps again
    KEPT = "kept"  #: its file is in the folder
    GONE = "gone"  #: never published within `GIVE_UP_AFTER`
    FAILED = "failed"  #: never came as a recording within `GIVE_UP_AFTER`
    EXPIRED = "expired"  #: removed, or not fetched, because of its age or for lack of room


# -- what came ---------------------------------------------------------------------------------------

#: How many bytes are needed to recognize a recording.
HEAD: Final = 16

#: (offset, bytes, type). TeleCMI documents only MP3 and WAV; others cost nothing.
_SIGNS: Final = (
    (0, b"ID3", "audio/mpeg"),
    (0, b"OggS", "audio/ogg"),
    (0, b"fLaC", "audio/flac"),
    (0, b"#!AMR", "audio/amr"),
    (0, b".snd", "audio/basic"),
    (4, b"ftyp", "audio/mp4"),
    (0, b"\x1aE\xdf\xa3", "audio/webm"),
)
_EXTENSIONS: Final = {
    "audio/mpeg": ".mp3",
    "audio/wav": ".wav",
    "audio/aac": ".aac",
    "audio/ogg": ".ogg",
    "audio/flac": ".flac",
    "audio/amr": ".amr",
    "audio/basic": ".au",
    "audio/mp4": ".m4a",
    "audio/webm": ".webm",
}

#: A WAV file that claims to be larger than this was written without knowing its length.
_UNKNOWN_LENGTH: Final = 2**31 - 2**16


def media_type(head: bytes) -> str | None:
    """The type of a recording by its first bytes; None if it is not one."""
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return "audio/wav"
    for at, sign, found in _SIGNS:
        if head[at : at + len(sign)] == sign:
            return found
    if len(head) > 2 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:  # the sync word of MPEG audio
        if head[1] & 0xF6 == 0xF0:
            return "audio/aac"
        # Only layers II and III: text in UTF-16 may begin with the bits of layer I.
        unusual = head[1] & 0x18 == 0x08 or head[1] & 0x06 in (0, 6) or head[2] & 0xF0 == 0xF0
        return None if unusual else "audio/mpeg"
    return None


def is_cut(head: bytes, size: int) -> bool:
    """Whether the header of a recording of `size` bytes claims more. Only that of WAV can."""
    if media_type(head) != "audio/wav":
        return False
    claimed = int.from_bytes(head[4:8], "little") + 8
    return size < claimed <= _UNKNOWN_LENGTH


# -- its path -----------------------------------------------------------------------------------------

_MOST_OF_A_NAME: Final = 80
_OURS: Final = re.compile(r"[A-Za-z0-9][\w.-]*/(?:\d{4}-\d{2}|undated)/[A-Za-z0-9_-][\w.-]*", re.ASCII)


def folder_of(account: str, received_at: str | None) -> str:
    """The folder of a recording below the audio folder: `main/2026-11`."""
    month = (received_at or "")[:7]
    return f"{account}/{month if re.fullmatch(r'[0-9]{4}-[0-9]{2}', month) else 'undated'}"


def path_of(folder: str, row_id: int, voicename: str, media: str) -> str:
    """The path of a recording below the audio folder.

    Only letters, digits, `_` and `-` of the vendor's name are kept, so the path cannot leave the folder. The row id
    makes it unique, and the extension is that of the actual type, which players and desktops go by.
    """
    stem = re.sub(r"\.[A-Za-z0-9]{1,5}$", "", voicename)
    safe = re.sub(r"[^A-Za-z0-9_-]+", "_", stem).strip("_")[:_MOST_OF_A_NAME]
    return f"{folder}/{safe or 'recording'}-{row_id}{_EXTENSIONS[media]}"


def is_ours(path: str) -> bool:
    """Whether a stored path has the form of `path_of`, and so cannot leave the folder."""
    return _OURS.fullmatch(path) is not None


# -- when it is tried again --------------------------------------------------------------------------

#: Waits after the first three tries; then `EVERY_HOUR`.
_SOON: Final = (timedelta(seconds=30), timedelta(minutes=1), timedelta(minutes=5))
EVERY_HOUR: Final = timedelta(hours=1)
#: Counted from the first try.
GIVE_UP_AFTER: Final = timedelta(days=3)


@dataclass(frozen=True, slots=True)
class Retry:
    """What follows a try that brought no recording."""

    state: AudioState
    first_tried_at: str
    next_attempt_at: str | None  #: None: never


def after_try(attempts: int, first_tried_at: str | None, now: datetime, *, published: bool) -> Retry:
    """Decide after try number `attempts` (from 1). `published`: there was an answer, but not a recording."""
    first = now if first_tried_at is None else datetime.fromisoformat(first_tried_at)
    if lies_ahead(first, now):
        first = now  # the clock was wrong then, so the days begin now
    if now - first >= GIVE_UP_AFTER:
        return Retry(AudioState.FAILED if published else AudioState.GONE, utc_text(first), None)
    wait = _SOON[attempts - 1] if attempts <= len(_SOON) else EVERY_HOUR
    return Retry(AudioState.WAITING, utc_text(first), utc_text(now + wait))


# -- which go ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording that is kept, or waits to be fetched."""

    id: int
    received_at: str  #: when the voicemail came in
    bytes: int  #: of its file; 0 without one


def all_stay(oldest: str | None, kept: int, now: datetime | None, keep: timedelta, most: int) -> bool:
    """Whether `expired` would find none, from the oldest voicemail and the bytes of all. Faster than checking each."""
    too_old = oldest is not None and now is not None and now - datetime.fromisoformat(oldest) >= keep
    return kept < most and not too_old


@dataclass(frozen=True, slots=True)
class Expiry:
    """Which recordings are removed, and how large the others are."""

    gone: list[int]
    kept: int  #: bytes


def expired(newest_first: Iterable[Recording], now: datetime | None, keep: timedelta, most: int) -> Expiry:
    """Which recordings are removed: older than `keep` at `now`, or beyond the newest that fit into `most` bytes.

    Everything older than the first that does not fit is removed as well, so that none is fetched only to be removed.
    `now` is None while no answer of the vendor has confirmed our clock: then none is removed for its age.
    """
    gone: list[int] = []
    kept = 0
    full = False
    for one in newest_first:
        full = full or kept >= most or kept + one.bytes > most
        if full or (now is not None and now - datetime.fromisoformat(one.received_at) >= keep):
            gone.append(one.id)
        else:
            kept += one.bytes
    return Expiry(gone, kept)
