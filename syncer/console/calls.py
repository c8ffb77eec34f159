"""`/voicemails` and `/calls`: newest first, with the callers' names."""

from __future__ import annotations

from functools import partial
from typing import Any

from starlette.responses import Response

from syncer.console.visit import PageRoute, Visit
from syncer.store.db.read_only import Reader
from syncer.store.read import page_queries


async def voicemails(visit: Visit) -> Response:
    """Voicemails; `q` searches, `unknown=1` selects callers without a name."""
    search, unknown = visit.query("q"), visit.query("unknown") == "1"
    find = partial(page_queries.list_voicemails, search=search, unknown=unknown, number=visit.page_number())
    return await _show(visit, "voicemails.html", find, q=search, unknown=unknown)


async def calls(visit: Visit) -> Response:
    """Calls of both vendors; `q` searches, `missed=1` selects missed ones."""
    search, missed = visit.query("q"), visit.query("missed") == "1"
    find = partial(page_queries.list_calls, search=search, missed=missed, number=visit.page_number())
    return await _show(visit, "calls.html", find, q=search, missed=missed)


async def _show(visit: Visit, template: str, find: partial[page_queries.Slice], **context: Any) -> Response:
    def read(conn: Reader) -> dict[str, Any]:
        return {"slice": find(conn)}

    return await visit.show(template, read, **context)


PAGES = (PageRoute("GET", "/voicemails", voicemails), PageRoute("GET", "/calls", calls))
