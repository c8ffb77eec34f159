"""What to do with one listed row of a plain mirror: add, change, restore, remove, or nothing.

Compares the stored row with the listed one. `limits.py` applies the limits, and the store writes.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from syncer.core.model import FIELDS, Row, Value
from syncer.core.normalise import canonical_id, parse_stamp


class Stored(NamedTuple):
    """A row as the mirror holds it."""

    id: int
    values: Mapping[str, Value]  #: content columns
    raw: str | None
    deleted_at: str | None = None  #: UTC text of its tombstone


@dataclass(frozen=True, slots=True)
class RowUnchanged:
    """Nothing to write."""

    id: int


@dataclass(frozen=True, slots=True)
class RowInsert:
    """A row that the mirror did not have."""


@dataclass(frozen=True, slots=True)
class RowRemoval:
    """A row that the vendor says is deleted."""

    id: int


@dataclass(frozen=True, slots=True)
class RowUpdate:
    """A row that differs.

    `changes` is column -> (old, new). If it is empty, only `raw` or a vendor timestamp differs, which is stored but not
    logged as a change. `volatile` are the vendor fields that differ, if nothing else does.
    """

    id: int
    changes: Mapping[str, tuple[Value, Value]] = field(default_factory=dict)
    blanks: tuple[str, ...] = ()  #: columns that have a value and would lose it
    restores: bool = False
    volatile: frozenset[str] = frozenset()


RowDecision: TypeAlias = RowUnchanged | RowInsert | RowRemoval | RowUpdate


def is_blank(value: Value) -> bool:
    """Whether a value counts as blank: NULL, '' or an empty JSON list."""
    return value is None or value == "" or value == "[]"


def decide_row(
    stored: Stored | None,
    row: Row,
    *,
    content: tuple[str, ...],
    stamps: frozenset[str],
    ignored: frozenset[str],
) -> RowDecision:
    """Compare one listed row with what is stored.

    `stamps` are columns that do not count as a change by themselves; `ignored` are vendor fields that differ on every
    read.
    """
    if stored is None:
        return RowUnchanged(0) if row.deleted_at else RowInsert()
    if row.deleted_at:
        return RowUnchanged(stored.id) if stored.deleted_at else RowRemoval(stored.id)
    if stored.raw == row.raw and not stored.deleted_at:
        return RowUnchanged(stored.id)
    changes: dict[str, tuple[Value, Value]] = {}
    stamped: dict[str, tuple[Value, Value]] = {}
    for column in content:
        if (
            column in ignored or column == "phone_e164"
        ):  # that is derived from the number, and updated with it
            continue
        old, new = stored.values.get(column), row.values.get(column)
        if _same(column, old, new):
            continue
        (stamped if column in stamps else changes)[column] = (old, new)
    if stored.deleted_at:
        return RowUpdate(stored.id, changes | stamped, restores=True)
    if changes:
        blanks = tuple(c for c, (old, new) in changes.items() if is_blank(new) and not is_blank(old))
        return RowUpdate(stored.id, changes | stamped, blanks)
    differing = differing_fields(stored.raw, row.raw)
    if differing <= ignored:
        return RowUnchanged(stored.id)
    return RowUpdate(stored.id, volatile=differing - ignored)


def is_older(stored: Stored | None, row: Row, newest_by: str | None) -> bool:
    """Whether a listed row may be the older of two with the same id, so that it is not written yet."""
    if stored is None or newest_by is None or stored.deleted_at is not None:
        return False
    mine, theirs = stored.values.get(newest_by), row.values.get(newest_by)
    return isinstance(mine, int) and (not isinstance(theirs, int) or theirs < mine)


def keep_columns(stored: Stored, row: Row, columns: Sequence[str], number: str | None) -> Row:
    """The listed row with the stored values of these columns, which may not turn blank.

    `number` is the column from which `phone_e164` is derived. `raw` stays the old one, so that the next listing
    differs again.
    """
    kept = {name: stored.values.get(name) for name in columns}
    if number in kept:
        kept["phone_e164"] = stored.values.get("phone_e164")
    return row._replace(values={**row.values, **kept}, raw=stored.raw or row.raw)


def combine(copies: Sequence[Row], newest_by: str | None, number: str | None) -> Row:
    """Merge rows that a listing showed under one id. Their order does not matter.

    Rows that the vendor calls deleted count only if all are deleted. Of the others the newest wins, by the column
    `newest_by`, then by the vendor's timestamp, then by its JSON. Its blanks are filled from the next newest row. The
    notes of all are kept. `number` is the column from which `phone_e164` is derived.
    """
    living = [row for row in copies if row.deleted_at is None] or copies
    ranked = sorted(living, key=lambda row: _priority(row, newest_by))
    values: dict[str, Value] = {}
    document: dict[str, object] = {}
    for row in ranked:
        said = {name: value for name, value in row.values.items() if not is_blank(value)}
        if number in said:  # `phone_e164` belongs to the number that it is derived from
            said["phone_e164"] = row.values.get("phone_e164")
        else:
            said.pop("phone_e164", None)
        values = {**row.values, **values, **said}
        for name, value in json.loads(row.raw).items():
            if name not in document or value not in (None, "", []):
                document[name] = value
    best = ranked[-1]
    if len(ranked) == 1:
        return best
    notes = dict.fromkeys(note for row in reversed(ranked) for note in row.notes)
    raw = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return best._replace(values=values, raw=raw, notes=tuple(notes))


def _priority(row: Row, newest_by: str | None) -> tuple[int, str, str]:
    newest = row.values.get(newest_by) if newest_by else None
    meaning = repr(_meaning(json.loads(row.raw)))  # the text may be spelled differently in the next pull
    return newest if isinstance(newest, int) else -1, row.stamp or "", meaning


def _same(column: str, old: Value, new: Value) -> bool:
    """Whether two values of a column mean the same."""
    if old == new or (is_blank(old) and is_blank(new)):
        return True
    if not isinstance(old, str) or not isinstance(new, str):
        return False
    if column.endswith("_at"):
        moment = parse_stamp(old)
        return moment is not None and parse_stamp(new) == moment
    if old[:1] in _BRACKETS and new[:1] in _BRACKETS:  # a list, stored as JSON
        with contextlib.suppress(ValueError):
            return bool(_meaning(json.loads(old)) == _meaning(json.loads(new)))
    return False


_BRACKETS = ("[", "{")


def differing_fields(old: str | None, new: str | None) -> frozenset[str]:
    """Top-level fields in which two JSON rows differ in meaning.

    These are the same: keys and list items in another order, blank and absent, a number and its digits as text, and
    other spellings of an id or a timestamp. The six editable fields are compared character by character.
    """
    if old is None or new is None:
        return frozenset()
    try:
        left, right = json.loads(old), json.loads(new)
        if isinstance(left, dict) and isinstance(right, dict):
            names = left.keys() | right.keys()
            return frozenset(n for n in names if _meaning(left.get(n), n) != _meaning(right.get(n), n))
    except RecursionError:  # nested too deeply to compare
        pass
    return frozenset() if old == new else frozenset({""})


def same_raw(old: str | None, new: str | None, ignored: frozenset[str] = frozenset()) -> bool:
    """Whether two JSON rows mean the same, apart from `ignored` fields."""
    return old == new or (old is not None and new is not None and differing_fields(old, new) <= ignored)


def _meaning(value: Any, name: str = "") -> Any:
    """A JSON value in a canonical form; None if it is blank."""
    match value:
        case dict():
            inner = {key: _meaning(one, key) for key, one in value.items()}
            return tuple(sorted((key, one) for key, one in inner.items() if one is not None)) or None
        case list():
            return tuple(sorted(filter(None, map(_meaning, value)), key=repr)) or None
        case bool():
            return "true" if value else "false"
        case float() if value.is_integer():
            return str(int(value))
        case str() if name in FIELDS:
            return value or None
        case str() if name.endswith("_at"):
            return parse_stamp(value) or value or None
        case str() if name.endswith("id") or name == "mobile":
            return canonical_id(value) or None
        case str():
            return value or None
        case None:
            return None
        case _:
            return str(value)


class Bits:
    """A set of row ids with one bit per id: 125 kB for a million rows."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, row_id: int) -> bool:
        at = row_id >> 3
        return at < len(self._bytes) and bool(self._bytes[at] & (1 << (row_id & 7)))

    def add(self, row_id: int) -> bool:
        """Add one; True if it is new."""
        at, bit = row_id >> 3, 1 << (row_id & 7)
        if at >= len(self._bytes):
            self._bytes.extend(bytes(at + 1 - len(self._bytes) + 1024))
        if self._bytes[at] & bit:
            return False
        self._bytes[at] |= bit
        self._count += 1
        return True
