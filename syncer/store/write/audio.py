"""The rows of `voicemail_audio`: which recordings wait, are kept, and are given up.

When each of that happens is decided in `core/audio.py`; the files are left to `sync`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from syncer.core.audio import EVERY_HOUR, AudioState, Retry
from syncer.core.due import latest
from syncer.core.normalise import utc_text
from syncer.store.write import changelog

_TABLE = "voicemail_audio"

_NEW = (
    "SELECT v.id FROM telecmi_voicemails v WHERE v.account = ? "
    "AND NOT EXISTS (SELECT 1 FROM voicemail_audio a WHERE a.voicemail = v.id) ORDER BY v.id"
)

#: Undated voicemails count as left when they were first seen; one of which nobody knows that goes last.
_ROWS = (
    "SELECT v.id, v.voicename, v.received_at, COALESCE(v.received_at, v.first_seen_at, '9999-12-31T00:00:00.000Z') AS moment, "
    "a.state, a.path, a.bytes, a.sha256, a.attempts, a.first_tried_at "
    "FROM voicemail_audio a JOIN telecmi_voicemails v ON v.id = a.voicemail WHERE v.account = ? "
)


@dataclass(frozen=True, slots=True)
class AudioRow:
    """A recording, with what is known of its voicemail."""

    id: int  #: of the voicemail
    voicename: str
    received_at: str | None
    moment: str  #: the same, or when an undated one was first seen; sorts as time does
    state: AudioState
    path: str | None  #: of its file, which may be there unless it is `kept`
    bytes: int | None
    sha256: str | None
    attempts: int
    first_tried_at: str | None


def new_count(conn: Connection, account: str) -> int:
    """How many voicemails have no row yet."""
    return int(conn.exec_driver_sql(f"SELECT count(*) FROM ({_NEW})", (account,)).scalar_one())


def enlist(conn: Connection, account: str, at: str) -> int:
    """Let every voicemail without a row wait for its recording; how many those are."""
    ids = list(conn.exec_driver_sql(_NEW, (account,)).scalars())
    for row_id in ids:
        conn.exec_driver_sql(
            "INSERT INTO voicemail_audio (voicemail, state) VALUES (?, ?)", (row_id, AudioState.WAITING)
        )
        changelog.inserted(conn, _TABLE, row_id, at)
    return len(ids)


def load(conn: Connection, account: str) -> list[AudioRow]:
    """All recordings that wait or have a file, of the newest voicemails first."""
    where = "AND (a.state = 'waiting' OR a.path IS NOT NULL) ORDER BY moment DESC, v.id DESC"
    return _rows(conn, where, account)


def due(conn: Connection, account: str, now: datetime, *, everything: bool) -> list[AudioRow]:
    """Those to be fetched now, of the newest voicemails first; with `everything`, then those that wait for a retry.

    A time that lies further ahead than it can have been set counts as over.
    """
    is_due = "(a.next_attempt_at IS NULL OR a.next_attempt_at <= ? OR a.next_attempt_at > ?)"
    where = f"AND a.state = 'waiting' AND ({is_due} OR ?) ORDER BY {is_due} DESC, moment DESC, v.id DESC"
    times = (utc_text(now), latest(now, EVERY_HOUR))
    return _rows(conn, where, account, *times, int(everything), *times)


def _rows(conn: Connection, where: str, *values: object) -> list[AudioRow]:
    found = conn.exec_driver_sql(_ROWS + where, values)
    return [AudioRow(*(*row[:4], AudioState(row[4]), *row[5:])) for row in found]


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
    query = (
        "SELECT a.voicemail FROM voicemail_audio a JOIN telecmi_voicemails v ON v.id = a.voicemail "
        "WHERE v.account = ? AND a.state IN ('gone', 'failed')"
    )
    return list(conn.exec_driver_sql(query, (account,)).scalars())


def expire(conn: Connection, ids: Sequence[int]) -> None:
    """These go. The path stays until the file is removed, so that a kill in between leaves none behind."""
    for row_id in ids:
        conn.exec_driver_sql(
            "UPDATE voicemail_audio SET state = 'expired', next_attempt_at = NULL WHERE voicemail = ?",
            (row_id,),
        )


def removed(conn: Connection, ids: Sequence[int]) -> None:
    """The files of these are not there any more."""
    for row_id in ids:
        conn.exec_driver_sql(
            "UPDATE voicemail_audio SET path = NULL WHERE voicemail = ? AND state <> 'kept'", (row_id,)
        )
