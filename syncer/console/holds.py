"""`/held`: what safety limits stopped, and the decisions about it."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from syncer.console.visit import NotFoundError, PageRoute, Visit, redirect
from syncer.core.console import Role
from syncer.store.db.connection import Database
from syncer.store.db.read_only import Reader
from syncer.store.read import page_queries, status_queries
from syncer.store.write import holds

#: Decided holds that are listed below the open ones.
RECENT = 20


async def show_list(visit: Visit) -> Response:
    """Open holds, and the ones that were decided last."""

    def read(conn: Reader) -> dict[str, Any]:
        every = status_queries.list_holds(conn, decided=True)
        decided = [one for one in every if one["decided_at"]][::-1][:RECENT]
        return {"open": [one for one in every if not one["decided_at"]], "decided": decided}

    return await visit.show("holds.html", read)


async def show(visit: Visit) -> Response:
    """One hold with its rows."""
    return await _show(visit)


async def _show(visit: Visit, status: int = 200, error: str = "") -> Response:
    row_id, number = visit.row_id(), visit.page_number()

    def read(conn: Reader) -> dict[str, Any]:
        found = status_queries.list_holds(conn, number=row_id)
        if not found:
            raise NotFoundError("Nothing is held under this number.")
        rows = page_queries.held_rows(conn, row_id, number)
        return {"hold": found[0], "slice": rows, "version": page_queries.held_version(conn, row_id)}

    return await visit.show("hold.html", read, status, error=error)


async def approve(visit: Visit) -> Response:
    """Let the listed rows go, at the next listing that still shows the same."""
    return await _decide(visit, "approved")


async def reject(visit: Visit) -> Response:
    """Keep the listed rows as they are."""
    return await _decide(visit, "rejected")


async def _decide(visit: Visit, decision: str) -> Response:
    number, shown = visit.row_id(), visit.form.get("version", "")

    def write(db: Database) -> str:
        with db.write() as conn:
            found = status_queries.list_holds(conn, number=number)
            if not found:
                raise NotFoundError("Nothing is held under this number.")
            if found[0]["decided_at"] is None and shown not in ("", page_queries.held_version(conn, number)):
                return "a later listing changed what is held: look again, then decide"
            before = holds.decide(conn, number, decision, visit.stamp, visit.who.name)
        return f"it is {before} already, and that is final" if before else ""

    if text := await visit.work.write(write):
        return await _show(visit, 409, f"Nothing was done: {text}.")
    return redirect(f"/held/{number}", said=decision)


PAGES = (
    PageRoute("GET", "/held", show_list),
    PageRoute("GET", "/held/{id}", show),
    PageRoute("POST", "/held/{id}/approve", approve, Role.APPROVE),
    PageRoute("POST", "/held/{id}/reject", reject, Role.APPROVE),
)
