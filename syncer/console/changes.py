"""`/queue`: changes on their way upstream, with their sides next to each other, and what a person decides about them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any, Literal, assert_never

from starlette.responses import Response

from syncer.console.render import marked
from syncer.console.visit import NotFoundError, PageRoute, Visit, redirect
from syncer.core.console import Role
from syncer.core.merge import dirty_fields
from syncer.core.model import FIELDS, Fields, State
from syncer.errors import UsageError
from syncer.store.db.connection import Connection, Database
from syncer.store.db.read_only import Reader, Record
from syncer.store.read import contact_queries, page_queries, status_queries
from syncer.store.write import actors, decisions

#: A decision: the connection, the change, its region -> a sentence.
Decision = Callable[[Connection, int, str], str]


class StaleError(UsageError):
    """What was decided about is no longer what was shown."""


async def show_list(visit: Visit) -> Response:
    """Open changes; those that wait for a person first."""
    number = visit.page_number()

    def read(conn: Reader) -> dict[str, Any]:
        found = page_queries.list_changes(conn, number)
        rows = [row | {"why": why(row), "touched": touched(conn, row, visit)} for row in found.rows]
        return {"slice": page_queries.Slice(rows, found.number, found.more)}

    return await visit.show("queue.html", read, turned=visit.turned)


async def show(visit: Visit) -> Response:
    """One change."""
    return await _show(visit)


async def _show(visit: Visit, status: int = 200, error: str = "") -> Response:
    row_id = visit.row_id()

    def read(conn: Reader) -> dict[str, Any]:
        change = status_queries.load_change(conn, row_id)
        if change is None:
            raise NotFoundError("There is no change with this number.")
        return {
            "change": change,
            "why": why(change),
            "sides": sides(conn, change),
            "version": version(conn, change),
            "may_retry": State(change["state"]) in (State.REJECTED, State.QUEUED, State.UNKNOWN),
            "may_discard": State(change["state"]) not in (State.DONE, State.DISCARDED, State.SENDING),
        }

    return await visit.show("change.html", read, status, error=error)


async def resolve(visit: Visit) -> Response:
    """Settle a conflict by the values that were shown."""
    keep, shown = visit.form.get("keep", ""), visit.form.get("version", "")
    if keep not in ("local", "remote") or not shown:
        return await _show(visit, 422, "Choose which values to keep.")
    side: Literal["local", "remote"] = "local" if keep == "local" else "remote"

    def decide(conn: Connection, number: int, region: str) -> str:
        change = status_queries.load_change(conn, number)
        if change is None or version(conn, change) != shown:
            raise StaleError("the values changed since they were shown: look again, then decide")
        return decisions.resolve(conn, number, side, visit.stamp, region)

    return await _decide(visit, "resolved", decide)


async def retry(visit: Visit) -> Response:
    """Try it again, now."""
    return await _decide(visit, "retried", lambda conn, number, _: decisions.retry(conn, number, visit.stamp))


async def discard(visit: Visit) -> Response:
    """Give it up: the contact shows upstream's values again."""
    return await _decide(
        visit, "discarded", lambda conn, number, region: decisions.discard(conn, number, visit.stamp, region)
    )


async def approve(visit: Visit) -> Response:
    """Let a held delete go."""
    return await _decide(
        visit, "approved", lambda conn, number, _: decisions.approve(conn, number, visit.stamp)
    )


async def _decide(visit: Visit, said: str, decision: Decision) -> Response:
    number = visit.row_id()
    regions = {one.name: one.region for one in visit.settings.telecmi}

    def write(db: Database) -> None:
        with db.write() as conn, actors.deciding(conn, number, visit.who.name):
            change = status_queries.load_change(conn, number)
            if change is None:
                raise NotFoundError("There is no change with this number.")
            decision(conn, number, regions.get(change["account"], "IN"))

    try:
        await visit.work.write(write)
    except UsageError as error:
        text = str(error).partition(": `")[0]
        return await _show(visit, 409, f"Nothing was done: {text}.")
    return redirect(f"/queue/{number}", said=said)


