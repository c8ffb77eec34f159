"""What happens to a contact that upstream no longer has.

`listing.py` or a lookup proves that it is gone; the store applies the decision.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from syncer.core.contacts import Local, NewChange, Transition
from syncer.core.due import has_passed
from syncer.core.merge import dirty_fields
from syncer.core.model import Operation, State
from syncer.core.queue import OPEN, Event

#: For this long after our own delete, a contact that is missing upstream counts as deleted by us.
OUR_DOING = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class UpstreamDelete:
    """What happens to the row, and to its changes before and after that."""

    row: Literal["forget base", "add again", "delete"]
    done: tuple[Transition, ...]  #: deletes that this confirms
    moves: tuple[Transition, ...] = ()
    new: tuple[NewChange, ...] = ()


def is_wanted(local: Local, region: str, now: datetime) -> bool:
    """Whether a live contact that upstream no longer has should be added again.

    An edit wins over upstream's delete. So does restoring the contact, whose change is approved from the start.
    If our own delete removed the contact while it was restored here, upstream did not delete it, even if it kept
    showing it for a while.
    """
    if local.base is None or dirty_fields(local.base, local.fields, region):
        return True
    if any(one.approved for one in local.open(*OPEN)):
        return True
    if local.open(State.SENDING, State.UNKNOWN, delete=True):
        return True
    deletes = [one for one in local.intents if one.operation is Operation.DELETE]
    return any(not has_passed(OUR_DOING, one.sent_at, now) for one in deletes)


def decide_upstream_delete(local: Local, region: str, now: datetime) -> UpstreamDelete:
    """A deleted row is done, a row that is still wanted is added again, and any other row is deleted locally."""
    done = tuple(Transition(one.id, Event.SHOWN) for one in local.open(*OPEN, delete=True))
    changes = [one for one in local.open(*OPEN) if one.state is not State.SENDING]
    if local.deleted:
        return UpstreamDelete("forget base", done)
    if not is_wanted(local, region, now):
        note = "the contact is gone upstream"
        return UpstreamDelete("delete", done, tuple(Transition(c.id, Event.GIVE_UP, note) for c in changes))
    if not changes:
        return UpstreamDelete("add again", done, new=(NewChange(Operation.ADD, State.QUEUED),))
    first, *others = changes
    events = {State.UNKNOWN: Event.NOT_THERE, State.CONFLICT: Event.KEEP_LOCAL}
    again = Transition(first.id, events.get(first.state, Event.EDIT), operation=Operation.ADD)
    rest = (Transition(c.id, Event.GIVE_UP, f"continued in change {first.id}") for c in others)
    return UpstreamDelete("add again", done, (again, *rest))
