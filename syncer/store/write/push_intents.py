"""The statements around one request: what is committed before it is sent, and after its answer."""

from __future__ import annotations

import json
from collections.abc import Sequence

from sqlalchemy import Connection

from syncer.core.model import FIELDS, Fields, State
from syncer.core.push import Send, is_still_wanted
from syncer.core.queue import Event, advance
from syncer.store.db import statements
from syncer.store.db.read_only import tuples
from syncer.store.db.tables import change_queue, push_intents

#: The current state of each change, and the values of its row.
_NOW = (
    f"SELECT q.id, q.state, q.attempts, c.deleted_at IS NOT NULL, c.contact_id, {', '.join(f'c.{n}' for n in FIELDS)} "
    "FROM change_queue q JOIN telecmi_contacts c ON c.id = q.contact_row "
    "WHERE q.id IN (SELECT value FROM json_each(?))"
)

_SENT = ("state", "operation", "fields", "clashes", "sent_at", "attempts")

_INTENT = ("change_id", "row_id", "operation", "fields", "phone_e164", "sent_at")


def begin_sending(
    conn: Connection, batch: Sequence[Send], at: str, accepted: Sequence[Send] = ()
) -> list[Send]:
    """Record what is about to be sent: the state `sending`, and the exact fields of each change.

    Returns what may be sent: changes that were settled or edited since the decision are left out. `accepted` is
    the batch of the previous request, whose answer is recorded first.
    """
    note_accepted(conn, accepted)
    now = {row[0]: row[1:] for row in tuples(conn, _NOW, json.dumps([send.change.id for send in batch]))}
    going_out, moves, intents = [], [], []
    for send in batch:
        if send.change.id not in now:
            continue
        state, attempts, deleted, contact_id, *values = now[send.change.id]
        state, fields = State(state), Fields(*[value or "" for value in values])
        if not is_still_wanted(send, state, contact_id, fields, deleted=bool(deleted)):
            continue
        if state is State.UNKNOWN:
            state = advance(state, Event.NOT_THERE)
        sent = json.dumps(dict(send.fields), ensure_ascii=False)
        number, row = send.change.id, send.change.contact_row
        going_out.append(send)
        moves.append((advance(state, Event.SEND), send.operation, sent, None, at, attempts + 1, number))
        intents.append((number, row, send.operation, sent, send.phone_e164, at))
    statements.update_rows(conn, change_queue, _SENT, moves)
    statements.insert_rows(conn, push_intents, _INTENT, intents)
    return going_out


_ACCEPTED = """
    UPDATE push_intents SET answer = 'accepted' WHERE id IN (
        SELECT max(id) FROM push_intents WHERE change_id IN (SELECT value FROM json_each(?)) GROUP BY change_id)"""


def note_accepted(conn: Connection, batch: Sequence[Send]) -> None:
    """Mark the newest intent of each change as accepted."""
    if batch:
        conn.exec_driver_sql(_ACCEPTED, (json.dumps([send.change.id for send in batch]),))
