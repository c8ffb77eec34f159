"""What to do with one listed row of a plain mirror: add, change, restore, remove, or nothing.

Pure comparison of the stored row with the listed one. Counting against the limits is left to
`limits.py`, writing to the store.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from syncer.core.model import Row, Value
from syncer.core.normalise import parse_stamp


class Stored(NamedTuple):
    """A row as the mirror holds it."""

    id: int
    values: Mapping[str, Value]  #: content columns
    raw: str | None
    deleted_at: str | None = None  #: UTC text of its tombstone


@dataclass(frozen=True, slots=True)
class Same:
    """Nothing to write."""

    id: int


@dataclass(frozen=True, slots=True)
class Insert:
    """A row that the mirror did not have."""


@dataclass(frozen=True, slots=True)
class Remove:
    """The vendor itself says that the row is deleted."""

    id: int


@dataclass(frozen=True, slots=True)
class Change:
    """A row that differs.

    `changes` by column: (old, new). Without any, only `raw` or a vendor stamp differs: stored, but
    no change that anybody is told of. `volatile` are vendor fields that alone differ.
    """

    id: int
    changes: Mapping[str, tuple[Value, Value]] = field(default_factory=dict)
    blanks: tuple[str, ...] = ()  #: columns that had a value and would have none
    restores: bool = False
    volatile: frozenset[str] = frozenset()


Decision: TypeAlias = Same | Insert | Remove | Change


def is_blank(value: Value) -> bool:
    """NULL and '' are one value, and so are empty JSON lists."""
    return value is None or value == "" or value == "[]"


def decide_row(
    stored: Stored | None,
    row: Row,
    *,
    content: tuple[str, ...],
    stamps: frozenset[str],
    ignored: frozenset[str],
) -> Decision:
    """Compare one listed row with what is stored.

    `stamps` are columns that are no content of their own; `ignored` vendor fields that were found to
    change on every read.
    """
    if stored is None:
        return Same(0) if row.deleted_at else Insert()
    if row.deleted_at:
        return Same(stored.id) if stored.deleted_at else Remove(stored.id)
    if stored.raw == row.raw and not stored.deleted_at:
        return Same(stored.id)
    changes: dict[str, tuple[Value, Value]] = {}
    stamped: dict[str, tuple[Value, Value]] = {}
    for column in content:
        old, new = stored.values.get(column), row.values.get(column)
        if old == new or (is_blank(old) and is_blank(new)) or column in ignored:
            continue
        if column.endswith("_at") and _same_moment(old, new):
            continue
        if column == "phone_e164":
            continue  # derived: it goes with the number it is derived from
        (stamped if column in stamps else changes)[column] = (old, new)
    if stored.deleted_at:
        return Change(stored.id, changes | stamped, restores=True)
    if changes:
        blanks = tuple(c for c, (old, new) in changes.items() if is_blank(new) and not is_blank(old))
        return Change(stored.id, changes | stamped, blanks)
    differing = differing_fields(stored.raw, row.raw)
    if differing <= ignored:
        return Same(stored.id)
    return Change(stored.id, volatile=differing - ignored)


def combine(copies: Sequence[Row], newest_by: str | None) -> Row:
    """One row of several that a listing showed under one identity, whatever order they came in.

    A row that the vendor calls deleted counts only if all are. Of the others the newest wins, by the
    column `newest_by` or the vendor's stamp, then by its JSON. What is blank in it is taken from the
    next; notes of all are kept.
    """
    living = [row for row in copies if row.deleted_at is None] or copies
    ranked = sorted(living, key=lambda row: _priority(row, newest_by))
    values: dict[str, Value] = {}
    document: dict[str, object] = {}
    for row in ranked:
        said = {name: value for name, value in row.values.items() if not is_blank(value)}
        if said.keys() & PHONE_COLUMNS:  # the derived number goes with the one that it is derived from
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


#: The columns from which `phone_e164` is derived.
PHONE_COLUMNS = frozenset({"phone_no", "mobile", "phone_number", "from_number"})


def _priority(row: Row, newest_by: str | None) -> tuple[int, str, str]:
    newest = row.values.get(newest_by) if newest_by else None
    return newest if isinstance(newest, int) else -1, row.stamp or "", row.raw


def _same_moment(old: Value, new: Value) -> bool:
    """Whether two stamps are one moment, written with another offset."""
    moment = parse_stamp(old) if isinstance(old, str) else None
    return moment is not None and isinstance(new, str) and parse_stamp(new) == moment


def differing_fields(old: str | None, new: str | None) -> frozenset[str]:
    """Top-level fields in which two JSON rows differ."""
    if old is None or new is None:
        return frozenset()
    left, right = json.loads(old), json.loads(new)
    if not isinstance(left, dict) or not isinstance(right, dict):
        return frozenset()
    missing = object()
    return frozenset(
        str(name)
        for name in left.keys() | right.keys()
        if left.get(name, missing) != right.get(name, missing)
    )


class Bits:
    """A set of row ids, one bit each: a listing of a million rows takes 125 kB."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, row_id: int) -> bool:
        at = row_id >> 3
        return at < len(self._bytes) and bool(self._bytes[at] & (1 << (row_id & 7)))

    def add(self, row_id: int) -> bool:
        """Add one; True when it was not there yet."""
        at, bit = row_id >> 3, 1 << (row_id & 7)
        if at >= len(self._bytes):
            self._bytes.extend(bytes(at + 1 - len(self._bytes) + 1024))
        if self._bytes[at] & bit:
            return False
        self._bytes[at] |= bit
        self._count += 1
        return True
