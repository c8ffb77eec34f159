"""What to do with each change of the queue after the lookup upstream.

`contacts.py` has settled what the lookup alone can settle. `sync/push.py` looks up and sends, and the store records
the result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from syncer.core.contacts import Intent, Local, QueuedChange, Transition
from syncer.core.due import has_passed
from syncer.core.merge import dirty_fields
from syncer.core.model import REQUIRED, Fields, Operation, Proof, State
from syncer.core.normalise import phone_digits, phone_problem, says_the_same, to_e164
from syncer.core.numbers import PendingRelease, in_the_way, taken_text, waiting_text
from syncer.core.queue import OPEN, Event
from syncer.core.upstream_delete import is_wanted

#: A request that upstream accepted but does not show is reported to a person after this long.
PATIENCE = timedelta(days=1)

#: The same value of a field is not pushed more often than this in a day.
MOST_PUSHES = 3

#: An accepted update that the directory does not show is reported to a person after this many attempts, but not
#: earlier than this long after the first: reading may lag behind writing.
MOST_ATTEMPTS = 3
LAG = timedelta(minutes=10)

#: The longest wait before a change is tried or looked up again.
LONGEST_RETRY = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Due:
    """An open change, with the parts of its contact that a lookup needs."""

    change: int
    state: State
    row: int
    contact_id: str | None
    known: bool  #: the directory has the contact, and its values were agreed on


@dataclass(frozen=True, slots=True)
class Send:
    """Send a request. `fields` is exactly what is sent, without `contact_id`."""

    change: QueuedChange
    operation: Operation
    contact_id: str | None
    fields: Mapping[str, str]
    phone_e164: str | None = None  #: the number that it sets; a lost add is looked up by it
    seen: Fields | None = None  #: the row's values when this was decided


@dataclass(frozen=True, slots=True)
class Settle:
    """Move the change to another state without sending anything."""

    change: QueuedChange
    move: Transition
    revive: bool = False  #: the delete is impossible: the row returns
    gone: bool = False  #: upstream no longer has the contact, which decides all changes of the row
    show: tuple[str, ...] = ()  #: fields that show upstream's value again


@dataclass(frozen=True, slots=True)
class Wait:
    """Leave it as it is, with a reason for people."""

    change: QueuedChange
    why: str
    look_again: bool = False  #: a second lookup, two seconds later, may settle it
    for_person: bool = False  #: until a person decides another change: lookups cannot help


PushDecision: TypeAlias = Send | Settle | Wait


@dataclass(frozen=True, slots=True)
class Observation:
    """What a lookup in the directory proves about one row."""

    listing: Proof | None  #: of the directory listing, if one was read
    seen: bool  #: the row's contact was shown
    gone: bool = False  #: proven absent: by a complete listing, and by its id if that call works
    listings: int = 1  #: complete listings since the last request went out, two seconds apart


@dataclass(frozen=True, slots=True)
class PushContext:
    """What else the decision depends on."""

    now: datetime
    region: str
    phone_owner: int | None = None  #: another live row of the account with this number
    #: Contacts that have to give up a number before this one is free.
    in_the_way: Sequence[PendingRelease] = ()
    pushed: Sequence[Mapping[str, str]] = ()  #: fields of this row's done changes within a day
    too_many_deletes: bool = False


def decide(change: QueuedChange, local: Local, observed: Observation, ctx: PushContext) -> PushDecision:
    """What to do with one queued or unknown change."""
    if change.operation is Operation.DELETE:
        return _decide_delete(change, local, observed, ctx)
    if local.deleted:
        return _decide_overtaken(change, local, observed, ctx)
    if local.known:
        return _decide_update(change, local, observed, ctx)
    return _decide_add(change, local, observed, ctx)


def _decide_overtaken(
    change: QueuedChange, local: Local, observed: Observation, ctx: PushContext
) -> PushDecision:
    """An add or update of a contact that was deleted locally in the meantime."""
    if change.state is not State.UNKNOWN or local.contact_id is not None:
        return _give_up(change, "the contact was deleted")
    why = "its answer was lost and the contact is deleted here: looking for it upstream"
    accepted_at = _accepted_at(local, Operation.ADD)
    if observed.listing is not Proof.COMPLETE or observed.seen:
        return Wait(change, why)
    if accepted_at and not has_passed(PATIENCE, accepted_at, ctx.now):
        return Wait(change, why)
    if observed.listings < 2:
        return Wait(change, why, look_again=True)
    return _give_up(change, "the contact was deleted, and never reached upstream")


def _give_up(change: QueuedChange, note: str, *, show: tuple[str, ...] = ()) -> Settle:
    return Settle(change, Transition(change.id, Event.GIVE_UP, note), show=show)


def _refuse(change: QueuedChange, text: str, *, revive: bool = False, show: tuple[str, ...] = ()) -> Settle:
    return Settle(change, Transition(change.id, Event.REFUSED, text), revive=revive, show=show)


def _accepted_at(local: Local, operation: Operation) -> str | None:
    """When the newest request of this kind that upstream accepted was sent."""
    accepted = [i.sent_at for i in local.intents if i.operation is operation and i.answer == "accepted"]
    return accepted[-1] if accepted else None


def _behind(change: QueuedChange, chain: Sequence[PendingRelease]) -> Settle | Wait:
    """Wait until the number is given up. A lost change was looked up before and is not upstream."""
    if change.state is State.UNKNOWN:
        return Settle(change, Transition(change.id, Event.NOT_THERE, waiting_text(chain)))
    return Wait(change, waiting_text(chain), for_person=chain[-1].for_person)


def _gone(change: QueuedChange) -> Settle:
    return Settle(change, Transition(change.id, Event.SHOWN), gone=True)


def _problem(values: Mapping[str, str], region: str) -> str:
    """Why upstream would not take these values, or ''. Triggers refuse them, but older rows may have them."""
    if (number := values.get("phone_no")) is not None:
        problem = phone_problem(number, region) if number.strip() else "is empty: upstream needs a number"
        if problem:
            return f"phone_no {problem}"
    for name in REQUIRED:
        if name in values and not values[name].strip():
            return f"{name} is empty: upstream takes no contact without it"
    damaged = [name for name, value in values.items() if "\ufffd" in value]
    return f"{', '.join(damaged)}: the value is not UTF-8 text: type it again" if damaged else ""


def _as_sent(values: Mapping[str, str], region: str) -> dict[str, str]:
    """Values without a `_problem` as they are sent: phone numbers as digits with the country code."""
    number = to_e164(values.get("phone_no"), region)
    return {**values, **({"phone_no": phone_digits(number)} if number else {})}


def _decide_add(change: QueuedChange, local: Local, observed: Observation, ctx: PushContext) -> PushDecision:
    region = ctx.region
    if local.base is not None and not dirty_fields(local.base, local.fields, region):
        return _give_up(change, "undone before it was sent")
    if local.contact_id is not None:  # restored after upstream had deleted it: its old id is useless
        if observed.seen or observed.listing in (None, Proof.PARTIAL):
            return Wait(change, "waits for a look into the directory")
        return _gone(change)
    if accepted_at := _accepted_at(local, Operation.ADD):
        if has_passed(PATIENCE, accepted_at, ctx.now):
            return _refuse(
                change, "upstream accepted it a day ago and its directory does not show it: retry or discard"
            )
        return Wait(
            change, "accepted; waiting for the directory to show it", look_again=observed.listings < 2
        )
    if observed.seen:
        return Wait(change, "found upstream: taken over at the next look")
    if any(i.operation is Operation.ADD and i.answer is None for i in local.intents):
        if observed.listing is not Proof.COMPLETE:
            return Wait(change, "its answer was lost: waiting for a complete listing to look it up in")
        if observed.listings < 2:
            return Wait(
                change, "its answer was lost and it does not show: looking once more", look_again=True
            )
    elif observed.listing in (None, Proof.PARTIAL):
        return Wait(change, "waits for a look into the directory")
    values = {name: value for name, value in local.fields.asdict().items() if value or name in REQUIRED}
    if problem := _problem(values, region):
        return _refuse(change, problem)
    if ctx.in_the_way:
        return _behind(change, ctx.in_the_way)
    if ctx.phone_owner is not None:
        return _refuse(change, f"phone_no: {taken_text(ctx.phone_owner)}")
    number = to_e164(local.fields.phone_no, region)
    return Send(change, Operation.ADD, None, _as_sent(values, region), number, local.fields)


def _decide_update(
    change: QueuedChange, local: Local, observed: Observation, ctx: PushContext
) -> PushDecision:
    assert local.base is not None
    if observed.gone and is_wanted(local, ctx.region, ctx.now):
        return _gone(change)
    if not observed.seen and not observed.gone:
        return Wait(change, "waits for a look into the directory")
    dirty = dirty_fields(local.base, local.fields, ctx.region)
    values = {name: local.fields.get(name) for name in dirty if name not in local.in_conflict}
    if not values:
        conflict = next(iter(local.open(State.CONFLICT)), None)
        note = "undone before it was sent" if conflict is None else f"part of conflict {conflict.id}"
        respelled = local.fields.phone_no != local.base.phone_no and "phone_no" not in local.in_conflict
        show = ("phone_no",) if respelled else ()  # upstream's spelling again
        return _give_up(change, note, show=show)
    if problem := _problem(values, ctx.region):
        return _refuse(change, problem)
    fields = _as_sent(values, ctx.region)
    if "phone_no" in fields and ctx.in_the_way:
        del fields["phone_no"]  # the other fields do not wait for it
        if not fields:
            return _behind(change, ctx.in_the_way)
    ignored = _ignored_by_upstream(change, local, fields, ctx.now)
    if ignored:
        names = ", ".join(ignored)
        text = (
            f"{names}: upstream accepted the change but still shows the old value, which was restored locally"
        )
        return _refuse(change, text, show=ignored)
    return _send_update(change, local, fields, ctx)


def _send_update(
    change: QueuedChange, local: Local, fields: Mapping[str, str], ctx: PushContext
) -> PushDecision:
    """Send these fields, except those whose value was pushed too often within a day."""
    assert local.base is not None
    pushed_often = [] if change.approved else _pushed_often(fields, ctx.pushed)  # approved: a person insists
    respelled_upstream = [
        n for n in pushed_often if says_the_same(n, fields[n], local.base.get(n), ctx.region)
    ]
    fields = {name: value for name, value in fields.items() if name not in respelled_upstream}
    if not fields:
        names = ", ".join(respelled_upstream)
        text = f"upstream keeps its own spelling of {names}, which the row shows again"
        return _give_up(change, text, show=tuple(respelled_upstream))
    flips = ", ".join(name for name in pushed_often if name in fields)
    if flips:
        text = (
            f"{flips} flips back and forth: the same value was pushed {MOST_PUSHES} times within a day; "
            "frozen until a person decides (queue retry or discard)"
        )
        return _refuse(change, text)
    number = to_e164(fields.get("phone_no"), ctx.region)
    return Send(change, Operation.UPDATE, local.contact_id, fields, number, local.fields)


def _pushed_often(fields: Mapping[str, str], pushed: Sequence[Mapping[str, str]]) -> list[str]:
    """Fields whose value was pushed `MOST_PUSHES` times within a day."""
    return [
        name
        for name, value in fields.items()
        if sum(1 for past in pushed if past.get(name) == value) >= MOST_PUSHES
    ]


def _ignored_by_upstream(
    change: QueuedChange, local: Local, fields: Mapping[str, str], now: datetime
) -> tuple[str, ...]:
    """Fields that upstream accepted so often, without showing them, that another attempt would not help.

    Two attempts are enough for a cleared field, since the vendor does not document how to clear one; any other
    value gets `MOST_ATTEMPTS`.
    """
    out = []
    for name, value in fields.items():
        tries = [
            i.sent_at
            for i in local.intents
            if i.change_id == change.id and i.answer == "accepted" and i.fields.get(name) == value
        ]
        patient = len(tries) >= MOST_ATTEMPTS and has_passed(LAG, tries[0], now)
        if patient or (value == "" and len(tries) >= 2):
            out.append(name)
    return tuple(out)


def _decide_delete(
    change: QueuedChange, local: Local, observed: Observation, ctx: PushContext
) -> PushDecision:
    if local.source == "user_list":
        text = "the contact is in the user's own list only, and TeleCMI has no call to delete it there: it comes back"
        return _refuse(change, text, revive=True)
    if local.contact_id is None and not local.open(State.SENDING, State.UNKNOWN):
        return _give_up(change, "it never reached upstream")
    if local.contact_id is not None and observed.gone:
        return _gone(change)
    if change.state in (State.HELD, State.CONFLICT):
        return Wait(change, "waits for a person")
    if local.contact_id is None:
        return Wait(change, "waits until its lost add is settled")
    if not observed.seen:
        return Wait(change, "waits for a look into the directory")
    if not local.deleted:
        return _give_up(change, "the contact was brought back")
    newest = max(one.id for one in local.open(*OPEN, delete=True))
    if newest != change.id:  # it was restored in between, which ended the earlier approval
        return _give_up(change, f"continued in change {newest}")
    accepted_at = _accepted_at(local, Operation.DELETE)
    if accepted_at and not has_passed(LAG, accepted_at, ctx.now):
        return Wait(change, "accepted; waiting for the directory to stop showing it")
    if not change.approved and (ctx.too_many_deletes or change.found_by == "scan"):
        why = (
            "more deletes at once than max_deletions allows" if ctx.too_many_deletes else "found by the scan"
        )
        return Settle(
            change, Transition(change.id, Event.HOLD, f"{why}: `syncer queue approve {change.id}` lets it go")
        )
    return Send(change, Operation.DELETE, local.contact_id, {})


@dataclass(frozen=True, slots=True)
class PushFacts:
    """What the decisions on one block of changes depend on, by contact row."""

    now: datetime
    region: str
    observations: Mapping[int, Observation]
    phone_owners: Mapping[int, int]  #: another live row of the account with this row's number
    pushed: Mapping[int, Sequence[Mapping[str, str]]]  #: fields of done changes within a day
    releases: Mapping[str, PendingRelease]  #: by the number that is given up
    too_many_deletes: bool = False


def decide_all(pairs: Sequence[tuple[QueuedChange, Local]], facts: PushFacts) -> list[PushDecision]:
    """What to do with each change of a block. All changes of a contact have to be in one block."""
    out = []
    for change, local in pairs:
        row, number = local.row_id, to_e164(local.fields.phone_no, facts.region)
        context = PushContext(
            now=facts.now,
            region=facts.region,
            phone_owner=None if local.known else facts.phone_owners.get(row),
            in_the_way=in_the_way(facts.releases, row, number),
            pushed=facts.pushed.get(row, ()) if change.operation is Operation.UPDATE else (),
            too_many_deletes=facts.too_many_deletes,
        )
        out.append(decide(change, local, facts.observations.get(row, Observation(None, seen=False)), context))
    return newest_per_row(out)


def newest_per_row(decisions: Sequence[PushDecision]) -> list[PushDecision]:
    """Keep only the newest change of each row: it sends all current values of the row.

    There are two if a row was edited while the outcome of an earlier change was unknown. Deletes are not
    compared with other changes.
    """
    acting = [d for d in decisions if not isinstance(d, Wait) and d.change.operation is not Operation.DELETE]
    newest = {d.change.contact_row: d.change.id for d in sorted(acting, key=lambda d: d.change.id)}
    out: list[PushDecision] = []
    for decision in decisions:
        change = decision.change
        heir = newest.get(change.contact_row, change.id)
        if (
            change.operation is Operation.DELETE
            or change.id >= heir
            or (isinstance(decision, Settle) and decision.move.event is Event.GIVE_UP)
        ):
            out.append(decision)
        else:
            out.append(_give_up(change, f"continued in change {heir}"))
    return out


def is_still_wanted(
    send: Send, state: State, contact_id: str | None, fields: Fields, *, deleted: bool
) -> bool:
    """Whether a decided request may still be sent: the change is open, and the row was not edited since.

    A row that was edited is decided again: an edit that a person has just undone must not be sent.
    """
    if state not in (State.QUEUED, State.UNKNOWN):
        return False
    if send.operation is Operation.DELETE:
        return deleted
    return not deleted and fields == send.seen and contact_id == send.contact_id


def may_be_ours(send: Send, intents: Sequence[Intent], code: int, now: datetime) -> bool:
    """Whether a refusal may only mean that an earlier request, whose answer was lost, was applied.

    `intents` are the row's earlier requests. After a duplicate (409), this is assumed for as long as an
    accepted add may take to show; after a refused delete, for as long as reading may lag behind writing.
    """
    earlier = [i for i in intents if i.operation is send.operation and i.answer != "refused"]
    if not earlier:
        return False
    sent_at = earlier[0].sent_at
    if send.operation is Operation.ADD:
        return code == 409 and not has_passed(PATIENCE, sent_at, now)
    return send.operation is Operation.DELETE and not has_passed(LAG, sent_at, now)
