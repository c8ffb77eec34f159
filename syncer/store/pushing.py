"""The statements of the push job: what is due with all that is known of it, and what each step writes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, or_, select, update

from syncer.core.contacts import Change, Local
from syncer.core.limits import too_many_deletes
from syncer.core.model import Operation, State
from syncer.core.normalise import to_e164, utc_text
from syncer.core.push import Context, Decision, Look, Send, Step, Wait, decide, may_be_ours, one_a_row
from syncer.core.queue import Event
from syncer.store import contacts, queue
from syncer.store.contacts import Policy
from syncer.store.tables import change_queue

_Q = change_queue.c

#: How far back pushes count as flipping.
DAY = timedelta(days=1)


def in_play(conn: Connection, account: str, now: str, *, everything: bool) -> list[tuple[Change, Local]]:
    """Changes that are due, each with its contact; and held deletes, which a look may settle."""
    changes = queue.load_due(conn, account, now, everything=everything)
    changes += _restless_deletes(conn, account)
    locals_ = contacts.load_rows(conn, {c.contact_row for c in changes})
    return [(c, locals_[c.contact_row]) for c in changes if c.contact_row in locals_]


def _restless_deletes(conn: Connection, account: str) -> list[Change]:
    """Held deletes of contacts that only a user's list has: there is no call for them."""
    query = select(change_queue).where(
        _Q.account == account, _Q.state == State.HELD, _Q.operation == Operation.DELETE
    )
    held = [queue.as_change(row) for row in conn.execute(query)]
    rows = contacts.load_rows(conn, {c.contact_row for c in held})
    return [c for c in held if c.contact_row in rows and rows[c.contact_row].source in ("user_list", "")]


def decide_all(
    conn: Connection,
    pairs: Sequence[tuple[Change, Local]],
    looks: Mapping[int, Look],
    policy: Policy,
    now: datetime,
    max_deletions: float,
) -> list[Decision]:
    """What becomes of each change; `looks` by contact row."""
    deletes = sum(
        1
        for change, local in pairs
        if change.operation is Operation.DELETE
        and change.state is State.QUEUED
        and not change.approved
        and local.contact_id
    )
    live = contacts.live_count(conn, policy.account)
    many = too_many_deletes(deletes, live + deletes, max_deletions)
    since = utc_text(now - DAY)
    updates = {c.contact_row for c, _ in pairs if c.operation is Operation.UPDATE}
    pushed = queue.pushed_since(conn, updates, since)
    out = []
    for change, local in pairs:
        phone, holder, leaving = to_e164(local.fields.phone_no, policy.region), None, None
        if phone and not local.known:
            holder = contacts.holder_of(conn, policy.account, phone, local.row_id)
        if phone and change.operation is Operation.ADD:
            leaving = contacts.leaving(conn, policy.account, phone)
        context = Context(
            now=now,
            region=policy.region,
            holder=holder,
            leaving=leaving,
            pushed=pushed.get(local.row_id, ()) if change.operation is Operation.UPDATE else (),
            too_many_deletes=many,
        )
        look = looks.get(local.row_id, Look(None, seen=False))
        out.append(decide(change, local, look, context))
    return one_a_row(out)


def carry_out(
    conn: Connection,
    steps: Iterable[Step | Wait],
    policy: Policy,
    at: str,
    retry_at: Callable[[int], str],
) -> int:
    """Write down every decision that sends nothing; returns how many changes moved."""
    moved = 0
    for step in steps:
        if isinstance(step, Wait):
            if step.change.state in (State.QUEUED, State.UNKNOWN):
                note_waiting(conn, step.change, step.why, retry_at(step.change.attempts + 1))
            continue
        local = contacts.load_rows(conn, [step.change.contact_row])[step.change.contact_row]
        moved += 1
        if step.detach:
            contacts.detach(conn, local.row_id, at)
            queue.begin_anew(conn, local, at)
            continue
        queue.apply_move(conn, step.move, at)
        if step.show and local.base is not None:
            contacts.show_base(conn, local, step.show, policy.region, at)
            if step.move.event is Event.REFUSED:
                queue.drop_intents(conn, local.row_id)
        if step.revive:
            contacts.revive(conn, local, at)
        if step.move.event is Event.SHOWN and step.change.operation is Operation.DELETE:
            contacts.forget_base(conn, local.row_id, queue.tick(conn))
            queue.drop_intents(conn, local.row_id)
    return moved


def note_waiting(conn: Connection, change: Change, why: str, next_at: str) -> None:
    """A change stays as it is: say why, and when it is looked at again."""
    conn.execute(
        update(change_queue)
        .where(_Q.id == change.id, _Q.state.in_([State.QUEUED, State.UNKNOWN]))
        .values(last_error=why, next_attempt_at=next_at)
    )


def still_wanted(conn: Connection, batch: Sequence[Send]) -> list[Send]:
    """Of what was decided, what is still so: nobody settled it, nor edited the row, meanwhile.

    A row that was edited is decided on anew: what a person has just undone must not go out.
    """
    out = []
    rows = contacts.load_rows(conn, {s.change.contact_row for s in batch})
    changes = queue.load_changes(conn, [s.change.id for s in batch])
    for send in batch:
        change, local = changes.get(send.change.id), rows.get(send.change.contact_row)
        if change is None or local is None or change.state not in (State.QUEUED, State.UNKNOWN):
            continue
        if send.operation is Operation.DELETE:
            if local.deleted:
                out.append(send)
        elif not local.deleted and local.fields == send.stood and local.contact_id == send.contact_id:
            out.append(send)
    return out


