"""The statements of the push job: loads the changes that are due, and writes each step."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby

from sqlalchemy import Connection, and_, func, or_, select

from syncer.core import limits, push
from syncer.core.contacts import Local, QueuedChange
from syncer.core.due import latest
from syncer.core.model import Operation, State
from syncer.core.normalise import to_e164, utc_text
from syncer.core.numbers import PendingRelease
from syncer.core.push import (
    LONGEST_RETRY,
    Due,
    Observation,
    PushDecision,
    PushFacts,
    Send,
    Settle,
    Wait,
    may_be_ours,
)
from syncer.core.queue import Event
from syncer.store.db.read_only import first, tuples
from syncer.store.db.tables import change_queue, contact_base, telecmi_contacts
from syncer.store.write import contacts, queue
from syncer.store.write.contacts import Policy
from syncer.store.write.directory import handle_upstream_delete

_C, _Q = telecmi_contacts.c, change_queue.c

#: How far back pushes are counted to detect flipping values.
DAY = timedelta(days=1)

#: How many changes are decided in one transaction (a few more are possible).
BLOCK = 100


def in_play(conn: Connection, account: str, now: datetime, *, everything: bool) -> list[Due]:
    """The changes that the push job handles, oldest first, and held deletes that a lookup may settle.

    `everything` includes changes that wait for a retry, because a person asked. Conflicts and other held changes
    are never sent. The held deletes are those of contacts that are only in a user's list, which no call deletes.
    """
    waits = and_(_Q.next_attempt_at > utc_text(now), _Q.next_attempt_at <= latest(now, LONGEST_RETRY))
    due = and_(
        _Q.state.in_([State.QUEUED, State.UNKNOWN]),
        *([] if everything else [or_(_Q.next_attempt_at.is_(None), ~waits)]),
    )
    source = func.coalesce(contact_base.c.source, "")
    restless = and_(_Q.state == State.HELD, _Q.operation == Operation.DELETE, source.in_(["user_list", ""]))
    agreed = and_(_C.contact_id.is_not(None), source.in_(["directory", "user_list"]))
    query = (
        select(_Q.id, _Q.state, _C.id, _C.contact_id, agreed)
        .join(telecmi_contacts, _C.id == _Q.contact_row)
        .outerjoin(contact_base, contact_base.c.row_id == _C.id)
        .where(_Q.account == account, or_(due, restless))
        .order_by(_Q.state == State.HELD, _Q.id)
    )
    return [
        Due(change, State(state), row, contact_id, bool(known))
        for change, state, row, contact_id, known in conn.execute(query)
    ]


def blocks(due: Iterable[Due]) -> Iterable[list[Due]]:
    """Divide into blocks of one transaction each. All changes of a contact are in one block."""
    block: list[Due] = []
    for _, of_row in groupby(sorted(due, key=lambda one: (one.row, one.change)), lambda one: one.row):
        block += of_row
        if len(block) >= BLOCK:
            yield block
            block = []
    if block:
        yield block


def _load(conn: Connection, due: Sequence[Due]) -> list[tuple[QueuedChange, Local]]:
    """The current changes, each with its contact, without those that a lookup has settled."""
    rows = contacts.load_rows(conn, {one.row for one in due})
    open_ = {change.id: (change, local) for local in rows.values() for change in local.changes}
    pairs = [open_[one.change] for one in due if one.change in open_]
    waiting = (State.QUEUED, State.UNKNOWN, State.HELD)
    return [(change, local) for change, local in pairs if change.state in waiting]


def too_many_deletes(conn: Connection, account: str, max_deletions: float) -> bool:
    """Whether more contacts would be deleted at once than is allowed without approval."""
    deletes = first(conn, _UNAPPROVED, account)
    return limits.too_many_deletes(deletes, contacts.live_count(conn, account) + deletes, max_deletions)


_UNAPPROVED = """
    SELECT count(*) FROM change_queue q JOIN telecmi_contacts c ON c.id = q.contact_row
    WHERE q.account = ? AND q.operation = 'delete' AND q.state = 'queued' AND q.approved = 0
        AND c.contact_id IS NOT NULL"""


def decide_all(
    conn: Connection,
    due: Sequence[Due],
    observations: Mapping[int, Observation],
    policy: Policy,
    now: datetime,
    *,
    releases: Mapping[str, PendingRelease],
    too_many_deletes: bool,
) -> list[PushDecision]:
    """Decide each change. `observations` is by contact row, `releases` by number."""
    pairs = _load(conn, due)
    updates = {change.contact_row for change, _ in pairs if change.operation is Operation.UPDATE}
    holders = {}
    for _, local in pairs:
        if not local.known and (number := to_e164(local.fields.phone_no, policy.region)):
            holder = contacts.phone_owner(conn, policy.account, number, local.row_id)
            if holder is not None:
                holders[local.row_id] = holder
    facts = PushFacts(
        now=now,
        region=policy.region,
        observations=observations,
        phone_owners=holders,
        pushed=queue.pushed_within(conn, updates, DAY, now),
        releases=releases,
        too_many_deletes=too_many_deletes,
    )
    return push.decide_all(pairs, facts)


#: A change that waits for a person is looked up as rarely as after this many attempts, since looking up an add
#: lists the whole directory.
_ATTEMPTS_FOR_PERSON = 20

_WAIT = """
    UPDATE change_queue SET last_error = ?, next_attempt_at = ?
    WHERE id = ? AND state IN ('queued', 'unknown')"""


def carry_out(
    conn: Connection,
    decisions: Iterable[PushDecision],
    policy: Policy,
    at: str,
    retry_at: Callable[[int], str],
) -> int:
    """Apply all decisions that send nothing. Returns how many changes had a transition."""
    acting: list[Settle] = []
    waiting: list[tuple[str, str, int]] = []
    for one in decisions:
        if isinstance(one, Settle):
            acting.append(one)
        elif isinstance(one, Wait) and one.change.state in (State.QUEUED, State.UNKNOWN):
            attempts = _ATTEMPTS_FOR_PERSON if one.for_person else one.change.attempts + 1
            waiting.append((one.why, retry_at(attempts), one.change.id))
    if waiting:
        conn.exec_driver_sql(_WAIT, waiting)
    for is_only_move, group in groupby(acting, _is_only_move):  # in order: several may be for one row
        if is_only_move:
            queue.apply_moves(conn, [step.move for step in group], at)
        else:
            for step in group:
                _carry_out(conn, step, policy, at)
    return len(acting)


def _is_only_move(step: Settle) -> bool:
    """Whether a step changes nothing but the state of its change."""
    return not (step.gone or step.show or step.revive)


def _carry_out(conn: Connection, step: Settle, policy: Policy, at: str) -> None:
    local = contacts.load_rows(conn, [step.change.contact_row])[step.change.contact_row]
    if step.gone:
        handle_upstream_delete(conn, local, policy.region, at)
        return
    queue.apply_moves(conn, [step.move], at)
    if step.show and local.base is not None:
        contacts.show_base(conn, local, step.show, policy.region, at)
        if step.move.event is Event.REFUSED:
            queue.drop_intents(conn, local.row_id)
    if step.revive:
        contacts.revive(conn, local, at)


def turned_away(
    conn: Connection, batch: Sequence[Send], at: str, note: str, next_at: str | None, *, spent: bool
) -> None:
    """Queue the changes of a request again that was not processed. Without `spent`, it does not count as an attempt."""
    moves: list[queue.Move] = []
    for change in queue.load_changes(conn, [send.change.id for send in batch]).values():
        queue.drop_newest_intent(conn, change.id)
        attempts = change.attempts if spent else max(change.attempts - 1, 0)
        columns = {"next_attempt_at": next_at, "attempts": attempts}
        moves.append((change.id, Event.TURNED_AWAY, note, columns))
    queue.move_many(conn, moves, at)


def unsettled(
    conn: Connection, batch: Sequence[Send], at: str, note: str, retry_at: Callable[[int], str]
) -> list[int]:
    """Make changes `unknown` that are still `sending` after the read-back. Returns their ids.

    A change whose fields are all in a conflict ends, and the conflict continues it.
    """
    states = queue.load_states(conn, [s.change.id for s in batch])
    sending = [s for s in batch if states.get(s.change.id) is State.SENDING]
    if not sending:
        return []
    changes = queue.load_changes(conn, [s.change.id for s in sending])
    rows = contacts.load_rows(conn, {s.change.contact_row for s in sending})
    lost = [
        (s.change.id, Event.LOST, note, {"next_attempt_at": retry_at(changes[s.change.id].attempts)})
        for s in sending
    ]
    queue.move_many(conn, lost, at)
    out = []
    for send in sending:
        change = changes[send.change.id]
        conflicts = rows[change.contact_row].open(State.CONFLICT) if change.contact_row in rows else ()
        heir = next((c for c in conflicts if set(send.fields) <= set(c.clashes)), None)
        if heir is not None and send.operation is Operation.UPDATE:
            queue.move(conn, change.id, Event.GIVE_UP, at, note=f"continued in conflict {heir.id}")
        else:
            out.append(change.id)
    return out


def ids_upstream(conn: Connection, rows: Iterable[int]) -> dict[int, str | None]:
    """The contact_id of each row, or None."""
    query = "SELECT id, contact_id FROM telecmi_contacts WHERE id IN (SELECT value FROM json_each(?))"
    return dict(tuples(conn, query, json.dumps(list(rows))))


def deleted_upstream(conn: Connection, batch: Sequence[Send], region: str, at: str) -> None:
    """Settle deletes whose contact upstream no longer shows."""
    states = queue.load_states(conn, [s.change.id for s in batch])
    done = [s for s in batch if states.get(s.change.id) in (State.SENDING, State.UNKNOWN)]
    for local in contacts.load_rows(conn, [send.change.contact_row for send in done]).values():
        handle_upstream_delete(conn, local, region, at)


def refuse(
    conn: Connection,
    send: Send,
    code: int,
    now: datetime,
    text: str,
    retry_at: Callable[[int], str],
    *,
    number_was_moved: bool = False,
) -> bool:
    """Reject a change that upstream refused, and that the read-back shows was not applied.

    It is tried again if another row gave up its number so recently that upstream may not show that yet. Returns
    False if an earlier request without an answer may have been applied, so that the change is looked up again.
    """
    at = utc_text(now)
    change = queue.load_change(conn, send.change.id)
    if change is None or change.state is not State.SENDING:
        return True
    queue.drop_newest_intent(conn, change.id)
    earlier = queue.load_intents(conn, [change.contact_row]).get(change.contact_row, [])
    if may_be_ours(send, earlier, code, now):
        queue.accept_intents(conn, change.contact_row, send.operation)
        why = f"refused with code {code}, perhaps because an earlier call had been applied: looked up again"
        queue.move(conn, change.id, Event.LOST, at, note=why, next_attempt_at=retry_at(change.attempts))
        return False
    if number_was_moved:
        why = f"refused with code {code}: another row has just given this number up; tried again"
        queue.move(
            conn, change.id, Event.TURNED_AWAY, at, note=why, next_attempt_at=retry_at(change.attempts)
        )
        return True
    queue.move(conn, change.id, Event.REFUSED, at, note=text)
    return True


def back_to_queue(conn: Connection, batch: Sequence[Send], at: str) -> list[Send]:
    """Queue the changes of a refused batch again that were not applied, to be sent in smaller requests."""
    out = []
    for send in batch:
        change = queue.load_change(conn, send.change.id)
        if change is not None and change.state is State.SENDING:
            queue.drop_newest_intent(conn, change.id)
            queue.move(conn, change.id, Event.NOT_THERE, at)
            out.append(send)
    return out


def forget_overtaken(conn: Connection, account: str, at: str) -> None:
    """Settle refused changes of rows that have a newer change."""
    newer = select(_Q.contact_row).where(
        _Q.account == account,
        _Q.operation != Operation.DELETE,
        or_(_Q.state == State.QUEUED, _Q.state == State.SENDING),
    )
    refused = select(_Q.id).where(
        _Q.account == account,
        _Q.state == State.REJECTED,
        _Q.operation != Operation.DELETE,
        _Q.contact_row.in_(newer),
    )
    ids = conn.execute(refused).scalars().all()
    note = "superseded by a newer change of the row"
    queue.move_many(conn, [(change_id, Event.GIVE_UP, note, {}) for change_id in ids], at)
