"""What a contact of the directory means for the row that mirrors it.

Takes the row with its base, open changes and intents, and what the directory shows. Returns the new copies and the
transitions of the queue. Pulls, the lookup before a push and the read-back after it use this module; `push.py` decides
what is sent.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from syncer.core.merge import Clash, Merge, Sent, dirty_fields, is_dirty, merge, shows
from syncer.core.model import FIELDS, DirectoryContact, Fields, OnConflict, Operation, State
from syncer.core.normalise import says_the_same
from syncer.core.queue import Event


@dataclass(frozen=True, slots=True)
class Intent:
    """The exact fields of one request, committed before it went out."""

    id: int
    change_id: int
    operation: Operation
    fields: Mapping[str, str]
    phone_e164: str | None
    sent_at: str
    answer: str | None  #: None, `accepted` or `refused`


@dataclass(frozen=True, slots=True)
class QueuedChange:
    """A row of the queue."""

    id: int
    account: str
    contact_row: int
    operation: Operation
    state: State
    fields: Mapping[str, str] | None = None
    clashes: Mapping[str, Clash] = field(default_factory=dict)
    attempts: int = 0
    approved: bool = False  #: a person approved the delete, retried the change, or restored the contact
    found_by: str = "trigger"
    sent_at: str | None = None
    created_at: str = ""
    last_error: str | None = None


@dataclass(frozen=True, slots=True)
class Local:
    """A contact in the mirror, with its base, open changes and intents."""

    row_id: int
    account: str
    contact_id: str | None
    fields: Fields
    phone_e164: str | None
    deleted_at: str | None
    raw: str | None = None
    base: Fields | None = None  #: None: never agreed on, or gone upstream
    source: str = ""  #: of the base: `directory`, `user_list`, `gone` or ""
    agreed_epoch: int = 0  #: epoch of the last agreement
    changes: tuple[QueuedChange, ...] = ()  #: open ones
    intents: tuple[Intent, ...] = ()

    @property
    def deleted(self) -> bool:
        """Whether it is a tombstone here: deleted by a person, or gone upstream."""
        return self.deleted_at is not None

    @property
    def known(self) -> bool:
        """Whether the directory has it, and its values were agreed on."""
        return self.contact_id is not None and self.base is not None

    @property
    def sent(self) -> list[Sent]:
        """What adds and updates asked for since the base last changed, oldest first."""
        return [
            Sent(one.fields, one.answer == "accepted")
            for one in self.intents
            if one.operation is not Operation.DELETE
        ]

    @property
    def in_conflict(self) -> frozenset[str]:
        """Fields that wait for a person, because both sides changed them."""
        return frozenset(name for change in self.open(State.CONFLICT) for name in change.clashes)

    def open(self, *states: State, delete: bool = False) -> tuple[QueuedChange, ...]:
        """Open changes in one of `states`: the deletes, or everything else."""
        return tuple(
            c for c in self.changes if c.state in states and (c.operation is Operation.DELETE) is delete
        )


@dataclass(frozen=True, slots=True)
class Transition:
    """An event of a change."""

    change_id: int
    event: Event
    note: str | None = None
    operation: Operation | None = None  #: an add that turned out to be an update
    clashes: Mapping[str, Clash] | None = None


@dataclass(frozen=True, slots=True)
class NewChange:
    """A change that the queue lacks."""

    operation: Operation
    state: State
    clashes: Mapping[str, Clash] | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """The new copies of a row, and what happens to its changes."""

    base: Fields
    local: Fields
    deleted: bool
    taken: Mapping[str, tuple[str, str]] = field(default_factory=dict)  #: (ours, theirs): upstream's won
    overruled: Mapping[str, tuple[str, str]] = field(default_factory=dict)  #: (theirs, ours): ours won
    restored: bool = False
    moves: tuple[Transition, ...] = ()
    new: tuple[NewChange, ...] = ()
    settled: bool = False  #: the base changed: older intents are no longer needed
    blanks: tuple[str, ...] = ()  #: fields that upstream's values would turn blank


def turned_blank(base: Fields | None, shown: Fields) -> tuple[str, ...]:
    """Fields that have a value in base and that upstream now shows blank."""
    return tuple(n for n, old, now in zip(FIELDS, base or (), shown, strict=False) if old and not now)


def keep_values(remote: DirectoryContact, local: Local, names: Collection[str]) -> DirectoryContact:
    """What the directory shows, with the values of base in these fields.

    `raw` stays the old one, so that the next listing sees the difference again.
    """
    if not names or local.base is None:
        return remote
    kept = remote.fields._replace(**{name: local.base.get(name) for name in names})
    return replace(remote, fields=kept, raw=local.raw or remote.raw)


def refused_blanks(local: Local, blanks: Collection[str], region: str) -> list[str]:
    """Which of the fields that would turn blank keep their value after a lookup of only some contacts.

    The limit on blanks needs a whole listing, so a lookup leaves most of them to the next listing. It takes over only
    blanks that override a person's edit (`on_conflict`) or delete.
    """
    return [n for n in blanks if not local.deleted and not (local.base and _is_edit(n, local, region))]


def reconcile(
    local: Local, remote: DirectoryContact, *, region: str, on_conflict: OnConflict
) -> Reconciliation:
    """Decide what the directory's contact means for a row of the mirror (found by id, or adopted by number)."""
    if local.deleted:
        return _reconcile_deleted(local, remote, region)
    return _reconcile_living(local, remote, region, on_conflict)