def begin_sending(conn: Connection, batch: Sequence[Send], at: str) -> list[Send]:
    """Commit the intents of a call; what was settled meanwhile is left out."""
    wanted = still_wanted(conn, batch)
    queue.write_intents(conn, wanted, at)
    return wanted


def turned_away(
    conn: Connection, batch: Sequence[Send], at: str, note: str, next_at: str | None, *, spent: bool
) -> None:
    """The call was not processed: all of it goes back; `spent` off undoes the counted attempt."""
    for send in batch:
        queue.drop_newest_intent(conn, send.change.id)
        columns: dict[str, object] = {"next_attempt_at": next_at}
        if not spent:
            columns["attempts"] = func.max(_Q.attempts - 1, 0)
        queue.move(conn, send.change.id, Event.TURNED_AWAY, at, note=note, **columns)


def unsettled(
    conn: Connection, batch: Sequence[Send], at: str, note: str, retry_at: Callable[[int], str]
) -> list[int]:
    """What is still `sending` after the reading back: its outcome stays unknown. Returns their numbers.

    A change of which every field came back as a conflict goes on in that.
    """
    out = []
    changes = queue.load_changes(conn, [s.change.id for s in batch])
    sending = [s for s in batch if s.change.id in changes and changes[s.change.id].state is State.SENDING]
    rows = contacts.load_rows(conn, {s.change.contact_row for s in sending})
    for send in sending:
        change = changes[send.change.id]
        queue.move(conn, change.id, Event.LOST, at, note=note, next_attempt_at=retry_at(change.attempts))
        conflicts = rows[change.contact_row].open(State.CONFLICT) if change.contact_row in rows else ()
        heir = next((c for c in conflicts if set(send.fields) <= set(c.clashes)), None)
        if heir is not None and send.operation is Operation.UPDATE:
            queue.move(conn, change.id, Event.GIVE_UP, at, note=f"goes on in conflict {heir.id}")
        else:
            out.append(change.id)
    return out


def accepted_alone(conn: Connection, batch: Sequence[Send], at: str, note: str) -> None:
    """Deletes that upstream no longer shows are done."""
    for send in batch:
        change = queue.load_change(conn, send.change.id)
        if change is not None and change.state in (State.SENDING, State.UNKNOWN):
            queue.move(conn, change.id, Event.SHOWN, at, note=note or None)
            contacts.forget_base(conn, change.contact_row, queue.tick(conn))
            queue.drop_intents(conn, change.contact_row)


def refuse(
    conn: Connection, send: Send, code: int, now: datetime, text: str, retry_at: Callable[[int], str]
) -> bool:
    """Upstream said no to this very change, and reading back shows that it was not applied.

    False: it may have been by an earlier call whose answer was lost. That is waited for, not told.
    """
    change, at = queue.load_change(conn, send.change.id), utc_text(now)
    if change is None or change.state is not State.SENDING:
        return True
    queue.drop_newest_intent(conn, change.id)
    earlier = queue.load_intents(conn, [change.contact_row]).get(change.contact_row, [])
    if may_be_ours(send, earlier, code, now):
        queue.accept_intents(conn, change.contact_row, send.operation)
        why = f"refused with code {code}, perhaps because an earlier call had been applied: looked up again"
        queue.move(conn, change.id, Event.LOST, at, note=why, next_attempt_at=retry_at(change.attempts))
        return False
    queue.move(conn, change.id, Event.REFUSED, at, note=text)
    return True


def back_to_queue(conn: Connection, batch: Sequence[Send], at: str) -> list[Send]:
    """Members of a refused batch that were read back as not applied: to be sent in smaller calls."""
    out = []
    for send in batch:
        change = queue.load_change(conn, send.change.id)
        if change is not None and change.state is State.SENDING:
            queue.drop_newest_intent(conn, change.id)
            queue.move(conn, change.id, Event.NOT_THERE, at)
            out.append(send)
    return out


def states_of(conn: Connection, ids: Iterable[int]) -> dict[int, State]:
    """Where changes stand."""
    out: dict[int, State] = {}
    for block in queue.chunks(ids):
        query = select(_Q.id, _Q.state).where(_Q.id.in_(block))
        out |= {number: State(state) for number, state in conn.execute(query)}
    return out


def forget_overtaken(conn: Connection, account: str, at: str) -> int:
    """Refused changes of rows that a newer change took over: settled, so that nothing sits twice."""
    newer = select(_Q.contact_row).where(
        _Q.account == account,
        _Q.operation != Operation.DELETE,
        or_(_Q.state == State.QUEUED, _Q.state == State.SENDING),
    )
    ids = (
        conn.execute(
            select(_Q.id).where(
                _Q.account == account,
                _Q.state == State.REJECTED,
                _Q.operation != Operation.DELETE,
                _Q.contact_row.in_(newer),
            )
        )
        .scalars()
        .all()
    )
    for number in ids:
        queue.move(conn, number, Event.GIVE_UP, at, note="overtaken by a newer change of the row")
    return len(ids)
