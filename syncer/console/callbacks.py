"""`/callbacks`: who waits for a call back, and closing or opening one."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from syncer.console.forms import problem
from syncer.console.visit import PageRoute, Visit, redirect
from syncer.core.console import Role
from syncer.core.normalise import typed_e164
from syncer.errors import UsageError
from syncer.store.db.connection import Database
from syncer.store.db.read_only import Reader
from syncer.store.read import page_queries
from syncer.store.write import callbacks as marks
from syncer.sync.proof import callback_proof

#: Numbers on a page; each has a form and may have a player.
ROWS = 40


async def show(visit: Visit) -> Response:
    """Open ones, longest waiting first; `?closed=1` those that were closed."""
    return await _list(visit)


async def _list(visit: Visit, status: int = 200, **context: Any) -> Response:
    closed, number = visit.query("closed") == "1", visit.page_number()
    changed = typed_e164(visit.query("number"), visit.settings.regions) if visit.query("said") else None

    def read(conn: Reader) -> dict[str, Any]:
        return {
            "slice": page_queries.list_callbacks(conn, number, closed=closed, size=ROWS),
            "proof": callback_proof(conn, visit.settings, visit.now),
        }

    shown = {"closed": closed, "changed": changed, "error": "", "typed": {}, "turned": visit.turned} | context
    return await visit.show("callbacks.html", read, status, **shown)


async def done(visit: Visit) -> Response:
    """Somebody has called back, or need not."""
    number, note = _number(visit), visit.form.get("note", "")
    if number is None or (wrong := problem(note)):
        text = _UNREADABLE if number is None else wrong
        return await _list(visit, 422, error=text, typed=dict(visit.form))

    def write(db: Database) -> None:
        with db.write() as conn:
            marks.done(conn, number, note=note or None, by=visit.who.name, at=visit.stamp)

    try:
        await visit.work.write(write)
    except UsageError as error:
        return await _list(
            visit, 422, error=f"{str(error)[:1].upper()}{str(error)[1:]}.", typed=dict(visit.form)
        )
    return redirect("/callbacks", said="closed", number=number)


async def reopen(visit: Visit) -> Response:
    """Take a person's closing back."""
    number = _number(visit)
    if number is None:
        return await _list(visit, 422, error=_UNREADABLE, typed=dict(visit.form))

    def write(db: Database) -> None:
        with db.write() as conn:
            marks.reopen(conn, number, by=visit.who.name, at=visit.stamp)

    try:
        await visit.work.write(write)
    except UsageError as error:
        return await _list(
            visit, 409, error=f"{str(error)[:1].upper()}{str(error)[1:]}.", typed=dict(visit.form)
        )
    return redirect("/callbacks", said="reopened", number=number)


def _number(visit: Visit) -> str | None:
    return typed_e164(visit.form.get("phone", ""), visit.settings.regions)


_UNREADABLE = "This cannot be read as a phone number: write it with its country code."

PAGES = (
    PageRoute("GET", "/callbacks", show),
    PageRoute("POST", "/callbacks/done", done, Role.EDIT),
    PageRoute("POST", "/callbacks/reopen", reopen, Role.EDIT),
)