class ListedOutcome(NamedTuple):
    """What happens to a row that a listing or a lookup showed."""

    remote: DirectoryContact  #: the part that is taken over
    result: Reconciliation
    deferred: tuple[str, ...] = ()  #: fields that would turn blank, so that the whole row waits


def reconcile_listed(
    local: Local,
    remote: DirectoryContact,
    kept: Collection[str],
    *,
    defer_blanks: bool,
    region: str,
    on_conflict: OnConflict,
) -> ListedOutcome:
    """Like `reconcile`, but a field that would turn blank waits (`defer_blanks`) or keeps its value.

    `kept` are fields that may not turn blank, by a person's decision.
    """
    held = tuple(name for name in turned_blank(local.base, remote.fields) if name in kept)
    remote = keep_values(remote, local, held)
    result = reconcile(local, remote, region=region, on_conflict=on_conflict)
    if defer_blanks:
        return ListedOutcome(remote, result, (*held, *result.blanks))
    if result.blanks:
        remote = keep_values(remote, local, refused_blanks(local, result.blanks, region))
        result = reconcile(local, remote, region=region, on_conflict=on_conflict)
    return ListedOutcome(remote, result)


def _reconcile_deleted(local: Local, remote: DirectoryContact, region: str) -> Reconciliation:
    deletes = local.open(State.QUEUED, State.SENDING, State.UNKNOWN, State.HELD, State.CONFLICT, delete=True)
    adds = local.open(State.SENDING, State.UNKNOWN)
    if local.base is None:
        return _reconcile_deleted_add(local, remote, adds, deletes, region)
    shown = tuple(
        Transition(c.id, Event.SHOWN) for c in adds if c.fields and _is_shown(c, local, remote.fields, region)
    )
    changed = [
        n
        for n in dirty_fields(local.base, remote.fields, region)
        if not any(shows(one, n, local.base.get(n), remote.fields.get(n), region) for one in local.sent)
    ]
    if not changed:  # upstream did not change it: the delete goes on
        return Reconciliation(remote.fields, local.fields, deleted=True, moves=shown, settled=bool(shown))
    approved = [c for c in deletes if c.approved or c.state is State.CONFLICT]
    if approved:
        clashes = {n: Clash(local.base.get(n), "", remote.fields.get(n)) for n in changed}
        note = "upstream changed the contact after its delete was approved"
        moves = tuple(
            Transition(c.id, Event.CLASH, note, clashes=clashes)
            for c in approved
            if c.state is not State.SENDING and dict(c.clashes) != clashes
        )
        return Reconciliation(local.base, local.fields, deleted=True, moves=shown + moves)
    if any(c.state is State.SENDING for c in deletes):  # the answer to the delete decides
        return Reconciliation(local.base, local.fields, deleted=True, moves=shown)
    blanks = turned_blank(local.base, remote.fields)
    return _edit_beats_delete(remote, shown, deletes, blanks)


def _reconcile_deleted_add(
    local: Local,
    remote: DirectoryContact,
    adds: tuple[QueuedChange, ...],
    deletes: tuple[QueuedChange, ...],
    region: str,
) -> Reconciliation:
    """The directory shows a deleted contact without a base: one that had gone upstream, or a lost add that arrived."""
    if not deletes:  # it had gone, and has come back
        return Reconciliation(remote.fields, remote.fields, deleted=False, restored=True)
    moves = tuple(Transition(c.id, Event.SHOWN) for c in adds)
    added = [i.fields for i in local.intents if i.operation is Operation.ADD]
    if added and not any(_is_as_sent(remote.fields, fields, region) for fields in added):
        return _edit_beats_delete(remote, moves, deletes)
    return Reconciliation(remote.fields, local.fields, deleted=True, moves=moves, settled=True)


def _edit_beats_delete(
    remote: DirectoryContact,
    moves: tuple[Transition, ...],
    deletes: tuple[QueuedChange, ...],
    blanks: tuple[str, ...] = (),
) -> Reconciliation:
    note = "upstream changed the contact meanwhile: an edit beats a delete"
    moves += tuple(Transition(c.id, Event.GIVE_UP, note) for c in deletes)
    fields = remote.fields
    return Reconciliation(
        fields, fields, deleted=False, restored=True, moves=moves, settled=True, blanks=blanks
    )


