"""The statements around one call: what is committed before it goes out, and what after its answer.

What is sent is decided in `core/push.py`. A change goes on only by `core/queue.py`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from syncer.core.model import FIELDS, Fields, State
from syncer.core.push import Send, still_so
from syncer.core.queue import Event, advance
from syncer.store import bulk
from syncer.store.looking import fetch
from syncer.store.tables import change_queue, push_intents

#: How changes stand now, each with what its row says.
_STANDS = (
    f"SELECT q.id, q.state, q.attempts, c.deleted_at IS NOT NULL, c.contact_id, {', '.join(f'c.{n}' for n in FIELDS)} "
    "FROM change_queue q JOIN telecmi_contacts c ON c.id = q.contact_row "
    "WHERE q.id IN (SELECT value FROM json_each(?))"
)


class Wanted(NamedTuple):
    """A change that may go out: what its request says, and how its change stands then."""

    send: Send
    state: State
    attempts: int
    fields: str  #: as JSON


def still_wanted(conn: Connection, batch: Sequence[Send]) -> list[Wanted]:
    """Of what was decided, what is still so."""
    rows = fetch(conn, _STANDS, json.dumps([send.change.id for send in batch]))
    there = {change_id: rest for change_id, *rest in rows}
    out = []
    for send in batch:
        if send.change.id in there:
            state, attempts, deleted, contact_id, *values = there[send.change.id]
            fields = Fields(*[value or "" for value in values])
            if still_so(send, State(state), contact_id, fields, deleted=bool(deleted)):
                ready = State(state)
                if ready is State.UNKNOWN:
                    ready = advance(ready, Event.NOT_THERE)
                sent = _as_json(dict(send.fields))
                out.append(Wanted(send, advance(ready, Event.SEND), attempts + 1, sent))
    return out


_as_json = json.JSONEncoder(ensure_ascii=False).encode

_SENT = ("state", "operation", "fields", "clashes", "sent_at", "attempts")

_INTENT = ("change_id", "row_id", "operation", "fields", "phone_e164", "sent_at")


def begin_sending(
    conn: Connection, wanted: Sequence[Wanted], at: str, accepted: Sequence[Send] = ()
) -> list[Send]:
    """Commit what is about to be sent: the state `sending`, and the exact fields of each change.

    `wanted` is what `still_wanted` finds now: what was settled or edited meanwhile is left out.
    Returns what is to go out. `accepted` are those of the call before, whose answer goes on record first.
    """
    note_accepted(conn, accepted)
    if wanted:
        moves = [
            (state, send.operation, fields, None, at, attempts, send.change.id)
            for send, state, attempts, fields in wanted
        ]
        bulk.update_rows(conn, change_queue, _SENT, moves)
        intents = [
            (send.change.id, send.change.contact_row, send.operation, fields, send.phone_e164, at)
            for send, _, _, fields in wanted
        ]
        bulk.insert_rows(conn, push_intents, _INTENT, intents)
    return [one.send for one in wanted]


_ACCEPTED = """
    UPDATE push_intents SET answer = 'accepted' WHERE id IN (
        SELECT max(id) FROM push_intents WHERE change_id IN (SELECT value FROM json_each(?)) GROUP BY change_id)"""


def note_accepted(conn: Connection, batch: Sequence[Send]) -> None:
    """Note on the newest intent of each change that upstream took it."""
    if batch:
        conn.exec_driver_sql(_ACCEPTED, (json.dumps([send.change.id for send in batch]),))
