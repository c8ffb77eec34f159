"""`/queue`: changes on their way upstream, with both sides of each, and the decisions about them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any, Literal, assert_never

from starlette.responses import Response

from syncer.console.render import marked
from syncer.console.visit import NotFoundError, PageRoute, Visit, redirect
from syncer.core.console import Role
from syncer.core.model import FIELDS, State
from syncer.core.wording import upper_first
from syncer.errors import UsageError
from syncer.store.db.connection import Connection, Database
from syncer.store.db.read_only import Reader, Record
from syncer.store.read import contact_queries, page_queries, status_queries
from syncer.store.write import actors, decisions

#: Carries out a decision, given the connection, the change and its region.
Decision = Callable[[Connection, Record, str], object]


class StaleError(UsageError):
    """The values changed after they were shown."""


async def show_list(visit: Visit) -> Response:
    """Open changes. The ones that wait for a person come first."""
    number = visit.page_number()

    def read(conn: Reader) -> dict[str, Any]:
        found = page_queries.list_changes(conn, number)
        for row in found.rows:
            region = visit.settings.region_of(row["account"])
            row |= {"why": why(row), "fields": contact_queries.changed_fields(conn, row, region)}
        return {"slice": found}

    return await visit.show("queue.html", read)


async def show(visit: Visit) -> Response:
    """One change."""
    return await _show(visit)


async def _show(visit: Visit, status: int = 200, error: str = "") -> Response:
    row_id = visit.row_id()

    def read(conn: Reader) -> dict[str, Any]:
        change = _load(conn, row_id)
        return {
            "change": change,
            "why": why(change),
            "sides": sides(conn, change),
            "version": version(conn, change),
            "may_retry": State(change["state"]) in (State.REJECTED, State.QUEUED, State.UNKNOWN),
            "may_discard": State(change["state"]) not in (State.DONE, State.DISCARDED, State.SENDING),
        }

    return await visit.show("change.html", read, status, error=error)


def _load(conn: Reader, number: int) -> Record:
    change = status_queries.load_change(conn, number)
    if change is None:
        raise NotFoundError(f"There is no change {number}.")
    return change


async def resolve(visit: Visit) -> Response:
    """Settle a conflict by the values that were shown."""
    keep, shown = visit.form.get("keep", ""), visit.form.get("version", "")
    if keep not in ("local", "remote") or not shown:
        return await _show(visit, 422, "Choose which values to keep.")
    side: Literal["local", "remote"] = "local" if keep == "local" else "remote"

    def decide(conn: Connection, change: Record, region: str) -> None:
        if version(conn, change) != shown:
            raise StaleError("the values changed since they were shown: look again, then decide")
        decisions.resolve(conn, change["id"], side, visit.stamp, region)

    return await _decide(visit, "resolved", decide)


async def retry(visit: Visit) -> Response:
    """Try a change again now."""
    return await _decide(
        visit, "retried", lambda conn, change, _: decisions.retry(conn, change["id"], visit.stamp)
    )


async def discard(visit: Visit) -> Response:
    """Give a change up: the contact gets upstream's values back."""
    return await _decide(
        visit,
        "discarded",
        lambda conn, change, region: decisions.discard(conn, change["id"], visit.stamp, region),
    )


async def approve(visit: Visit) -> Response:
    """Let a held delete go."""
    return await _decide(
        visit, "approved", lambda conn, change, _: decisions.approve(conn, change["id"], visit.stamp)
    )


async def _decide(visit: Visit, said: str, decision: Decision) -> Response:
    number = visit.row_id()

    def write(db: Database) -> None:
        with db.write() as conn, actors.deciding(conn, number, visit.who.name):
            change = _load(conn, number)
            decision(conn, change, visit.settings.region_of(change["account"]))

    try:
        await visit.work.write(write)
    except UsageError as error:
        text = str(error).partition(": `")[0]
        return await _show(visit, 409, f"Nothing was done: {text}.")
    return redirect(f"/queue/{number}", said=said)


# -- what is shown ---------------------------------------------------------------------------------------


def version(conn: Reader, change: Record) -> str:
    """A short digest of what is shown of a change. It changes with any of it."""
    contact, base = _local_and_base(conn, change)
    shown = [
        *(change[name] for name in ("id", "state", "operation", "clashes", "fields")),
        [contact.get(name) for name in (*FIELDS, "deleted_at")],
        [base.get(name) for name in FIELDS],
    ]
    return hashlib.sha256(json.dumps(shown).encode()).hexdigest()[:20]


def _local_and_base(conn: Reader, change: Record) -> tuple[Record, Record]:
    """The contact of a change and its base; {} where one does not exist."""
    row_id = change["contact_row"]
    return contact_queries.load_contact(conn, row_id) or {}, contact_queries.upstream_values(
        conn, row_id
    ) or {}


def sides(conn: Reader, change: Record) -> list[dict[str, Any]]:
    """Each field with its base, local and upstream value, differences marked. Conflicts come first."""
    clashes = status_queries.clashes_of(change)
    contact, base = _local_and_base(conn, change)
    sent: Mapping[str, str] = json.loads(change["fields"]) if change["fields"] else {}
    rows = []
    for name in FIELDS:
        clash = clashes.get(name)
        if clash:
            agreed, local, upstream = (str(clash[side] or "") for side in ("base", "local", "remote"))
        else:
            agreed = upstream = str(base.get(name) or "")
            local = str(sent.get(name, contact.get(name)) or "")
        if change["operation"] == "delete":
            local = ""
        rows.append(
            {
                "name": name,
                "clash": clash is not None,
                "differs": len({agreed, local, upstream}) > 1,
                "base": agreed,
                "local": marked(agreed, local),
                "upstream": marked(agreed, upstream),
            }
        )
    return sorted(rows, key=lambda one: (not one["clash"], not one["differs"]))


def why(change: Record) -> str:
    """The reason of a change's state, in a sentence."""
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
            return f"{upper_first(error or 'both sides changed the same field')}."
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