def _is_as_sent(remote: Fields, fields: Mapping[str, str], region: str) -> bool:
    """Whether upstream has a new contact exactly as a request created it."""
    return all(says_the_same(n, fields.get(n, ""), remote.get(n), region) for n in FIELDS)


def _is_shown(change: QueuedChange, local: Local, remote: Fields, region: str) -> bool:
    """Whether upstream shows everything that the newest request of a change asked for."""
    requests = [one for one in local.intents if one.change_id == change.id]
    sent = Sent(change.fields or {}, bool(requests) and requests[-1].answer == "accepted")
    base = local.base or Fields()
    return all(shows(sent, n, base.get(n), remote.get(n), region) for n in FIELDS if n in sent.fields)


def _reconcile_living(
    local: Local, remote: DirectoryContact, region: str, on_conflict: OnConflict
) -> Reconciliation:
    result = merge(
        local.base, local.fields, remote.fields, sent=local.sent, region=region, on_conflict=on_conflict
    )
    moves: dict[int, Transition] = {}  # by change
    free: list[QueuedChange] = []  # changes that carry the dirty fields
    for change in local.open(State.QUEUED, State.SENDING, State.UNKNOWN, State.REJECTED):
        step = _follow_merge(change, local, remote.fields, result, region)
        if step is not None:
            moves[change.id] = step
        if step is None or step.event is Event.EDIT:
            free.append(change)
    new: list[NewChange] = []
    match _conflict_step(local, result, free):
        case NewChange() as opened:
            new.append(opened)
        case Transition() as step:
            moves[step.change_id] = step
    if result.dirty and not free and not any(move.event is Event.KEEP_LOCAL for move in moves.values()):
        new.append(NewChange(Operation.UPDATE, State.QUEUED))
    return Reconciliation(
        base=result.base,
        local=result.local,
        deleted=False,
        taken=result.taken,
        overruled=result.overruled,
        moves=tuple(moves.values()),
        new=tuple(new),
        settled=result.settled,
        blanks=tuple(n for n, (old, now) in result.taken.items() if old and not now),
    )


def _follow_merge(
    change: QueuedChange, local: Local, remote: Fields, result: Merge, region: str
) -> Transition | None:
    """What a merge means for an open change; None: the change stays as it is."""
    adopted = change.operation is Operation.ADD and not local.known
    in_flight = change.state in (State.SENDING, State.UNKNOWN)
    if in_flight and (adopted or (change.fields and _is_shown(change, local, remote, region))):
        return Transition(change.id, Event.SHOWN)
    agreed = not result.dirty and not result.clashes and (adopted or local.base != result.base)
    if agreed and not in_flight:
        beaten = [n for n in result.taken if local.base and _is_edit(n, local, region)]
        if beaten:  # on_conflict = remote
            note = f"upstream's {', '.join(beaten)} was kept, as on_conflict says"
            return Transition(change.id, Event.GIVE_UP, note)
        return Transition(change.id, Event.SHOWN)  # upstream has it already
    if adopted:
        return Transition(change.id, Event.EDIT, operation=Operation.UPDATE)
    return None


def _is_edit(name: str, local: Local, region: str) -> bool:
    assert local.base is not None
    return is_dirty(name, local.base.get(name), local.fields.get(name), region)


def _conflict_step(
    local: Local, result: Merge, free: Sequence[QueuedChange]
) -> Transition | NewChange | None:
    """Open, update or close the row's conflict, which holds only the fields that differ.

    `free` are the changes that carry the other edited fields.
    """
    conflict = next(iter(local.open(State.CONFLICT)), None)
    clashes, dirty = result.clashes, result.dirty
    note = f"both sides changed {', '.join(clashes)}"
    if clashes and conflict is not None:
        if dict(conflict.clashes) == dict(clashes):
            return None
        return Transition(conflict.id, Event.CLASH, note, clashes=clashes)
    if clashes:
        unsent = next((change for change in free if change.state is not State.SENDING), None)
        if unsent is None or dirty:
            return NewChange(Operation.UPDATE, State.CONFLICT, clashes, note)
        return Transition(unsent.id, Event.CLASH, note, clashes=clashes, operation=Operation.UPDATE)
    if conflict is None:
        return None
    if not set(conflict.clashes) & set(dirty):
        return Transition(conflict.id, Event.SHOWN)  # both sides agree again
    if free:
        return Transition(conflict.id, Event.GIVE_UP, f"continued in change {free[0].id}")
    return Transition(conflict.id, Event.KEEP_LOCAL)
