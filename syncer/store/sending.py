"""The statements around one call: what is committed before it goes out, and what after its answer.

What is sent is decided in `core/push.py`. A change goes on only by `core/queue.py`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from sqlalchemy import Connection

from syncer.core.model import FIELDS, Fields, Operation, State
from syncer.core.push import Send
from syncer.core.queue import Event, advance
from syncer.store import bulk
from syncer.store.tables import push_intents

#: How changes stand now, each with what its row says.
_STANDS = (
    f"SELECT q.id, q.state, c.deleted_at IS NOT NULL, c.contact_id, {', '.join(f'c.{n}' for n in FIELDS)} "
    "FROM change_queue q JOIN telecmi_contacts c ON c.id = q.contact_row "
    "WHERE q.id IN (SELECT value FROM json_each(?))"
)


def still_wanted(conn: Connection, batch: Sequence[Send]) -> list[tuple[Send, State]]:
    """Of what was decided, what is still so: nobody settled it, nor edited the row, meanwhile.

    A row that was edited is decided on anew: what a person has just undone must not go out. With
    each comes the state in which its change is.
    """
    found = conn.exec_driver_sql(_STANDS, (json.dumps([send.change.id for send in batch]),))
    there = {change_id: rest for change_id, *rest in found}
    out: list[tuple[Send, State]] = []
    for send in batch:
        if send.change.id not in there:
            continue
        name, deleted, contact_id, *values = there[send.change.id]
        state = State(name)
        if state not in (State.QUEUED, State.UNKNOWN):
            continue
        if send.operation is Operation.DELETE:
            if deleted:
                out.append((send, state))
        elif (
            not deleted
            and Fields(*(value or "" for value in values)) == send.stood
            and contact_id == send.contact_id
        ):
            out.append((send, state))
    return out


_SEND = """
    UPDATE change_queue SET state = ?, operation = ?, fields = ?, clashes = NULL, sent_at = ?,
        attempts = attempts + 1 WHERE id = ?"""

_INTENT = ("change_id", "row_id", "operation", "fields", "phone_e164", "sent_at")


def begin_sending(conn: Connection, batch: Sequence[Send], at: str) -> list[Send]:
    """Commit what is about to be sent: the state `sending`, and the exact fields of each change.

    What was settled or edited meanwhile is left out. Returns what is to go out.
    """
    moves, intents, wanted = [], [], []
    for send, state in still_wanted(conn, batch):
        change = send.change
        if state is State.UNKNOWN:
            state = advance(state, Event.NOT_THERE)
        fields = json.dumps(dict(send.fields), ensure_ascii=False)
        moves.append((advance(state, Event.SEND), send.operation, fields, at, change.id))
        intents.append((change.id, change.contact_row, send.operation, fields, send.phone_e164, at))
        wanted.append(send)
    if wanted:
        conn.exec_driver_sql(_SEND, moves)
        bulk.insert_rows(conn, push_intents, _INTENT, intents)
    return wanted


_ANSWER = """
    UPDATE push_intents SET answer = ? WHERE id = (
        SELECT max(id) FROM push_intents WHERE change_id = ?)"""


def note_answer(conn: Connection, batch: Sequence[Send], answer: str) -> None:
    """Note upstream's answer on the newest intent of each change."""
    conn.exec_driver_sql(_ANSWER, [(answer, send.change.id) for send in batch])
