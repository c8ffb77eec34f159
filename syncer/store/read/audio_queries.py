"""Queries for recordings of voicemails."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from syncer.store.db.columns import columns
from syncer.store.db.read_only import Reader, Record, first, placeholders, record, tuples

_OF_ACCOUNT = "FROM voicemail_audio a JOIN telecmi_voicemails v ON v.id = a.voicemail"


def next_due(conn: Reader, account: str, now: datetime) -> tuple[int, str | None]:
    """Whether there is a voicemail that no run has seen (0 or 1), and when the next failed recording is due."""
    del now
    newest = "SELECT id FROM telecmi_voicemails WHERE account = ? ORDER BY id DESC LIMIT 1"
    row = "(SELECT 1 FROM voicemail_audio a WHERE a.voicemail = v.id)"
    new = int(first(conn, f"SELECT count(*) FROM ({newest}) v WHERE NOT EXISTS {row}", account) or 0)
    found = first(
        conn,
        f"SELECT min(a.next_attempt_at) {_OF_ACCOUNT} WHERE a.state = 'waiting' AND v.account = ?",
        account,
    )
    return new, None if found is None else str(found)


def recording(conn: Reader, voicemail: int) -> Record | None:
    """A voicemail's recording. Its columns are None if there is no recording; None if there is no voicemail."""
    select = f"SELECT v.id, v.account, {columns('voicemail_audio', 'a')}"
    query = (
        f"{select} FROM telecmi_voicemails v LEFT JOIN voicemail_audio a ON a.voicemail = v.id WHERE v.id = ?"
    )
    return record(conn, query, voicemail)


@dataclass(frozen=True, slots=True)
class Kept:
    """A file that should exist."""

    path: str
    bytes: int


def kept(conn: Reader, accounts: list[str]) -> Iterator[Kept]:
    """The files of all kept recordings of these accounts."""
    query = f"SELECT a.path, a.bytes {_OF_ACCOUNT} WHERE a.state = 'kept' AND v.account IN ({placeholders(accounts)})"
    for path, size in tuples(conn, query, *accounts):
        yield Kept(str(path), int(size))


def totals(conn: Reader) -> dict[tuple[str, str], tuple[int, int]]:
    """(account, state) -> number of recordings, and bytes of the kept ones."""
    query = (
        "SELECT v.account, a.state, count(*), sum(CASE WHEN a.state = 'kept' THEN a.bytes ELSE 0 END) "
        f"{_OF_ACCOUNT} GROUP BY v.account, a.state"
    )
    return {(str(a), str(s)): (int(n), int(size or 0)) for a, s, n, size in tuples(conn, query)}
