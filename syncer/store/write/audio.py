"""The statements of `voicemail_audio`: the state of each recording, and where its file is.

`core/audio.py` decides, and `sync` writes the files. There may be a hundred thousand rows, so no function loads all
of them at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from syncer.core.audio import EVERY_HOUR, AudioState, Recording, Retry
from syncer.core.due import latest
from syncer.core.normalise import utc_text
from syncer.store.db import statements
from syncer.store.db.read_only import raw, tuples
from syncer.store.db.tables import voicemail_audio
from syncer.store.write import changelog

#: The most rows in one transaction, and the most files in one list.
BLOCK = 500

#: When a voicemail was received. If that is unknown, when it was first seen; without that it sorts last.
_MOMENT = "COALESCE(v.received_at, v.first_seen_at, '9999-12-31T00:00:00.000Z')"
_OF_ACCOUNT = "FROM voicemail_audio a JOIN telecmi_voicemails v ON v.id = a.voicemail WHERE v.account = ?"


@dataclass(frozen=True, slots=True)
class AudioRow:
    """A recording and its voicemail."""

    id: int  #: of the voicemail
    voicename: str
    received_at: str | None
    state: AudioState
    sha256: str | None  #: of its file, or of the last response
    attempts: int
    first_tried_at: str | None


@dataclass(frozen=True, slots=True)
class AudioFile:
    """A file that exists, or may exist."""

    id: int
    state: AudioState
    path: str
    bytes: int
    sha256: str


def enlist(conn: Connection, account: str, at: str, after: int = 0) -> int | None:
    """Add rows for the next voicemails that have none. Returns the last of these voicemails, or None."""
    query = (
        "SELECT v.id FROM telecmi_voicemails v WHERE v.account = ? AND v.id > ? "
        "AND NOT EXISTS (SELECT 1 FROM voicemail_audio a WHERE a.voicemail = v.id) ORDER BY v.id LIMIT ?"
    )
    ids = list(conn.exec_driver_sql(query, (account, after, BLOCK)).scalars())
    rows = [(row_id, AudioState.WAITING) for row_id in ids]
    statements.insert_rows(conn, voicemail_audio, ("voicemail", "state"), rows)
    for row_id in ids:
        changelog.inserted(conn, voicemail_audio.name, row_id, at)
    return ids[-1] if ids else None


def any_new(conn: Connection, account: str) -> bool:
    """Whether a voicemail has no row yet."""
    query = (
        "SELECT 1 FROM telecmi_voicemails v WHERE v.account = ? "
        "AND NOT EXISTS (SELECT 1 FROM voicemail_audio a WHERE a.voicemail = v.id) LIMIT 1"
    )
    return conn.exec_driver_sql(query, (account,)).first() is not None


def due(conn: Connection, account: str, now: datetime, *, everything: bool) -> list[int]:
    """The recordings to fetch now, newest first. With `everything`, those that wait for a retry follow.

    A time that is further ahead than any retry comes from a wrong clock and is ignored.
    """
    is_due = "(a.next_attempt_at IS NULL OR a.next_attempt_at <= ? OR a.next_attempt_at > ?)"
    query = (
        f"SELECT v.id {_OF_ACCOUNT} AND a.state = 'waiting' AND ({is_due} OR ?) "
        f"ORDER BY {is_due} DESC, {_MOMENT} DESC, v.id DESC"
    )
    times = (utc_text(now), latest(now, EVERY_HOUR))
    return list(conn.exec_driver_sql(query, (account, *times, int(everything), *times)).scalars())


def waiting(conn: Connection, row_id: int) -> AudioRow | None:
    """A recording, or None if it no longer waits."""
    row = conn.exec_driver_sql(
        "SELECT v.id, v.voicename, v.received_at, a.state, a.sha256, a.attempts, a.first_tried_at "
        "FROM voicemail_audio a JOIN telecmi_voicemails v ON v.id = a.voicemail "
        "WHERE v.id = ? AND a.state = 'waiting'",
        (row_id,),
    ).first()
    return None if row is None else AudioRow(*(*row[:3], AudioState(row[3]), *row[4:]))


def files(conn: Connection, account: str, after: int = 0) -> list[AudioFile]:
    """The next recordings that name a file, by id."""
    query = (  # CROSS JOIN makes SQLite continue at `after` instead of reading all rows of the account
        f"SELECT {_FILE} FROM voicemail_audio a CROSS JOIN telecmi_voicemails v ON v.id = a.voicemail "
        "WHERE v.account = ? AND a.path IS NOT NULL AND a.voicemail > ? ORDER BY a.voicemail LIMIT ?"
    )
    return _as_files(conn, query, account, after, BLOCK)


_FILE = "v.id, a.state, a.path, a.bytes, a.sha256"


def _as_files(conn: Connection, query: str, *values: object) -> list[AudioFile]:
    return [AudioFile(row[0], AudioState(row[1]), *row[2:]) for row in tuples(conn, query, *values)]


def extent(conn: Connection, account: str) -> tuple[str | None, int]:
    """When the oldest voicemail was received whose recording is kept or waits, and the bytes of kept recordings."""
    size = "sum(CASE WHEN a.state = 'kept' THEN a.bytes ELSE 0 END)"
    query = f"SELECT min({_MOMENT}), {size} {_OF_ACCOUNT} AND a.state IN ('kept', 'waiting')"
    oldest, kept = conn.exec_driver_sql(query, (account,)).one()
    return oldest, int(kept or 0)


def recordings(conn: Connection, account: str) -> Iterator[Recording]:
    """All recordings that are kept or wait, newest first."""
    size = "CASE WHEN a.state = 'kept' THEN a.bytes ELSE 0 END"
    query = f"SELECT v.id, {_MOMENT}, {size} {_OF_ACCOUNT} AND a.state IN ('kept', 'waiting') ORDER BY 2 DESC, 1 DESC"
    for row in conn.exec_driver_sql(query, (account,)):
        yield Recording(*row)


def intend(conn: Connection, row_id: int, path: str, size: int, sha256: str, media: str) -> bool:
    """Record which file is about to be written. False if the voicemail no longer exists."""
    done = conn.exec_driver_sql(
        "UPDATE voicemail_audio SET path = ?, bytes = ?, sha256 = ?, media_type = ? WHERE voicemail = ?",
        (path, size, sha256, media, row_id),
    )
    return done.rowcount == 1


def keep(conn: Connection, row_id: int, at: str) -> bool:
    """Record that the intended file was written. False if the voicemail no longer exists."""
    done = conn.exec_driver_sql(
        "UPDATE voicemail_audio SET state = 'kept', fetched_at = ?, attempts = attempts + 1, next_attempt_at = NULL, "
        "last_error = NULL WHERE voicemail = ?",
        (at, row_id),
    )
    return done.rowcount == 1


def tried(conn: Connection, row_id: int, retry: Retry, error: str) -> None:
    """Record an attempt that brought no recording."""
    conn.exec_driver_sql(
        "UPDATE voicemail_audio SET state = ?, attempts = attempts + 1, first_tried_at = ?, next_attempt_at = ?, "
        "last_error = ? WHERE voicemail = ?",
        (retry.state, retry.first_tried_at, retry.next_attempt_at, error, row_id),
    )


def wait_again(conn: Connection, ids: Sequence[int], why: str) -> None:
    """Start fetching recordings again, as if they had never been tried."""
    raw(conn).executemany(
        "UPDATE voicemail_audio SET state = 'waiting', fetched_at = NULL, attempts = 0, first_tried_at = NULL, "
        "next_attempt_at = NULL, last_error = ? WHERE voicemail = ?",
        [(why, row_id) for row_id in ids],
    )


def given_up(conn: Connection, account: str) -> list[int]:
    """Recordings that were never fetched and are no longer tried."""
    query = f"SELECT a.voicemail {_OF_ACCOUNT} AND a.state IN ('gone', 'failed')"
    return list(conn.exec_driver_sql(query, (account,)).scalars())


def expire(conn: Connection, ids: Sequence[int]) -> None:
    """Mark recordings as expired. The path stays until the file is removed, so that a kill in between leaves no file."""
    raw(conn).executemany(
        "UPDATE voicemail_audio SET state = 'expired', next_attempt_at = NULL WHERE voicemail = ?",
        [(row_id,) for row_id in ids],
    )


def left_over(conn: Connection, account: str) -> list[AudioFile]:
    """Some of the files of expired recordings."""
    query = f"SELECT {_FILE} {_OF_ACCOUNT} AND a.path IS NOT NULL AND a.state = 'expired' LIMIT ?"
    return _as_files(conn, query, account, BLOCK)


def removed(conn: Connection, ids: Sequence[int]) -> None:
    """Record that the files of recordings were removed."""
    raw(conn).executemany(
        "UPDATE voicemail_audio SET path = NULL WHERE voicemail = ? AND state <> 'kept'",
        [(row_id,) for row_id in ids],
    )
