"""The three-way merge of one contact: base, local and upstream.

Takes the three copies and returns the new ones. The store applies them; `core/push.py` decides what is sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from syncer.core.model import FIELDS, Fields, OnConflict
from syncer.core.normalise import says_the_same, spelled_alike


@dataclass(frozen=True, slots=True)
class Clash:
    """One field that both sides changed to different values."""

    base: str
    local: str
    remote: str


@dataclass(frozen=True, slots=True)
class Merge:
    """The result of a merge."""

    base: Fields  #: the new base
    local: Fields  #: the new local values
    clashes: Mapping[str, Clash] = field(default_factory=dict)  #: by field: for a person
    taken: Mapping[str, tuple[str, str]] = field(default_factory=dict)  #: (ours, theirs): upstream's won
    overruled: Mapping[str, tuple[str, str]] = field(default_factory=dict)  #: (theirs, ours): ours won
    dirty: tuple[str, ...] = ()  #: fields that still differ from base and may be sent
    settled: bool = False  #: something was agreed on: older requests are no longer needed


@dataclass(frozen=True, slots=True)
class Sent:
    """What one request asked for."""

    fields: Mapping[str, str]
    accepted: bool  #: upstream said yes to it


def shows(sent: Sent, name: str, base: str, remote: str, region: str) -> bool:
    """Whether upstream shows what a request asked for in this field, perhaps in its own spelling.

    If upstream's value did not change, only an accepted request counts: upstream kept its own spelling of an edit
    that differed in nothing else.
    """
    if name not in sent.fields:
        return False
    value = sent.fields[name]
    if value == remote:
        return True
    return says_the_same(name, value, remote, region) and (
        sent.accepted or is_dirty(name, base, remote, region)
    )


def is_dirty(name: str, base: str, local: str, region: str) -> bool:
    """Whether `local` is an edit of `base`. Another spelling of a phone number is not an edit."""
    if base == local:
        return False
    return name != "phone_no" or not spelled_alike(name, base, local, region)


def dirty_fields(base: Fields, local: Fields, region: str) -> tuple[str, ...]:
    """The fields in which the row differs from base."""
    if base == local:
        return ()
    both = zip(FIELDS, base, local, strict=True)
    return tuple(
        name for name, theirs, mine in both if theirs != mine and is_dirty(name, theirs, mine, region)
    )


def merge(
    base: Fields | None,
    local: Fields,
    remote: Fields,
    *,
    sent: Sequence[Sent] = (),
    region: str = "IN",
    on_conflict: OnConflict = "ask",
) -> Merge:
    """Compare field by field.

    `base` is None for a row that was never agreed on (a new one whose number upstream already has). Then
    base counts as empty, except for the number. `sent` is every request since base last changed: an upstream
    value that says the same as one of them is our own.
    """
    agreed = base or Fields(phone_no=remote.phone_no)
    new_base, new_local = agreed.asdict(), local.asdict()
    clashes: dict[str, Clash] = {}
    taken: dict[str, tuple[str, str]] = {}
    overruled: dict[str, tuple[str, str]] = {}
    settled = False
    for name, b, mine, theirs in zip(FIELDS, agreed, local, remote, strict=True):
        if b == mine == theirs:
            continue
        edited = is_dirty(name, b, mine, region)
        moved = is_dirty(name, b, theirs, region)
        ours = next((one.fields[name] for one in reversed(sent) if shows(one, name, b, theirs, region)), None)
        if mine == theirs:  # both sides agree
            new_base[name] = theirs
        elif ours is not None and (moved or edited):  # our own write, perhaps respelled
            new_base[name] = theirs
            if not is_dirty(name, ours, mine, region):  # and not edited again meanwhile
                new_local[name] = theirs
                settled = True
        elif not moved:  # upstream did not change it
            new_base[name] = theirs
            if not edited:
                new_local[name] = theirs
        elif edited and spelled_alike(name, mine, theirs, region):  # the same, spelled differently
            new_base[name] = new_local[name] = theirs
        elif not edited or on_conflict == "remote":  # only upstream changed, or it always wins
            new_base[name] = new_local[name] = theirs
            taken[name] = (mine, theirs)
        elif on_conflict == "local":
            new_base[name] = theirs
            overruled[name] = (theirs, mine)
        else:
            clashes[name] = Clash(b, mine, theirs)
    result_base, result_local = Fields(**new_base), Fields(**new_local)
    dirty = tuple(n for n in dirty_fields(result_base, result_local, region) if n not in clashes)
    return Merge(result_base, result_local, clashes, taken, overruled, dirty, settled or base != result_base)
