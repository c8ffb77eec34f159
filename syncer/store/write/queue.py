"""The change queue: loading changes and intents, and every transition, which `core/queue.advance` allows or refuses."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from sqlalchemy import Connection

from syncer.core.contacts import Intent, NewChange, QueuedChange, Transition
from syncer.core.due import latest
from syncer.core.merge import Clash
from syncer.core.model import Operation, State
from syncer.core.normalise import utc_text
from syncer.core.push import LONGEST_RETRY
from syncer.core.queue import SETTLED, Event, advance
from syncer.store.db import statements
from syncer.store.db.columns import OPEN_STATES
from syncer.store.db.read_only import first, raw, tuples
from syncer.store.db.tables import change_queue

_DROP_INTENTS = """
    DELETE FROM push_intents WHERE row_id IN (SELECT value FROM json_each(?)) AND NOT EXISTS (
        SELECT 1 FROM change_queue q
        WHERE q.id = push_intents.change_id AND q.contact_row = push_intents.row_id AND q.state IN ('sending', 'unknown'))"""

#: A transition and the columns that it sets: the change, the event, a note for people, column -> value.
Move: TypeAlias = tuple[int, Event, str | None, Mapping[str, object]]

#: The columns of a change, in the order of its fields.
_CHANGE = ("id", "account", "contact_row", "operation", "state", "fields", "clashes", "attempts", "approved",
           "found_by", "sent_at", "created_at", "last_error")  # fmt: skip

#: All ids are one JSON parameter, so SQLite prepares each statement only once.
_CHANGES = f"SELECT {', '.join(_CHANGE)} FROM change_queue WHERE id IN (SELECT value FROM json_each(?))"
_OPEN_OF_ROWS = (
    f"SELECT {', '.join(_CHANGE)} FROM change_queue "
    f"WHERE contact_row IN (SELECT value FROM json_each(?)) AND state IN ({OPEN_STATES}) ORDER BY id"
)
_INTENTS_OF_ROWS = (
    "SELECT row_id, id, change_id, operation, fields, phone_e164, sent_at, answer FROM push_intents "
    "WHERE row_id IN (SELECT value FROM json_each(?)) ORDER BY id"
)
_PUSHED = """
    SELECT contact_row, fields FROM change_queue WHERE contact_row IN (SELECT value FROM json_each(?))
        AND state = 'done' AND settled_at BETWEEN ? AND ? AND fields IS NOT NULL"""


def _as_change(row: Sequence[Any]) -> QueuedChange:
    """A row of the queue, in the order of `_CHANGE`, as a `QueuedChange`."""
    number, account, contact_row, operation, state, fields, clashes, attempts, approved, *rest = row
    return QueuedChange(
        number,
        account,
        contact_row,
        Operation(operation),
        State(state),
        json.loads(fields) if fields else None,
        {name: Clash(**one) for name, one in json.loads(clashes).items()} if clashes else {},
        attempts,
        bool(approved),
        *rest,
    )


def load_open(conn: Connection, rows: Iterable[int]) -> dict[int, list[QueuedChange]]:
    """Open changes by contact row."""
    out: dict[int, list[QueuedChange]] = {}
    for row in tuples(conn, _OPEN_OF_ROWS, json.dumps(list(rows))):
        change = _as_change(row)
        out.setdefault(change.contact_row, []).append(change)
    return out


def load_intents(conn: Connection, rows: Iterable[int]) -> dict[int, list[Intent]]:
    """Requests since base last changed, by contact row, oldest first."""
    out: dict[int, list[Intent]] = {}
    for row in tuples(conn, _INTENTS_OF_ROWS, json.dumps(list(rows))):
        row_id, number, change_id, operation, fields, *rest = row
        intent = Intent(number, change_id, Operation(operation), json.loads(fields), *rest)
        out.setdefault(row_id, []).append(intent)
    return out


def load_change(conn: Connection, change_id: int) -> QueuedChange | None:
    """One change by its id."""
    return load_changes(conn, [change_id]).get(change_id)


def load_changes(conn: Connection, ids: Iterable[int]) -> dict[int, QueuedChange]:
    """Changes by id."""
    rows = tuples(conn, _CHANGES, json.dumps(list(ids)))
    return {change.id: change for change in map(_as_change, rows)}


def next_due(conn: Connection, account: str, now: datetime) -> tuple[int, str | None]:
    """How many changes need not wait, and the earliest time that another one waits for.

    A time that is further ahead than any retry comes from a wrong clock and is ignored.
    """
    query = """
        SELECT count(*) FILTER (WHERE next_attempt_at IS NULL OR next_attempt_at > :latest),
            min(next_attempt_at) FILTER (WHERE next_attempt_at <= :latest)
        FROM change_queue WHERE account = :account AND state IN ('queued', 'unknown')"""
    values = {"account": account, "latest": latest(now, LONGEST_RETRY)}
    due, later = raw(conn).execute(query, values).fetchone()
    return due, later


_WAITING = """
    SELECT q.id FROM change_queue q JOIN telecmi_contacts c ON c.id = q.contact_row
    WHERE c.account = ? AND c.phone_e164 = ? AND c.deleted_at IS NULL AND c.id <> ?
        AND q.operation <> 'delete' AND q.state IN ('queued', 'rejected')"""


def wake(conn: Connection, account: str, number: str | None, row_id: int, at: str) -> None:
    """Make changes due that wait for a number which another contact gives up, including refused ones."""
    changes = tuples(conn, _WAITING, account, number, row_id)
    fresh = {"next_attempt_at": None, "attempts": 0, "last_error": None}
    move_many(conn, [(change, Event.RETRY, None, fresh) for (change,) in changes], at)


def _transition_columns(
    state: State, at: str, note: str | None, columns: Mapping[str, object]
) -> dict[str, object]:
    """The columns to write when a change enters `state`."""
    values: dict[str, object] = {"state": state, **columns}
    if state in SETTLED:
        values |= {"settled_at": at, "next_attempt_at": None, "last_error": note}
    elif note is not None:
        values["last_error"] = note
    if state is State.QUEUED:
        values.setdefault("fields", None)
        values.setdefault("clashes", None)
    return values


def move(
    conn: Connection,
    change_id: int,
    event: Event,
    at: str,
    *,
    note: str | None = None,
    **columns: object,
) -> None:
    """Apply `event` to one change and set `columns`: see `move_many`."""
    move_many(conn, [(change_id, event, note, columns)], at)


def load_states(conn: Connection, ids: Iterable[int]) -> dict[int, State]:
    """The states of changes, by id."""
    query = "SELECT id, state FROM change_queue WHERE id IN (SELECT value FROM json_each(?))"
    return {number: State(state) for number, state in tuples(conn, query, json.dumps(list(ids)))}


def move_many(conn: Connection, steps: Sequence[Move], at: str) -> None:
    """Apply transitions with few statements, each change at most once. Settled changes stay as they are.

    Raises ForbiddenMoveError for a transition that `core/queue.py` does not allow.
    """
    states = load_states(conn, [change_id for change_id, *_ in steps])
    alike: dict[tuple[str, ...], list[tuple[object, ...]]] = {}
    for change_id, event, note, columns in steps:
        state = states.get(change_id)
        if state is None or state in SETTLED:
            continue
        values = _transition_columns(advance(state, event), at, note, columns)
        names = tuple(sorted(values))
        alike.setdefault(names, []).append((*(values[name] for name in names), change_id))
    for names, rows in alike.items():
        statements.update_rows(conn, change_queue, names, rows)


def apply_moves(conn: Connection, steps: Sequence[Transition], at: str) -> None:
    """Apply decided transitions, each change at most once."""
    clashing = load_changes(conn, [step.change_id for step in steps if step.clashes is not None])
    moves: list[Move] = []
    for step in steps:
        columns: dict[str, object] = {}
        if step.operation is not None:
            columns["operation"] = step.operation
        if step.operation is Operation.ADD:  # a different kind of request than before
            columns |= {"next_attempt_at": None, "attempts": 0}
        if step.clashes is not None:
            columns |= {"clashes": _dump_clashes(step.clashes), "next_attempt_at": None}
            change = clashing.get(step.change_id)
            if change is not None and change.operation is not Operation.DELETE:
                columns["fields"] = _local_values(step.clashes)
        moves.append((step.change_id, step.event, step.note, columns))
    move_many(conn, moves, at)


def _dump_clashes(clashes: Mapping[str, Clash]) -> str:
    return json.dumps({name: asdict(clash) for name, clash in clashes.items()}, ensure_ascii=False)


def _local_values(clashes: Mapping[str, Clash]) -> str:
    return json.dumps({name: clash.local for name, clash in clashes.items()}, ensure_ascii=False)


def add_change(
    conn: Connection, account: str, contact_row: int, new: NewChange, at: str, *, found_by: str = "trigger"
) -> None:
    """Queue a change that no trigger queued."""
    values: dict[str, object] = {
        "account": account,
        "contact_row": contact_row,
        "operation": new.operation,
        "state": new.state,
        "edit_seq": first(conn, "SELECT max(seq) FROM change_log"),
        "created_at": at,
        "last_error": new.note,
        "found_by": found_by,
    }
    if new.clashes is not None:
        values |= {"clashes": _dump_clashes(new.clashes), "fields": _local_values(new.clashes)}
    statements.insert_rows(conn, change_queue, tuple(values), [tuple(values.values())])


def accept_intents(conn: Connection, row_id: int, operation: Operation) -> None:
    """Mark unanswered requests as accepted, after a refusal showed that they were applied."""
    statement = (
        "UPDATE push_intents SET answer = 'accepted' WHERE row_id = ? AND operation = ? AND answer IS NULL"
    )
    raw(conn).execute(statement, (row_id, operation))


def drop_newest_intent(conn: Connection, change_id: int) -> None:
    """Delete the intent of a request that never reached upstream, or was not processed."""
    newest = "SELECT max(id) FROM push_intents WHERE change_id = ?"
    raw(conn).execute(f"DELETE FROM push_intents WHERE id = ({newest})", (change_id,))


def drop_intents(conn: Connection, *rows: int) -> None:
    """Delete the intents of a row after its base changed, or a change was discarded.

    Intents whose request may still be under way are kept.
    """
    if rows:
        conn.exec_driver_sql(_DROP_INTENTS, (json.dumps(rows),))


def recover(conn: Connection, account: str, at: str) -> None:
    """After a restart: changes that were being sent become `unknown`."""
    sending = tuples(conn, "SELECT id FROM change_queue WHERE account = ? AND state = 'sending'", account)
    note = "the program stopped before the answer came"
    move_many(conn, [(change_id, Event.RESTART, note, {}) for (change_id,) in sending], at)


def pushed_within(
    conn: Connection, rows: Iterable[int], span: timedelta, now: datetime
) -> dict[int, list[dict[str, str]]]:
    """By contact row: the fields of its changes that were done within that time."""
    out: dict[int, list[dict[str, str]]] = {}
    for row, fields in tuples(conn, _PUSHED, json.dumps(list(rows)), utc_text(now - span), latest(now)):
        out.setdefault(row, []).append(json.loads(fields))
    return out


def epoch(conn: Connection) -> int:
    """The push epoch, which increases with every recorded agreement with upstream.

    A page that was requested in an earlier epoch than a row's `touched` may be outdated for that row, and is
    ignored.
    """
    return int(first(conn, "SELECT epoch FROM sync_guard WHERE id = 1") or 0)


def next_epoch(conn: Connection) -> int:
    """Start a new push epoch and return it."""
    raw(conn).execute("UPDATE sync_guard SET epoch = epoch + 1 WHERE id = 1")
    return epoch(conn)
