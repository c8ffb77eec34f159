"""Short ways to build the contacts and changes that decisions are asked about."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from syncer.core.contacts import Intent, Local, QueuedChange
from syncer.core.model import DirectoryContact, Fields, Operation, State
from syncer.core.normalise import utc_text

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
BASE = Fields("919200000001", "Asha", "Example", "asha@example.com", "Acme", "Lead")


def ago(**span: float) -> str:
    """A time before now, as it is stored."""
    return utc_text(NOW - timedelta(**span))


def change(operation: str = "update", state: str = "queued", number: int = 5, **more: Any) -> QueuedChange:
    return QueuedChange(number, "acc", 1, Operation(operation), State(state), **more)


def intent(
    operation: str = "update", answer: str | None = "accepted", of: int = 5, sent_at: str = "", **sent: str
) -> Intent:
    """A request of a change, just sent unless `sent_at` says otherwise."""
    fields: Mapping[str, str] = sent
    return Intent(1, of, Operation(operation), fields, "+919200000001", sent_at or utc_text(NOW), answer)


def local(*changes: QueuedChange, base: Fields | None = BASE, **more: Any) -> Local:
    """A contact that the directory knows; fields that are given differ from the base."""
    edits = {name: more.pop(name) for name in Fields._fields if name in more}
    known: dict[str, Any] = {"contact_id": "c-1", "source": "directory", "deleted_at": None, "raw": '{"v":1}'}
    if more.pop("deleted", False):
        known["deleted_at"] = ago(hours=1)
    return Local(
        row_id=1,
        account="acc",
        fields=BASE._replace(**edits),
        phone_e164="+919200000001",
        base=base,
        changes=changes,
        **(known | more),
    )


def shown(**edits: str) -> DirectoryContact:
    """What the directory shows: the base, except for these fields."""
    return DirectoryContact("c-1", BASE._replace(**edits), "+919200000001", '{"v":2}')
