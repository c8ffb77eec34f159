"""`/callbacks`: people who wait for a call back, and the actions that close or reopen one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from starlette.responses import Response

from syncer.console.forms import problem
from syncer.console.visit import PageRoute, Visit, redirect
from syncer.core.console import Role
from syncer.core.normalise import typed_e164
from syncer.core.wording import upper_first
from syncer.errors import UsageError
from syncer.store.db.connection import Connection, Database
from syncer.store.db.read_only import Reader
from syncer.store.read import page_queries
from syncer.store.write import callbacks as marks
from syncer.sync.proof import callback_proof

_UNREADABLE: Final = "This cannot be read as a phone number: write it with its country code."


async def show(visit: Visit) -> Response:
    """Open callbacks, longest waiting first. With `closed=1`, those that were closed."""
    return await _list(visit)


async def _list(visit: Visit, status: int = 200, error: str = "") -> Response:
    closed, number = visit.query("closed") == "1", visit.page_number()
    changed = typed_e164(visit.query("number"), visit.settings.regions) if visit.query("said") else None

    def read(conn: Reader) -> dict[str, Any]:
        return {
            "slice": page_queries.list_callbacks(conn, number, closed=closed),
            "proof": callback_proof(conn, visit.settings, visit.now),
        }

    return await visit.show(
        "callbacks.html", read, status, closed=closed, changed=changed, error=error, typed=visit.form
    )


async def done(visit: Visit) -> Response:
    """Close a callback: somebody has called back, or need not."""
    note = visit.form.get("note") or None

    def mark(conn: Connection, number: str) -> None:
        marks.done(conn, number, note=note, by=visit.who.name, at=visit.stamp)

    return await _mark(visit, "closed", mark, refused=422)


async def reopen(visit: Visit) -> Response:
    """Open a callback again that a person closed."""

    def mark(conn: Connection, number: str) -> None:
        marks.reopen(conn, number, by=visit.who.name, at=visit.stamp)

    return await _mark(visit, "reopened", mark, refused=409)


async def _mark(
    visit: Visit, said: str, mark: Callable[[Connection, str], None], *, refused: int
) -> Response:
    """Apply `mark` to the number of the form. `refused` is the status if its rules do not allow that."""
    number = typed_e164(visit.form.get("phone", ""), visit.settings.regions)
    if number is None:
        return await _list(visit, 422, _UNREADABLE)
    if wrong := problem(visit.form.get("note", "")):
        return await _list(visit, 422, wrong)

    def write(db: Database) -> None:
        with db.write() as conn:
            mark(conn, number)

    try:
        await visit.work.write(write)
    except UsageError as error:
        return await _list(visit, refused, f"{upper_first(str(error))}.")
    return redirect("/callbacks", said=said, number=number)


PAGES = (
    PageRoute("GET", "/callbacks", show),
    PageRoute("POST", "/callbacks/done", done, Role.EDIT),
    PageRoute("POST", "/callbacks/reopen", reopen, Role.EDIT),
)
