"""`/health`: each job with its last runs, what its listings prove, and what of time was read."""

from __future__ import annotations

from collections import Counter
from typing import Any

from starlette.responses import Response

from syncer.console.overview import state_of
from syncer.console.visit import PageRoute, Visit
from syncer.store.db.read_only import Reader
from syncer.store.read import coverage, page_queries, status_queries
from syncer.sync import proof, registry

#: Runs of a job that are shown.
RUNS = 40


async def show(visit: Visit) -> Response:
    """All enabled jobs."""

    def read(conn: Reader) -> dict[str, Any]:
        specs = [spec for spec in registry.specs(visit.settings) if spec.enabled]
        known, facts = status_queries.jobs(conn), coverage.load(conn, proof.wanted(specs, visit.now))
        rows = []
        for spec in specs:
            key = (spec.job, spec.account)
            job = known.get(key, {})
            runs = page_queries.recent_runs(conn, *key, RUNS)
            found = facts.get(key)
            rows.append(
                {
                    "paused_until": None,
                    "last_ok_at": None,
                    "error": None,
                    **job,
                    "job": spec.job,
                    "account": spec.label,
                    "state": state_of(job),
                    "every": spec.every.total_seconds(),
                    "runs": runs,
                    "summary": _summary([str(run["outcome"]) for run in runs]),
                    "facts": found,
                    "verdict": _verdict(found.listing if found else None),
                }
            )
        return {"jobs": rows}

    return await visit.show("health.html", read)


def _summary(outcomes: list[str]) -> str:
    """`The last 40 runs: 39 ok, 1 failed`."""
    if not outcomes:
        return ""
    counted = Counter(outcomes)
    each = ", ".join(f"{counted[name]} {name}" for name in ("ok", "incomplete", "failed") if counted[name])
    return f"The last {len(outcomes)} runs: {each}" if len(outcomes) > 1 else f"The last run: {outcomes[0]}"


def _verdict(listing: dict[str, Any] | None) -> str:
    """What the last listing proved, for people."""
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
