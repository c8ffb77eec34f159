"""The evidence behind a job's data, for `syncer status`: its last listing, notes, and spans not read yet.

`store/read/coverage.py` collects it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from syncer.cli.output import count, local, span, when

if TYPE_CHECKING:
    from syncer.store.read.coverage import Facts
    from syncer.sync.proof import CallbackProof

#: What `status --json` has of it.
FACTS = (
    "listing",
    "notes",
    "complete",
    "set_aside",
    "held",
    "unknown",
    "updated_after_honoured",
    "time_shift_minutes",
)


def proof_sentence(proof: CallbackProof, waiting: int, now: datetime) -> str:
    """Whether the list of callbacks can be trusted, for people."""
    if proof.doubts:
        upto = f"past {when(proof.verified_to, now)}" if proof.verified_to else "at all yet"
        more = "Others may wait" if waiting else "Somebody may wait"
        return f"{more}: the list cannot be trusted {upto} ({'; '.join(proof.doubts)})."
    nobody = "" if waiting else "Nobody waits for a call back. "
    return f"{nobody}The lists behind it are verified up to {when(proof.verified_to, now)}."


def of_job(facts: Facts) -> dict[str, Any]:
    """The evidence of a job, for JSON."""
    out = {name: getattr(facts, name) for name in FACTS}
    if facts.covered_from is not None:
        covered = {name: getattr(facts, name) for name in ("covered_from", "covered_to", "unread_s")}
        out |= covered | {"gaps": [list(gap) for gap in facts.gaps]}
    return out


def verdict(listing: dict[str, Any] | None) -> str:
    """What the last listing proved, in one word."""
    if listing is None:
        return ""
    if listing["verdict"] == "complete" and not listing.get("whole", True):
        return "incremental"
    return str(listing["verdict"])


def lines(job: dict[str, Any], now: datetime, *, everything: bool) -> Iterator[str]:
    """What a person should know about it. `everything` adds how the last listing ended."""
    yield from job["notes"]
    if job["complete"] is False and job["last_complete_at"]:
        yield f"the last listing that proved what is gone ended {when(job['last_complete_at'], now)}"
    if job["unknown"]:
        yield f"the outcome of {count(job['unknown'], 'change')} is not known yet; it is looked up"
    if job.get("covered_from"):
        yield f"read completely from {local(job['covered_from'])} to {local(job['covered_to'])}"
    if job.get("unread_s"):
        yield f"catching up, newest first: {span(job['unread_s'])} are not read yet"
    for start, end in job.get("gaps", [])[::-1][:3]:
        yield f"not read yet: {local(start)} to {local(end)}"
    if everything:
        yield from _evidence(job)


def _evidence(job: dict[str, Any]) -> Iterator[str]:
    """How the last listing ended, table by table."""
    listing = job["listing"]
    for table, one in (listing.get("lists") or {"": listing}).items() if listing else ():
        of = f" ({table})" if table else ""
        counted = "no total given"
        if one["total_first"] is not None:
            counted = f"counted {one['total_first']} at the start and {one['total_last']} at the end"
        again = {True: "the same", False: "other rows", None: "not needed"}[one["first_page_same"]]
        yield (
            f"{one['verdict']}{of}: {count(one['rows'], 'row')} on {count(one['pages'], 'page')}, "
            f"{one['distinct']} different, {one['unreadable']} unreadable; {counted}; "
            f"ended by: {one['ended_by'] or 'an error'}; first page read again: {again}"
        )
    if job.get("time_shift_minutes") is not None:
        yield f"time is {job['time_shift_minutes']} minutes ahead of the file names"
    if job.get("updated_after_honoured") is not None:
        yield f"updated_after is {'honoured' if job['updated_after_honoured'] else 'ignored'}"
