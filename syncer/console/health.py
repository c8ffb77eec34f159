"""`/health`: each job with its last runs, and what its listings prove."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from starlette.responses import Response

from syncer.config import Settings
from syncer.console.visit import PageRoute, Visit
from syncer.store.db.read_only import Reader
from syncer.store.read import coverage, page_queries, status_queries
from syncer.sync import proof, registry

#: Runs of a job that are shown.
RUNS: Final = 40


async def show(visit: Visit) -> Response:
    """All enabled jobs."""

    def read(conn: Reader) -> dict[str, Any]:
        facts = coverage.load(conn, proof.wanted(registry.specs(visit.settings), visit.now))
        rows = job_rows(conn, visit.settings)
        for row in rows:
            runs = page_queries.recent_runs(conn, row["job"], row["account"], RUNS)
            found = facts.get((row["job"], row["account"]))
            row |= {
                "runs": runs,
                "summary": _summary([str(run["outcome"]) for run in runs]),
                "facts": found,
                "verdict": _verdict(found.listing if found else None),
            }
        return {"jobs": rows}

    return await visit.show("health.html", read)


def job_rows(conn: Reader, settings: Settings) -> list[dict[str, Any]]:
    """Each enabled job with its `state`: `fresh`, `late`, `paused`, or `new` if it never succeeded."""
    known = status_queries.jobs(conn)
    rows = []
    for spec in registry.specs(settings):
        if spec.enabled:
            job: dict[str, Any] = {"paused_until": None, "last_ok_at": None, "stale": None, "error": None}
            job |= known.get((spec.job, spec.account), {})
            job |= {"job": spec.job, "account": spec.account, "label": spec.label}
            rows.append(job | {"every": spec.every.total_seconds(), "state": _state(job)})
    return rows


def _state(job: dict[str, Any]) -> str:
    if job["paused_until"]:
        return "paused"
    if not job["last_ok_at"]:
        return "new"
    return "late" if job["stale"] else "fresh"


def _summary(outcomes: list[str]) -> str:
    """`The last 40 runs: 39 ok, 1 failed`."""
    if not outcomes:
        return ""
    if len(outcomes) == 1:
        return f"The last run: {outcomes[0]}"
    counted = Counter(outcomes)
    each = ", ".join(f"{counted[name]} {name}" for name in ("ok", "incomplete", "failed") if counted[name])
    return f"The last {len(outcomes)} runs: {each}"


def _verdict(listing: dict[str, Any] | None) -> str:
    """What the last listing proved, in a sentence."""
    if listing is None:
        return ""
    if listing["verdict"] == "complete" and not listing.get("whole", True):
        return "The last pull read what changed; only a full listing proves what is gone."
    return {
        "complete": "The last listing was complete: what it does not show is gone upstream.",
        "drifted": "The list changed while it was read, so it proves nothing about what is gone.",
        "partial": "The last listing was cut short, so it proves nothing about what is gone.",
    }.get(str(listing["verdict"]), "")


PAGES = (PageRoute("GET", "/health", show),)
