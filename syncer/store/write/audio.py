"""The rows of `voicemail_audio`: which recordings wait, are kept, and are given up.

When each of that happens is decided in `core/audio.py`; the files are left to `sync`. There may be a hundred thousand
rows, so none of these reads them all at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from syncer.core.audio import EVERY_HOUR, AudioState, Recording, Retry
from syncer.core.due import latest
from syncer.core.normalise import utc_text
from syncer.store.write import changelog

_TABLE = "voicemail_audio"

#: Rows that one transaction writes, and one list of files has.
BLOCK = 500

#: Undated voicemails count as left when they were first seen; one without that date goes last.
_MOMENT = "COALESCE(v.received_at, v.first_seen_at, '9999-12-31T00:00:00.000Z')"
_OF_ACCOUNT = "FROM voicemail_audio a JOIN telecmi_voicemails v ON v.id = a.voicemail WHERE v.account = ?"


@dataclass(frozen=True, slots=True)
class AudioRow:
    """A recording, with what is known of its voicemail."""

    id: int  #: of the voicemail
    voicename: str
    received_at: str | None
    state: AudioState
    sha256: str | None  #: of its file, or of what came last
    attempts: int
    first_tried_at: str | None


@dataclass(frozen=True, slots=True)
class AudioFile:
    """A file that is there, or may be."""

    id: int
    state: AudioState
    path: str
    bytes: int
    sha256: str


def enlist(conn: Connection, account: str, at: str, after: int = 0) -> int | None:
    """Let the next voicemails without a row wait for their recordings; the last of them, None where there are none."""
    query = (
        "SELECT v.id FROM telecmi_voicemails v WHERE v.account = ? AND v.id > ? "
        "AND NOT EXISTS (SELECT 1 FROM voicemail_audio a WHERE a.voicemail = v.id) ORDER BY v.id LIMIT ?"
    )
    ids = list(conn.exec_driver_sql(query, (account, after, BLOCK)).scalars())
    for row_id in ids:
        conn.exec_driver_sql(
            "INSERT INTO voicemail_audio (voicemail, state) VALUES (?, ?)", (row_id, AudioState.WAITING)
        )
        changelog.inserted(conn, _TABLE, row_id, at)
    return ids[-1] if ids else None


def any_new(conn: Connection, account: str) -> bool:
    """Whether a voicemail has no row yet."""
    query = (
        "SELECT 1 FROM telecmi_voicemails v WHERE v.account = ? "
        "AND NOT EXISTS (SELECT 1 FROM voicemail_audio a WHERE a.voicemail = v.id) LIMIT 1"
    )
    return conn.exec_driver_sql(query, (account,)).first() is not None


def due(conn: Connection, account: str, now: datetime, *, everything: bool) -> list[int]:
    """Those to be fetched now, of the newest voicemails first; with `everything`, then those that wait for a retry.

    A time that lies further ahead than it can have been set counts as over.
    """
    is_due = "(a.next_attempt_at IS NULL OR a.next_attempt_at <= ? OR a.next_attempt_at > ?)"
    query = (
        f"SELECT v.id {_OF_ACCOUNT} AND a.state = 'waiting' AND ({is_due} OR ?) "
        f"ORDER BY {is_due} DESC, {_MOMENT} DESC, v.id DESC"
    )
    times = (utc_text(now), latest(now, EVERY_HOUR))
    return list(conn.exec_driver_sql(query, (account, *times, int(everything), *times)).scalars())


def waiting(conn: Connection, row_id: int) -> AudioRow | None:
    """One that waits; None where it does not any more."""
    row = conn.exec_driver_sql(
        "SELECT v.id, v.voicename, v.received_at, a.state, a.sha256, a.attempts, a.first_tried_at "
        "FROM voicemail_audio a JOIN telecmi_voicemails v ON v.id = a.voicemail "
        "WHERE v.id = ? AND a.state = 'waiting'",
        (row_id,),
    ).first()
    return None if row is None else AudioRow(*(*row[:3], AudioState(row[3]), *row[4:]))


def files(conn: Connection, account: str, after: int = 0) -> list[AudioFile]:
    """The next recordings that name a file, by id."""
    query = (  # CROSS: in the order of the rows, without a look at those before
        "SELECT v.id, a.state, a.path, a.bytes, a.sha256 FROM voicemail_audio a CROSS JOIN telecmi_voicemails v "
        "ON v.id = a.voicemail WHERE v.account = ? AND a.path IS NOT NULL AND a.voicemail > ? "
        "ORDER BY a.voicemail LIMIT ?"
    )
    found = conn.exec_driver_sql(query, (account, after, BLOCK))
    return [AudioFile(row[0], AudioState(row[1]), *row[2:]) for row in found]


def extent(conn: Connection, account: str) -> tuple[str | None, int]:
    """The oldest voicemail whose recording is kept or waits, and the bytes of those that are kept."""
    size = "sum(CASE WHEN a.state = 'kept' THEN a.bytes ELSE 0 END)"
    query = f"SELECT min({_MOMENT}), {size} {_OF_ACCOUNT} AND a.state IN ('kept', 'waiting')"
    oldest, kept = conn.exec_driver_sql(query, (account,)).one()
    return oldest, int(kept or 0)


def recordings(conn: Connection, account: str) -> Iterator[Recording]:
    """All that are kept or wait, of the newest voicemails first."""
    size = "CASE WHEN a.state = 'kept' THEN a.bytes ELSE 0 END"
    query = f"SELECT v.id, {_MOMENT}, {size} {_OF_ACCOUNT} AND a.state IN ('kept', 'waiting') ORDER BY 2 DESC, 1 DESC"
    for row in conn.exec_driver_sql(query, (account,)):
        yield Recording(*row)


def intend(conn: Connection, row_id: int, path: str, size: int, sha256: str, media: str) -> bool:
    """Note which file is about to be there; False where the voicemail is not there any more."""
    done = conn.exec_driver_sql(
        "UPDATE voicemail_audio SET path = ?, bytes = ?, sha256 = ?, media_type = ? WHERE voicemail = ?",
        (path, size, sha256, media, row_id),
    )
    return done.rowcount == 1


def keep(conn: Connection, row_id: int, at: str) -> bool:
    """The file is there as intended; False where the voicemail is not there any more."""
    done = conn.exec_driver_sql(
        "UPDATE voicemail_audio SET state = 'kept', fetched_at = ?, attempts = attempts + 1, next_attempt_at = NULL, "
        "last_error = NULL WHERE voicemail = ?",
        (at, row_id),
    )
    return done.rowcount == 1


def tried(conn: Connection, row_id: int, retry: Retry, error: str) -> None:
    """A try brought no recording."""
    conn.exec_driver_sql(
        "UPDATE voicemail_audio SET state = ?, attempts = attempts + 1, first_tried_at = ?, next_attempt_at = ?, "
        "last_error = ? WHERE voicemail = ?",
        (retry.state, retry.first_tried_at, retry.next_attempt_at, error, row_id),
    )


def wait_again(conn: Connection, ids: Sequence[int], why: str) -> None:
    """Fetch these again from the beginning."""
    for row_id in ids:
        conn.exec_driver_sql(
            "UPDATE voicemail_audio SET state = 'waiting', fetched_at = NULL, attempts = 0, first_tried_at = NULL, "
            "next_attempt_at = NULL, last_error = ? WHERE voicemail = ?",
            (why, row_id),
        )


def given_up(conn: Connection, account: str) -> list[int]:
    """Those that are not tried any more, though never fetched."""
    query = f"SELECT a.voicemail {_OF_ACCOUNT} AND a.state IN ('gone', 'failed')"
    return list(conn.exec_driver_sql(query, (account,)).scalars())


def expire(conn: Connection, ids: Sequence[int]) -> None:
    """These go. The path stays until the file is removed, so that a kill in between leaves none behind."""
    for row_id in ids:
        conn.exec_driver_sql(
            "UPDATE voicemail_audio SET state = 'expired', next_attempt_at = NULL WHERE voicemail = ?",
            (row_id,),
        )


def left_over(conn: Connection, account: str) -> list[AudioFile]:
    """Some of the files of recordings that are not kept any more."""
    query = (
        f"SELECT v.id, a.state, a.path, a.bytes, a.sha256 {_OF_ACCOUNT} AND a.path IS NOT NULL "
        "AND a.state = 'expired' LIMIT ?"
    )
    found = conn.exec_driver_sql(query, (account, BLOCK))
    return [AudioFile(row[0], AudioState(row[1]), *row[2:]) for row in found]


def removed(conn: Connection, ids: Sequence[int]) -> None:
    """The files of these are not there any more."""
    for row_id in ids:
        conn.exec_driver_sql(
            "UPDATE voicemail_audio SET path = NULL WHERE voicemail = ? AND state <> 'kept'", (row_id,)
        )
