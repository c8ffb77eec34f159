"""What is known of the vendors and of the mirror's own proof, in words: for `status` and `doctor`.

Computed when it is read, from the runs, the notes of the jobs, and the rows themselves.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, select, text

from syncer.core.normalise import utc_text
from syncer.core.windows import gaps, union
from syncer.store import runs
from syncer.store.tables import sync_jobs, sync_runs

#: Voicemails looked at for the vendor's time shift, and the step that a shift is rounded to.
_LATEST = 200
_STEP_MS = 900_000

#: The newest minute of voicemail time is never counted as a gap.
_FRESH_MS = 60_000


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one job of one account."""

    listing: dict[str, Any] | None = None  #: the certificate of the last run's listing
    notes: list[str] = field(default_factory=list)  #: sentences for a person
    quiescence_violations: int = 0  #: quiet cycles that wrote all the same: a bug of ours
    covered_from: str | None = None  #: voicemails: the span that was read whole
    covered_to: str | None = None
    gaps: list[tuple[str, str]] = field(default_factory=list)  #: voicemails: spans in it never read
    time_shift_minutes: int | None = None  #: voicemails: how far `time` runs ahead of the file names


def load(conn: Connection) -> dict[tuple[str, str], Facts]:
    """By job and account."""
    out = {}
    for row in conn.execute(select(sync_jobs.c.job, sync_jobs.c.account, sync_jobs.c.notes)):
        notes: dict[str, Any] = json.loads(row.notes) if row.notes else {}
        listing = _listing(conn, row.job, row.account)
        told = _sentences(notes, listing)
        facts: dict[str, Any] = {
            "listing": listing,
            "quiescence_violations": int(notes.get("quiescence_violations", 0)),
        }
        if row.job == "telecmi-voicemails":
            shift = _time_shift(conn, row.account)
            facts["time_shift_minutes"] = shift
            if shift:
                told.append(
                    f"the vendor's time runs {shift} minutes ahead of the hour in which voicemails were left; "
                    "received_at is taken from their file names"
                )
            facts |= _coverage(conn, row.account)
        out[row.job, row.account] = Facts(notes=told, **facts)
    return out


def _listing(conn: Connection, job: str, account: str) -> dict[str, Any] | None:
    query = (
        select(sync_runs.c.listing)
        .where(
            sync_runs.c.job == job,
            sync_runs.c.account == account,
            sync_runs.c.finished_at.is_not(None),
        )
        .order_by(sync_runs.c.id.desc())
        .limit(1)
    )
    found = conn.execute(query).scalar()
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
    out += [f"the vendor's count is off by {value} each time and is not believed" for value in off]
    if int(notes.get("filter_ignored", 0)) >= 2:
        out.append("the vendor ignores updated_after: each increment is a whole listing")
    if notes.get("by_id_ignored"):
        out.append("the directory does not answer for one contact by its id: listings are read instead")
    if notes.get("widest_ms"):
        out.append(f"the vendor refuses windows wider than {notes['widest_ms'] // 60_000} minutes")
    if notes.get("password_days") is not None:
        out.append(f"the password of this login expires in {notes['password_days']} days")
    if notes.get("quiescence_violations"):
        count = notes["quiescence_violations"]
        out.append(f"{count} cycles wrote although nothing had changed on either side: please report this")
    return out


def _time_shift(conn: Connection, account: str) -> int | None:
    """The most common distance, in minutes, between `time` and what the file names say; None: unknown."""
    query = text(
        "SELECT CAST(round((time - CAST(strftime('%s', received_at) AS INTEGER) * 1000.0) / :step) AS INTEGER) "
        "AS shift, count(*) AS times FROM (SELECT time, received_at FROM telecmi_voicemails "
        "WHERE account = :account AND time IS NOT NULL AND received_at IS NOT NULL "
        "ORDER BY id DESC LIMIT :latest) GROUP BY shift ORDER BY times DESC LIMIT 1"
    )
    found = conn.execute(query, {"account": account, "step": _STEP_MS, "latest": _LATEST}).first()
    return None if found is None else int(found.shift) * (_STEP_MS // 60_000)


def _coverage(conn: Connection, account: str) -> dict[str, Any]:
    verified = runs.load_windows(conn, account)
    spans = union((one.start, one.end) for one in verified)
    if not spans:
        return {}
    first, last = spans[0][0], max(end for _, end in spans)
    missing = [
        (utc_text(start), utc_text(end))
        for start, end in gaps(first, last, verified)
        if end - start > _FRESH_MS
    ]
    return {"covered_from": utc_text(first), "covered_to": utc_text(last), "gaps": missing}
