"""How to undo edits of a contact: restore the values before them, except those that somebody changed since.

The edits are entries of `change_log`. The caller chooses them and writes the result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from syncer.core.model import FIELDS, Fields
from syncer.core.normalise import same, spelled_alike

Action = Literal["restore", "delete", "bring back", "keep", "nothing"]

#: The field of an entry that says that a contact was brought back.
_REVIVAL = "deleted_at"


class Edit(NamedTuple):
    """An entry of `change_log` about a contact."""

    kind: str  #: `insert`, `update` or `delete`
    field: str | None = None
    old: str | None = None
    new: str | None = None


@dataclass(frozen=True, slots=True)
class Current:
    """The contact as it is now."""

    row: int
    fields: Fields
    deleted: bool


@dataclass(frozen=True, slots=True)
class Undo:
    """What happens to a contact."""

    contact: int
    action: Action
    fields: Mapping[str, str] = field(default_factory=dict)  #: the restored values
    kept: tuple[str, ...] = ()  #: fields that stay because somebody changed them since
    reason: str = ""  #: why something stays


def undo(current: Current, edits: Sequence[Edit], later: Sequence[Edit], region: str) -> Undo:
    """How to undo these edits, in their order. `later` are all entries about the contact after them, by either side."""
    lives = [edit.kind if edit.kind != "update" else "revival" for edit in edits if _is_life(edit)]
    was_live = not lives or lives[0] == "delete"
    is_live = not lives or lives[-1] != "delete"
    if not was_live:
        return _take_away(current, later, region) if is_live else Undo(current.row, "nothing")
    if current.deleted and is_live:
        return Undo(current.row, "keep", reason="the contact was deleted since")
    values, kept = _fields(current, edits, region)
    reason = f"changed since: {', '.join(kept)}" if kept else ""
    if current.deleted:
        return Undo(current.row, "bring back", values, kept, reason)
    action: Action = "restore" if values else "keep" if kept else "nothing"
    return Undo(current.row, action, values, kept, reason)


def _is_life(edit: Edit) -> bool:
    return edit.kind in ("insert", "delete") or edit.field == _REVIVAL


def _take_away(current: Current, later: Sequence[Edit], region: str) -> Undo:
    """Delete a contact that was added or brought back, unless somebody has edited it since."""
    if current.deleted:
        return Undo(current.row, "nothing")
    edited = tuple(dict.fromkeys(name for edit in later if (name := _edited(edit, region))))
    if edited:
        return Undo(
            current.row, "keep", kept=edited, reason=f"the contact was edited since: {', '.join(edited)}"
        )
    return Undo(current.row, "delete")


def _edited(edit: Edit, region: str) -> str | None:
    """The field that an entry changed to more than another spelling."""
    if edit.field not in FIELDS or spelled_alike(edit.field, edit.old, edit.new, region):
        return None
    return edit.field


def _fields(current: Current, edits: Sequence[Edit], region: str) -> tuple[dict[str, str], tuple[str, ...]]:
    """The values to restore, and the fields that hold neither the edits' value nor the one before."""
    before: dict[str, str | None] = {}
    after: dict[str, str | None] = {}
    for edit in edits:
        if edit.field in FIELDS:
            before.setdefault(edit.field, edit.old)
            after[edit.field] = edit.new
    values, kept = {}, []
    for name in FIELDS:
        now = current.fields.get(name)
        if name not in before or same(before[name], after[name]) or same(now, before[name]):
            continue
        if spelled_alike(name, now, after[name], region):
            values[name] = before[name] or ""
        else:
            kept.append(name)
    return values, tuple(kept)
