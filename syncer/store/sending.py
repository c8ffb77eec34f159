"""The statements around one call: what is committed before it goes out, and what after its answer.

What is sent is decided in `core/push.py`. A change goes on only by `core/queue.py`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

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


def still_wanted(conn: Connection, batch: Sequence[Send]) -> list[tuple[Send, State, int]]:
    """Of what was decided, what is still so, each with the state and the attempts of its change."""
    rows = fetch(conn, _STANDS, json.dumps([send.change.id for send in batch]))
    there = {change_id: rest for change_id, *rest in rows}
    out = []
    for send in batch:
        if send.change.id in there:
            state, attempts, deleted, contact_id, *values = there[send.change.id]
            fields = Fields(*[value or "" for value in values])
            if still_so(send, State(state), contact_id, fields, deleted=bool(deleted)):
                out.append((send, State(state), attempts))
    return out


_as_json = json.JSONEncoder(ensure_ascii=False).encode

_SENT = ("state", "operation", "fields", "clashes", "sent_at", "attempts")

_INTENT = ("change_id", "row_id", "operation", "fields", "phone_e164", "sent_at")


def begin_sending(
    conn: Connection, batch: Sequence[Send], at: str, accepted: Sequence[Send] = ()
) -> list[Send]:
    """Commit what is about to be sent: the state `sending`, and the exact fields of each change.

    What was settled or edited meanwhile is left out. Returns what is to go out. `accepted` are those
    of the call before, whose answer goes on record first.
    """
    note_accepted(conn, accepted)
    moves, intents, wanted = [], [], []
    for send, state, attempts in still_wanted(conn, batch):
        change = send.change
        if state is State.UNKNOWN:
            state = advance(state, Event.NOT_THERE)
        fields = _as_json(dict(send.fields))
        new = advance(state, Event.SEND)
        moves.append((new, send.operation, fields, None, at, attempts + 1, change.id))
        intents.append((change.id, change.contact_row, send.operation, fields, send.phone_e164, at))
        wanted.append(send)
    if wanted:
        bulk.update_rows(conn, change_queue, _SENT, moves)
        bulk.insert_rows(conn, push_intents, _INTENT, intents)
    return wanted


_ACCEPTED = """
    UPDATE push_intents SET answer = 'accepted' WHERE id IN (
        SELECT max(id) FROM push_intents WHERE change_id IN (SELECT value FROM json_each(?)) GROUP BY change_id)"""


def note_accepted(conn: Connection, batch: Sequence[Send]) -> None:
    """Note on the newest intent of each change that upstream took it."""
    if batch:
        conn.exec_driver_sql(_ACCEPTED, (json.dumps([send.change.id for send in batch]),))
