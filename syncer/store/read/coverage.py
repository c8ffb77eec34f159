"""What each job's listings prove, and what was noticed about the vendors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from syncer.core.normalise import utc_text
from syncer.core.received import StampSource
from syncer.core.windows import Verified, believed, gaps, union
from syncer.store.db.read_only import Reader, first, records, tuples
from syncer.store.write import received

#: Which of a voicemail's two timestamps is used.
_CLOCKS = {
    StampSource.UNKNOWN: "which of them is right is not proven yet, and received_at is taken from time",
    StampSource.TIME: "time was proven right, and received_at is taken from it",
    StampSource.VOICENAME: "the file names were proven right, and received_at is taken from them",
}

#: Shorter gaps are not counted: the newest minute is always missing.
_FRESH_MS = 60_000


@dataclass(frozen=True, slots=True)
class Facts:
    """The coverage of one job of one account."""

    listing: dict[str, Any] | None = None  #: the certificate of the last run's listing
    notes: list[str] = field(default_factory=list)  #: sentences for people
    quiescence_violations: int = 0  #: runs that wrote although nothing had changed: a bug of ours
    complete: bool | None = None  #: whether the last full listing was complete; None: none yet
    set_aside: int = 0  #: rows that could not be parsed
    held: int = 0  #: rows and values that wait for a person
    unknown: int = 0  #: changes whose outcome is not known
    updated_after_honoured: bool | None = None  #: Smartflo's filter; None: not seen yet
    covered_from: str | None = None  #: lists in time windows: the span that was read completely
    covered_to: str | None = None
    gaps: list[tuple[str, str]] = field(default_factory=list)  #: likewise: spans never read, oldest first
    unread_s: int = 0  #: likewise: the total length of `gaps`, in seconds
    time_shift_minutes: int | None = None  #: voicemails: how far `time` is ahead of the file names


@dataclass(frozen=True, slots=True)
class Wanted:
    """The time span that a job should cover, and the lists that it reads in windows."""

    lists: tuple[str, ...]
    since_ms: int
    now_ms: int
    every_s: int  #: a run is at most three times this behind, unless something is wrong


def load(
    conn: Reader, wanted: Mapping[tuple[str, str], Wanted] | None = None
) -> dict[tuple[str, str], Facts]:
    """The coverage of each enabled job, by job and account. `wanted` has the same keys."""
    out = {}
    health = {(row["job"], row["account"]): row for row in records(conn, "SELECT * FROM sync_health")}
    clocks = received.clocks(conn)
    for job, account, noted in tuples(conn, "SELECT job, account, notes FROM sync_jobs"):
        known = health.get((job, account))
        if known is None:
            continue  # switched off
        notes: dict[str, Any] = json.loads(noted) if noted else {}
        listing = _listing(conn, job, account)
        sentences = _sentences(notes, listing)
        facts: dict[str, Any] = {
            "listing": listing,
            "quiescence_violations": int(notes.get("quiescence_violations", 0)),
            "complete": _yes_no(known["complete"]),
            "set_aside": known["set_aside"],
            "held": known["held"],
            "unknown": known["unknown"],
            "updated_after_honoured": _yes_no(known["updated_after_honoured"]),
            "time_shift_minutes": known["time_shift_minutes"],
        }
        if known["time_shift_minutes"]:
            sentences.append(
                f"the vendor's time runs {known['time_shift_minutes']} minutes ahead of the epoch in the file names; "
                + _CLOCKS[StampSource(clocks.get(account, StampSource.UNKNOWN))]
            )
        if (span := (wanted or {}).get((job, account))) is not None:
            facts |= _coverage(conn, account, span)
        out[job, account] = Facts(notes=sentences, **facts)
    return out


def load_windows(conn: Reader, account: str, name: str) -> list[Verified]:
    """The time spans of a list that were read completely."""
    query = (
        "SELECT start_ms, end_ms, verified_ms FROM windows WHERE account = ? AND list = ? ORDER BY start_ms"
    )
    return [Verified(*row) for row in tuples(conn, query, account, name)]


def _yes_no(value: int | None) -> bool | None:
    return None if value is None else bool(value)


def _listing(conn: Reader, job: str, account: str) -> dict[str, Any] | None:
    found = first(
        conn,
        "SELECT listing FROM sync_runs WHERE job = ? AND account = ? AND finished_at IS NOT NULL "
        "ORDER BY id DESC LIMIT 1",
        job,
        account,
    )
    return dict(json.loads(found)) if found else None


def _sentences(notes: dict[str, Any], listing: dict[str, Any] | None) -> list[str]:
    out = []
    if listing is not None and listing.get("verdict") == "drifted":
        out.append(
            f"the last listing is no proof by itself ({listing['reason']}): "
            "only what is confirmed by its own id may go"
        )
    for table, names in notes.get("volatile", {}).items():
        out.append(f"{', '.join(names)} of {table} changes on every read and is left out of the comparison")
    off = [known["value"] for known in notes.get("offset", {}).values() if known.get("times", 0) >= 2]
    out += [f"the vendor's count is off by {value} each time and is ignored" for value in off]
    if notes.get("filter") == "ignored":
        out.append("the vendor ignores updated_after: each incremental pull is a full listing")
    if notes.get("by_id_ignored"):
        out.append("the directory does not answer for one contact by its id: listings are read instead")
    if notes.get("widest_ms"):
        out.append(f"the vendor refuses, or cuts, windows wider than {notes['widest_ms'] // 60_000} minutes")
    if notes.get("password_days") is not None:
        out.append(f"the password of this login expires in {notes['password_days']} days")
    if notes.get("quiescence_violations"):
        count = notes["quiescence_violations"]
        out.append(f"{count} runs wrote although nothing had changed on either side: please report this")
    return out


def _coverage(conn: Reader, account: str, wanted: Wanted) -> dict[str, Any]:
    """The time span that was read completely in all lists of a job, and the gaps of any of them."""
    begins, ends, missing = list[int](), list[int](), list[tuple[int, int]]()
    for name in wanted.lists:
        verified = believed(load_windows(conn, account, name), wanted.now_ms)
        spans = union((one.start, one.end) for one in verified)
        if not spans:
            return {}
        first, last = spans[0][0], max(end for _, end in spans)
        late = wanted.now_ms - last > 3000 * wanted.every_s
        missing += gaps(min(first, wanted.since_ms), wanted.now_ms if late else last, verified)
        begins.append(first)
        ends.append(last)
    missing = [(start, end) for start, end in union(missing) if end - start > _FRESH_MS]
    return {
        "covered_from": utc_text(max(begins)),
        "covered_to": utc_text(min(ends)),
        "gaps": [(utc_text(start), utc_text(end)) for start, end in missing],
        "unread_s": sum(end - start for start, end in missing) // 1000,
    }
