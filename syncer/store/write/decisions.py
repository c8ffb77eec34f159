"""People's decisions about a change of the queue: retry, discard, approve, resolve.

Each is one transition of `core/queue.py` with its consequences for the row, and returns a sentence for the person.
"""

from __future__ import annotations

from typing import Literal

from sqlalchemy import Connection, delete, update

from syncer.core.contacts import Local, QueuedChange
from syncer.core.merge import dirty_fields
from syncer.core.model import Fields, Operation, State
from syncer.core.normalise import to_e164
from syncer.core.queue import SETTLED, Event
from syncer.errors import UsageError
from syncer.store.db import statements
from syncer.store.db.tables import change_queue, contact_base, push_intents, telecmi_contacts
from syncer.store.write import changelog, contacts, queue
from syncer.store.write.contacts import TABLE

_Q, _C = change_queue.c, telecmi_contacts.c


def _load(conn: Connection, number: int) -> tuple[QueuedChange, Local]:
    change = queue.load_change(conn, number)
    if change is None:
        raise UsageError(f"there is no change {number}: `syncer queue list --all` shows them")
    rows = contacts.load_rows(conn, [change.contact_row])
    if change.contact_row not in rows:
        raise UsageError(
            f"change {number} is for row {change.contact_row}, which is gone: run `syncer sync` to repair it"
        )
    return change, rows[change.contact_row]


def retry(conn: Connection, number: int, at: str) -> str:
    """Try again now."""
    change, _ = _load(conn, number)
    if change.state in SETTLED:
        raise UsageError(f"change {number} is {change.state}: there is nothing to retry")
    if change.state is State.SENDING:
        raise UsageError(f"change {number} is being sent right now")
    if change.state is State.CONFLICT:
        raise UsageError(
            f"change {number} is a conflict: `syncer queue resolve {number} --keep local|remote`"
        )
    if change.state is State.HELD:
        raise UsageError(f"change {number} is held: `syncer queue approve {number}` lets it go")
    queue.move(conn, number, Event.RETRY, at, next_attempt_at=None, attempts=0, approved=1, last_error=None)
    conn.execute(update(push_intents).where(push_intents.c.change_id == number).values(answer=None))
    return f"change {number} is tried again at the next push"


def approve(conn: Connection, number: int, at: str) -> str:
    """Approve a held delete."""
    change, local = _load(conn, number)
    if change.state is not State.HELD:
        raise UsageError(
            f"the state of change {number} is {change.state}, not held: there is nothing to approve"
        )
    queue.move(conn, number, Event.APPROVE, at, approved=1, last_error=None, next_attempt_at=None)
    return f"the delete of contact row {local.row_id} goes upstream at the next push"


def discard(conn: Connection, number: int, at: str, region: str) -> str:
    """Discard a change: the row shows upstream's values again."""
    change, local = _load(conn, number)
    if change.state in SETTLED:
        raise UsageError(f"change {number} is {change.state} already")
    if change.state is State.SENDING:
        raise UsageError(f"change {number} is being sent right now: try again in a moment")
    queue.move(conn, number, Event.GIVE_UP, at, note="discarded by a person")
    _wake_followers(conn, local, at, region)
    if change.operation is Operation.DELETE:
        _return(conn, change, local, at, region)
        return f"change {number} is discarded; contact row {local.row_id} is back"
    if change.state is State.CONFLICT:
        _take_remote(conn, change, local, at, region)
        return f"change {number} is discarded; contact row {local.row_id} shows upstream's values"
    if local.base is None:
        conn.execute(delete(push_intents).where(push_intents.c.row_id == local.row_id))
        if not local.deleted:
            statements.update_row(
                conn, telecmi_contacts, local.row_id, {"deleted_at": at, "last_changed_at": at}
            )
            changelog.removed(conn, TABLE, local.row_id, at, "local")
        return f"change {number} is discarded; contact row {local.row_id}, which upstream never had, is gone"
    names = [n for n in dirty_fields(local.base, local.fields, region) if n not in local.in_conflict]
    contacts.show_base(conn, local, names, region, at)
    conn.execute(delete(push_intents).where(push_intents.c.change_id == number))
    return f"change {number} is discarded; contact row {local.row_id} shows upstream's values"


def resolve(conn: Connection, number: int, keep: Literal["local", "remote"], at: str, region: str) -> str:
    """Settle a conflict with the values that were shown."""
    change, local = _load(conn, number)
    if change.state is not State.CONFLICT:
        raise UsageError(f"change {number} is {change.state}, not a conflict: there is nothing to resolve")
    names = ", ".join(change.clashes)
    _wake_followers(conn, local, at, region)
    if keep == "remote":
        queue.move(conn, number, Event.GIVE_UP, at, note="resolved: upstream's values were kept")
        if change.operation is Operation.DELETE:
            _return(conn, change, local, at, region)
            return f"contact row {local.row_id} is back, as upstream has it"
        _take_remote(conn, change, local, at, region)
        return f"contact row {local.row_id} shows upstream's {names}"
    _agree_on_remote(conn, change, local, region)
    if change.operation is Operation.DELETE:
        queue.move(conn, number, Event.KEEP_LOCAL, at, approved=1, last_error=None)
        return f"the delete of contact row {local.row_id} goes upstream at the next push"
    queue.move(conn, number, Event.KEEP_LOCAL, at, last_error=None, next_attempt_at=None, attempts=0)
    lost = {name: (clash.remote, local.fields.get(name)) for name, clash in change.clashes.items()}
    changelog.changed(conn, TABLE, local.row_id, lost, at, "local")
    for other in local.open(State.QUEUED, State.REJECTED):
        queue.move(conn, other.id, Event.GIVE_UP, at, note=f"continued in change {number}")
    return f"the local {names} of contact row {local.row_id} goes upstream at the next push"


def _wake_followers(conn: Connection, local: Local, at: str, region: str) -> None:
    """Wake changes that wait for the number that the contact has upstream."""
    if local.base is not None:
        queue.wake(conn, local.account, to_e164(local.base.phone_no, region), local.row_id, at)


def _agree_on_remote(conn: Connection, change: QueuedChange, local: Local, region: str) -> None:
    """Set base to the upstream values that were shown. If upstream changed since, the conflict opens again."""
    assert local.base is not None or change.clashes
    base = (local.base or Fields()).asdict() | {n: c.remote for n, c in change.clashes.items()}
    e164 = to_e164(base["phone_no"], region)
    statements.update_row(conn, contact_base, local.row_id, base | {"phone_e164": e164})


def _take_remote(conn: Connection, change: QueuedChange, local: Local, at: str, region: str) -> None:
    _agree_on_remote(conn, change, local, region)
    row = contacts.load_rows(conn, [local.row_id])[local.row_id]
    contacts.show_base(conn, row, list(change.clashes), region, at)


def _return(conn: Connection, change: QueuedChange, local: Local, at: str, region: str) -> None:
    """Undo a delete: the row is live again, with upstream's values."""
    if change.clashes:
        _agree_on_remote(conn, change, local, region)
    row = contacts.load_rows(conn, [local.row_id])[local.row_id]
    contacts.revive(conn, row, at)
    if row.base is not None:
        contacts.show_base(conn, row, list(row.base.asdict()), region, at)
