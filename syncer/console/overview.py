"""`/`: what needs a person, open callbacks first, and how fresh each job is."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from syncer.console.visit import PageRoute, Visit
from syncer.store.db.read_only import Reader
from syncer.store.read import page_queries, status_queries
from syncer.sync import registry
from syncer.sync.proof import callback_proof

#: Callbacks that the first page shows.
SOME = 8

#: By kind of what waits: the page that settles it.
_WHERE = {"conflict": "/queue", "rejected": "/queue", "held": "/queue", "listing": "/held"}


async def show(visit: Visit) -> Response:
    """The first page."""

    def read(conn: Reader) -> dict[str, Any]:
        return {
            "callbacks": page_queries.list_callbacks(conn, 1, size=SOME),
            "proof": callback_proof(conn, visit.settings, visit.now),
            "jobs": job_rows(conn, visit),
            "where": _WHERE,
        }

    return await visit.show("home.html", read)


def job_rows(conn: Reader, visit: Visit) -> list[dict[str, Any]]:
    """Each enabled job with how fresh it is."""
    known = status_queries.jobs(conn)
    rows = []
    for spec in registry.specs(visit.settings):
        if spec.enabled:
            job = known.get((spec.job, spec.account), {})
            rows.append(
                {**job, "job": spec.job, "account": spec.account, "label": spec.label, "state": state_of(job)}
            )
    return rows


def state_of(job: dict[str, Any]) -> str:
    """`fresh`, `late`, `paused`, or `new` for one that never succeeded."""
    if job.get("paused_until"):
        return "paused"
    if not job.get("last_ok_at"):
        return "new"
    return "late" if job.get("stale") else "fresh"


PAGES = (PageRoute("GET", "/", show),)
