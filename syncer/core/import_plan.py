"""What an import does with each row of a file: `add`, `update`, `same`, `duplicate` or `unreadable`, and why.

Values that differ only in blanks or composed characters are the same, and a blank cell changes nothing. `store` finds
the contacts that a row may mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from syncer.core.import_rows import Candidate, cell, number_problem
from syncer.core.model import FIELDS, Fields
from syncer.core.normalise import collapse, phone_digits, phone_problem, to_e164

#: What a spreadsheet shows for a failed formula.
_FORMULA_ERRORS = frozenset({"#REF!", "#N/A", "#VALUE!", "#NAME?", "#DIV/0!", "#NULL!", "#NUM!"})


class Verdict(StrEnum):
    """What an import does with a row."""

    ADD = "add"
    UPDATE = "update"
    SAME = "same"
    DUPLICATE = "duplicate"
    UNREADABLE = "unreadable"


class Holder(NamedTuple):
    """A live contact that a row may mean."""

    id: int
    fields: Fields


class RowKey(NamedTuple):
    """What the contact of a row is found by."""

    account: str
    e164: str | None  #: its number
    written: str  #: the number as written, if it cannot be read; else ''


@dataclass(frozen=True, slots=True)
class Matches:
    """What the mirror has for the key of a row."""

    holders: Sequence[Holder] = ()  #: live contacts, the oldest first
    pending_delete: int | None = None  #: a deleted contact whose delete is not upstream yet
    forgotten: bool = False  #: the person was forgotten, and must not come back


@dataclass(frozen=True, slots=True)
class PlannedRow:
    """The plan for a row."""

    row: int
    verdict: Verdict
    fields: Mapping[str, str] = field(default_factory=dict)  #: the new values that are added or changed
    of: int | None = None  #: of a duplicate: the row of the file with the same number, else the contact
    reason: str = ""
    contact: int | None = None  #: the row of `telecmi_contacts`


def key_of(candidate: Candidate, region: str) -> RowKey:
    """What the contact of a row is found by."""
    written = candidate.fields.phone_no
    e164 = to_e164(written, region)
    return RowKey(candidate.account, e164, "" if e164 else written)


def usable(candidate: Candidate) -> int:
    """How complete a row is. Of several rows with one number, the first of the most complete ones counts."""
    if candidate.problem or any(map(_damage, candidate.fields)):
        return 0
    return 2 if candidate.fields.first_name and candidate.fields.last_name else 1


def decide(candidate: Candidate, key: RowKey, known: Matches, region: str, other: int | None) -> PlannedRow:
    """Plan a row. `other` is the row of the file that counts for this key, if it is not this one."""
    row = candidate.row
    if candidate.problem:
        return PlannedRow(row, Verdict.UNREADABLE, reason=candidate.problem)
    holders = known.holders
    alike = next((one for one in holders if not _changes(candidate, one)), None)
    if alike is not None and (other is None or len(holders) > 1):
        return PlannedRow(row, Verdict.SAME, reason=_left_out(candidate), contact=alike.id)
    if other is not None:
        contact = holders[0].id if len(holders) == 1 else None
        more = ", and is more complete" if other > row else ""
        reason = f"row {other} of the file has the same number{more}"
        return PlannedRow(row, Verdict.DUPLICATE, of=other, reason=reason, contact=contact)
    if key.e164 is None and (not key.written or len(holders) != 1):
        return PlannedRow(row, Verdict.UNREADABLE, reason=_unreadable(key.written, region))
    if len(holders) > 1:
        rows = ", ".join(str(one.id) for one in holders)
        reason = f"contacts {rows} all have this number: edit the one that is meant"
        return PlannedRow(row, Verdict.DUPLICATE, of=holders[0].id, reason=reason, contact=holders[0].id)
    if holders:
        changes = _changes(candidate, holders[0])
        return _checked(PlannedRow(row, Verdict.UPDATE, changes, None, _left_out(candidate), holders[0].id))
    if known.pending_delete is not None:
        reason = f"contact {known.pending_delete} has this number, and its delete is not upstream yet"
        return PlannedRow(
            row, Verdict.DUPLICATE, of=known.pending_delete, reason=reason, contact=known.pending_delete
        )
    return _add(candidate, key, known)


def _add(candidate: Candidate, key: RowKey, known: Matches) -> PlannedRow:
    if known.forgotten:
        reason = "this person was forgotten (`syncer forget`), and an import does not bring anybody back"
        return PlannedRow(candidate.row, Verdict.UNREADABLE, reason=reason)
    for name in ("last_name", "first_name"):
        if not candidate.fields.get(name):
            reason = f"it has no {name.replace('_', ' ')}, and upstream takes no contact without one"
            return PlannedRow(candidate.row, Verdict.UNREADABLE, reason=reason)
    assert key.e164 is not None
    fields = candidate.fields._replace(phone_no=phone_digits(key.e164)).asdict()
    given = {name: value for name, value in fields.items() if value}
    return _checked(PlannedRow(candidate.row, Verdict.ADD, given, reason=_left_out(candidate)))


def _checked(planned: PlannedRow) -> PlannedRow:
    """The same plan, or a refusal if one of its values is damaged."""
    for name, value in planned.fields.items():
        if damage := _damage(value):
            reason = f"{name}: {damage}"
            return PlannedRow(planned.row, Verdict.UNREADABLE, reason=reason, contact=planned.contact)
    return planned


def _damage(value: str) -> str:
    """Why a text is not a usable value, or '': a failed formula, or a lost letter."""
    if "\ufffd" in value:
        return "a letter was lost (U+FFFD): save the file as UTF-8 from the original"
    return f"a formula failed ({value})" if value in _FORMULA_ERRORS else ""


def _changes(candidate: Candidate, holder: Holder) -> dict[str, str]:
    """The fields that a row would change, with the new values. The number is not one: the contact was found by it."""
    given, there = candidate.fields, Fields(*map(cell, holder.fields))
    changed = {
        name: new
        for name, new, old in zip(FIELDS[1:], given[1:], there[1:], strict=True)
        if new and new != old
    }
    if candidate.one_name and ("first_name" in changed or "last_name" in changed):
        one_word = not given.first_name and (there.first_name or there.last_name)
        if one_word or _full(given) == _full(there):
            changed = {name: new for name, new in changed.items() if name not in ("first_name", "last_name")}
    return changed


def _full(fields: Fields) -> str:
    return collapse(f"{fields.first_name} {fields.last_name}")


def _unreadable(written: str, region: str) -> str:
    if not written:
        return "it has no phone number"
    return f"the phone number {number_problem(written) or phone_problem(written, region)}"


def _left_out(candidate: Candidate) -> str:
    others = candidate.others
    return f"left out: {', '.join(others)}" if others else ""