# -- what is shown ---------------------------------------------------------------------------------------


def version(conn: Reader, change: Record) -> str:
    """A short name for what is shown of a change; another one as soon as any of it differs."""
    contact = contact_queries.load_contact(conn, change["contact_row"]) or {}
    local = [contact.get(name) for name in (*FIELDS, "deleted_at")]
    base = contact_queries.upstream_values(conn, change["contact_row"]) or {}
    upstream = [base.get(name) for name in FIELDS]
    shown = [
        change["id"],
        change["state"],
        change["operation"],
        change["clashes"],
        change["fields"],
        local,
        upstream,
    ]
    return hashlib.sha256(json.dumps(shown).encode()).hexdigest()[:20]


def touched(conn: Reader, change: Record, visit: Visit) -> list[str]:
    """The fields that a change is about, as far as is known before it is sent."""
    if change["fields"]:
        known = json.loads(change["fields"])
        return [name for name in FIELDS if name in known]
    contact = contact_queries.load_contact(conn, change["contact_row"])
    base = contact_queries.upstream_values(conn, change["contact_row"])
    if change["operation"] != "update" or contact is None or base is None:
        return []
    region = next((one.region for one in visit.settings.telecmi if one.name == change["account"]), "IN")
    return list(dirty_fields(Fields.of(base), Fields.of(contact), region))


def sides(conn: Reader, change: Record) -> list[dict[str, Any]]:
    """By field: what was agreed last, what is local, and what is upstream, with the differing part marked; conflicts first."""
    clashes = status_queries.clashes_of(change)
    contact = contact_queries.load_contact(conn, change["contact_row"]) or {}
    base = contact_queries.upstream_values(conn, change["contact_row"]) or {}
    sent: Mapping[str, str] = json.loads(change["fields"]) if change["fields"] else {}
    gone = change["operation"] == "delete"
    rows = []
    for name in FIELDS:
        clash = clashes.get(name)
        agreed = clash["base"] if clash else base.get(name) or ""
        upstream = clash["remote"] if clash else base.get(name) or ""
        local = "" if gone else clash["local"] if clash else sent.get(name, contact.get(name)) or ""
        texts = [str(text or "") for text in (local, upstream)]
        rows.append(
            {
                "name": name,
                "clash": clash is not None,
                "differs": len({str(agreed), *texts}) > 1,
                "base": agreed,
                "local": marked(texts[:1], str(agreed))[0],
                "upstream": marked(texts[1:], str(agreed))[0],
            }
        )
    return sorted(rows, key=lambda one: (not one["clash"], not one["differs"]))


def why(change: Record) -> str:
    """Why a change is in its state, in a sentence."""
    error = change["last_error"]
    state = State(change["state"])
    match state:
        case State.QUEUED if error:
            return f"It is tried again: {error}"
        case State.QUEUED:
            return "It goes upstream with the next push."
        case State.SENDING:
            return "It is being sent."
        case State.UNKNOWN:
            return "It was sent, and no usable answer came. The next push looks whether upstream has it."
        case State.REJECTED:
            return f"{'Upstream refused it' if change['sent_at'] else 'It was not sent'}: {error or 'no reason was given'}"
        case State.CONFLICT:
            text = error or "both sides changed the same field"
            return f"{text[:1].upper()}{text[1:]}."
        case State.HELD:
            return f"A delete waits for a person{f': {error}' if error else '.'}"
        case State.DONE:
            return "Upstream shows it."
        case State.DISCARDED:
            return f"It was given up{f': {error}' if error else '.'}"
        case _:
            assert_never(state)


PAGES = (
    PageRoute("GET", "/queue", show_list),
    PageRoute("GET", "/queue/{id}", show),
    PageRoute("POST", "/queue/{id}/resolve", resolve, Role.APPROVE),
    PageRoute("POST", "/queue/{id}/approve", approve, Role.APPROVE),
    PageRoute("POST", "/queue/{id}/retry", retry, Role.EDIT),
    PageRoute("POST", "/queue/{id}/discard", discard, Role.EDIT),
)
