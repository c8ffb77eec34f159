"""What `syncer status` says of a job's proof: its last listing, what was noticed, what was not read.

What is known is gathered in `store/read/coverage.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from syncer.cli.common import count, local, say_folded, span, when

if TYPE_CHECKING:
    from syncer.store.read.coverage import Facts, Wanted
    from syncer.sync.registry import JobSpec


def wanted(specs: Sequence[JobSpec], now: datetime) -> dict[str, Wanted]:
    """By account: the span of voicemails that the mirror is to cover."""
    from syncer.config import Windowed
    from syncer.store.read.coverage import Wanted

    return {
        spec.account: Wanted(
            int(spec.settings.begin(now).timestamp() * 1000),
            int(now.timestamp() * 1000),
            int(spec.every.total_seconds()),
        )
        for spec in specs
        if isinstance(spec.settings, Windowed)
    }


def of_job(facts: Facts | None) -> dict[str, Any]:
    """How a job knows what it knows, and what was noticed about its vendor."""
    if facts is None:
        return {"listing": None, "notes": [], "complete": None, "set_aside": 0, "held": 0, "unknown": 0}
    out: dict[str, Any] = {
        "listing": facts.listing,
        "notes": facts.notes,
        "complete": facts.complete,
        "set_aside": facts.set_aside,
        "held": facts.held,
        "unknown": facts.unknown,
        "updated_after_honoured": facts.updated_after_honoured,
        "time_shift_minutes": facts.time_shift_minutes,
    }
    if facts.covered_from is not None:
        out |= {
            "covered_from": facts.covered_from,
            "covered_to": facts.covered_to,
            "gaps": [list(gap) for gap in facts.gaps],
            "unread_s": facts.unread_s,
        }
    return out


def verdict(listing: dict[str, Any] | None) -> str:
    """What the last listing proved, in a word."""
    if listing is None:
        return ""
    if listing["verdict"] == "complete" and not listing.get("whole", True):
        return "increment"
    return str(listing["verdict"])


def show(job: dict[str, Any], now: datetime, *, evidence: bool) -> None:
    """What a person should know of it; with `evidence` all that is known."""
    name = f"{job['job']} of {job['account']}"
    for note in job["notes"]:
        say_folded(f"  {name}: {note}")
    if job["complete"] is False and job["last_complete_at"]:
        say_folded(
            f"  {name}: the last listing that proved what is gone ended {when(job['last_complete_at'], now)}"
        )
    if job["unknown"]:
        say_folded(
            f"  {name}: of {count(job['unknown'], 'change')} the outcome is not known yet; it is looked up"
        )
    if job.get("covered_from"):
        say_folded(f"  {name}: read whole from {local(job['covered_from'])} to {local(job['covered_to'])}")
    if job.get("unread_s"):
        say_folded(
            f"  {name}: catching up, newest first: {span(job['unread_s'])} of voicemail time is not read yet"
        )
    for start, end in job.get("gaps", [])[::-1][:3]:
        say_folded(f"  {name}: not read yet: {local(start)} to {local(end)}")
    if evidence:
        for what in _evidence(job):
            say_folded(f"  {name}: {what}")


def _evidence(job: dict[str, Any]) -> list[str]:
    """How the last listing ended, with all that speaks for and against it."""
    listing = job["listing"]
    out = []
    for table, one in (listing.get("lists") or {"": listing}).items() if listing else ():
        of = f" ({table})" if table else ""
        counted = "no total told"
        if one["total_first"] is not None:
            counted = f"counted {one['total_first']} at the start and {one['total_last']} at the end"
        again = {True: "the same", False: "other rows", None: "not needed"}[one["first_page_same"]]
        out.append(
            f"{one['verdict']}{of}: {count(one['rows'], 'row')} on {count(one['pages'], 'page')}, "
            f"{one['distinct']} different, {one['unreadable']} unreadable; {counted}; "
            f"ended by: {one['ended_by'] or 'an error'}; first page read again: {again}"
        )
    if job.get("time_shift_minutes") is not None:
        out.append(f"time is {job['time_shift_minutes']} minutes ahead of the file names")
    if job.get("updated_after_honoured") is not None:
        out.append(f"updated_after is {'honoured' if job['updated_after_honoured'] else 'ignored'}")
    return out
