"""The statements of `received_at`: the evidence about an account's clocks, and the rows that depend on it.

`core/received.py` decides which timestamp is right.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

from syncer.core.normalise import plausible_ms, stamp_ms, utc_text
from syncer.core.received import Evidence, Stamps, StampSource, read_stamps, read_time, received_ms
from syncer.store.db.read_only import Reader, first, raw, tuples

#: Rows per block.
BLOCK = 1000

#: Later than any timestamp.
_FOREVER = 2**62


@dataclass(slots=True)
class ClockState:
    """The evidence about one account's clocks."""

    evidence: Evidence = field(default_factory=Evidence)
    verified_ms: int | None = None  #: when the newest windows were last read completely, by our clock
    newest_row: int = 0  #: rows up to this one were considered
    follows: bool = False  #: whether `received_at` of all rows follows the evidence


def clocks(conn: Reader) -> dict[str, str]:
    """The clock that is right, by account: `time`, `voicename` or `unknown`."""
    return dict(tuples(conn, "SELECT account, clock FROM voicemail_clocks"))


def load(conn: Reader, account: str) -> ClockState:
    """The stored evidence; empty before the first pull."""
    query = "SELECT clock, contrary, verified_ms, newest_row, follows FROM voicemail_clocks WHERE account = ?"
    for clock, contrary, verified_ms, newest_row, follows in tuples(conn, query, account):
        return ClockState(Evidence(StampSource(clock), contrary), verified_ms, newest_row, bool(follows))
    return ClockState()


def save(conn: Reader, account: str, known: ClockState) -> None:
    """Store the evidence."""
    columns = "clock, contrary, verified_ms, newest_row, follows"
    statement = (
        f"INSERT INTO voicemail_clocks (account, {columns}) VALUES (?, ?, ?, ?, ?, ?) "
        f"ON CONFLICT (account) DO UPDATE SET ({columns}) = "
        "(excluded.clock, excluded.contrary, excluded.verified_ms, excluded.newest_row, excluded.follows)"
    )
    clock, contrary = known.evidence
    values = (account, clock.value, contrary, known.verified_ms, known.newest_row, int(known.follows))
    raw(conn).execute(statement, values)


def newer(conn: Reader, account: str, after: int, ahead_of: int | None) -> tuple[int, list[Stamps]]:
    """The newest row of an account, and the timestamps of rows after row `after`, oldest first.

    With `ahead_of`, only those whose `time` is later.
    """
    query = "SELECT COALESCE(max(id), 0) FROM telecmi_voicemails WHERE account = ?"
    newest = first(conn, query, account)
    query = (
        "SELECT time, voicename FROM telecmi_voicemails "
        "WHERE account = ? AND id > ? AND (? IS NULL OR time > ?) ORDER BY id"
    )
    rows = tuples(conn, query, account, after, ahead_of, ahead_of)
    return int(newest), [read_stamps(time, voicename) for time, voicename in rows]


#: The new values of a row: `time`, `received_at`, and its `id`.
Correction: TypeAlias = tuple[int | None, str | None, int]


def corrections(
    conn: Reader, account: str, clock: StampSource, after: int, changed_since: str
) -> tuple[int | None, list[Correction]]:
    """The rows in the block after row `after` whose `received_at` does not follow `clock` yet.

    Also returns the last row of the block, or None if no rows follow it.
    """
    query = (
        "SELECT id, time, voicename, received_at, first_seen_at, raw FROM telecmi_voicemails "
        "WHERE account = ? AND id > ? AND last_changed_at >= ? ORDER BY id LIMIT ?"
    )
    rows = tuples(conn, query, account, after, changed_since, BLOCK)
    out: list[Correction] = []
    for row_id, stored, voicename, before, first_seen_at, json_ in rows:
        # An older version stored seconds unchanged, and no text.
        time = stored if plausible_ms(stored) else _time_of(json_)
        seen = stamp_ms(first_seen_at)
        milliseconds = received_ms(read_stamps(time, voicename), clock, _FOREVER if seen is None else seen)
        received_at = None if milliseconds is None else utc_text(milliseconds)
        if received_at != before or (time is not None and time != stored):
            out.append((time, received_at, row_id))
    return (rows[-1][0] if len(rows) == BLOCK else None), out


def _time_of(json_: str | None) -> int | None:
    row = json.loads(json_) if json_ else None
    return read_time(row.get("time")) if isinstance(row, dict) else None


def correct(conn: Reader, rows: Iterable[Correction]) -> None:
    """Write the new values, without log entries: nothing changed upstream."""
    statement = "UPDATE telecmi_voicemails SET time = COALESCE(?, time), received_at = ? WHERE id = ?"
    raw(conn).executemany(statement, rows)
