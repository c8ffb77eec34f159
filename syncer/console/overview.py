"""`/`: open callbacks, what needs a decision, and how fresh each job is."""

from __future__ import annotations

from typing import Any, Final

from starlette.responses import Response

from syncer.console.health import job_rows
from syncer.console.visit import PageRoute, Visit
from syncer.store.db.read_only import Reader
from syncer.store.read import page_queries
from syncer.sync.proof import callback_proof

#: Callbacks on the first page.
SOME: Final = 8

#: Kind of open item -> the page where it is decided.
_WHERE: Final = {"conflict": "/queue", "rejected": "/queue", "held": "/queue", "listing": "/held"}


async def show(visit: Visit) -> Response:
    """The first page."""

    def read(conn: Reader) -> dict[str, Any]:
        return {
            "callbacks": page_queries.list_callbacks(conn, 1, size=SOME),
            "proof": callback_proof(conn, visit.settings, visit.now),
            "jobs": job_rows(conn, visit.settings),
            "where": _WHERE,
        }

    return await visit.show("home.html", read)


PAGES = (PageRoute("GET", "/", show),)
