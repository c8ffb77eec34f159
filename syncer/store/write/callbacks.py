"""The statements of `callback_marks`: what people say about numbers that wait for a call back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from syncer.errors import UsageError
from syncer.store.db.read_only import Reader, Record, raw, record, records

if TYPE_CHECKING:
    from sqlalchemy import Connection

_TYPED = "SELECT id, phone_e164 FROM callback_marks WHERE phone_e164 NOT GLOB '+[1-9]*' OR phone_e164 GLOB '+*[^0-9]*'"


def unread_marks(conn: Reader, regions: Sequence[str]) -> dict[int, str]:
    """Marks whose number is not yet in E.164, with that form, by row id. Unreadable numbers are left out."""
    if not (typed := records(conn, _TYPED)):
        return {}
    from syncer.core.normalise import typed_e164  # imported late: rarely needed and slow

    numbers = {row["id"]: typed_e164(row["phone_e164"], regions) for row in typed}
    return {row_id: number for row_id, number in numbers.items() if number is not None}


def read_marks(conn: Connection, numbers: Mapping[int, str]) -> None:
    """Convert numbers that people typed to E.164."""
    for row_id, number in numbers.items():
        raw(conn).execute("UPDATE callback_marks SET phone_e164 = ? WHERE id = ?", (number, row_id))


def _load(conn: Reader, number: str) -> Record:
    found = record(conn, "SELECT state, closed_by, note FROM callbacks WHERE phone_e164 = ?", number)
    if found is None:
        raise UsageError(
            f"nobody waits at {number}: there is no missed call and no voicemail from this number"
        )
    return found


def done(conn: Connection, number: str, *, note: str | None, by: str, at: str) -> bool:
    """Close a number. False if a person has already closed it. Raises UsageError for a number that never waited."""
    known = _load(conn, number)
    closed = known["state"] == "done" and known["closed_by"] == "person"
    if closed and note in (None, known["note"]):
        return False
    _mark(conn, number, note=note, by=by, at=at, reopens=0)
    return True


def reopen(conn: Connection, number: str, *, by: str, at: str) -> None:
    """Undo a person's closing. Raises UsageError for a number that is open, or that a call has closed."""
    known = _load(conn, number)
    if known["state"] == "open":
        raise UsageError(f"{number} is open already")
    if known["closed_by"] == "call":
        raise UsageError(f"{number} was closed by an answered call, which nobody can take back")
    _mark(conn, number, note=None, by=by, at=at, reopens=1)


def _mark(conn: Connection, number: str, *, note: str | None, by: str, at: str, reopens: int) -> None:
    raw(conn).execute(
        'INSERT INTO callback_marks (phone_e164, note, "by", marked_at, reopens) VALUES (?, ?, ?, ?, ?)',
        (number, note, by, at, reopens),
    )
