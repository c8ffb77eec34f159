"""The data types that all packages share: rows, pages, contacts, changes, certificates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal, NamedTuple, TypeAlias

#: What a column of a mirrored table may hold.
Value: TypeAlias = str | int | None

#: The six editable fields of a TeleCMI contact, by the vendor's names (v3 `/contact/add`).
FIELDS = ("phone_no", "first_name", "last_name", "email_id", "company", "job_title")

#: Those that no contact can lack upstream (v3 `/contact/add`).
REQUIRED = ("phone_no", "first_name", "last_name")

#: Where a listing continues: a page number (from 1) or a cursor; None is the start.
Position: TypeAlias = int | str | None


@dataclass(frozen=True, slots=True)
class Note:
    """One note of a user's contact (v2). Notes are only ever added, and identified by all of their values."""

    msg: str
    date: int | None  #: epoch milliseconds, as sent
    agent: str


class Row(NamedTuple):
    """One parsed row of a vendor's list. A tuple, because it takes a third of the time to create."""

    key: str  #: the vendor's id, unique within the account
    values: Mapping[str, Value]  #: columns of the mirrored table by name, `phone_e164` included
    raw: str  #: the vendor's JSON of this row, compact, with the keys in their order
    deleted_at: str | None = None  #: UTC text, if the vendor says that the row was deleted
    stamp: str | None = None  #: UTC text of the vendor's "updated at", if it has one
    notes: tuple[Note, ...] = ()
    doubt: str = ""  #: what was unclear, and how it was interpreted; no personal data


@dataclass(frozen=True, slots=True)
class SetAside:
    """A row that could not be understood: kept and counted, never dropped."""

    raw: str  #: its JSON
    reason: str  #: which field, and what was wrong with it; no personal data
    key: str | None = None  #: its id, if that could be read


@dataclass(frozen=True, slots=True)
class Page:
    """One answer of a list call."""

    rows: tuple[Row, ...]  #: those that could be understood
    set_aside: tuple[SetAside, ...] = ()  #: the others
    digest: str = ""  #: a hash of all rows; pages with the same digest are the same page
    total: int | None = None  #: the vendor's `count`, which proves nothing by itself
    cursor: str | None = None  #: of the next page; None or "": this is the last one
    server_date: datetime | None = None  #: the answer's HTTP `Date`, UTC

    @property
    def size(self) -> int:
        """How many rows the vendor sent, understood or not."""
        return len(self.rows) + len(self.set_aside)

    @property
    def weight(self) -> int:
        """How many characters its rows have as JSON, and its cursor."""
        rows = sum(len(row.raw) for row in self.rows) + sum(len(row.raw) for row in self.set_aside)
        return rows + len(self.cursor or "")


class Paging(StrEnum):
    """How a list call is paged."""

    NUMBERED = "numbered"
    CURSOR = "cursor"


class Proof(StrEnum):
    """How a listing ended. Only `COMPLETE` may prove that a row is gone."""

    COMPLETE = "complete"
    DRIFTED = "drifted"  #: it changed while it was read, or its totals do not add up
    PARTIAL = "partial"  #: failed, cut, refused


class Operation(StrEnum):
    """What a change asks upstream to do."""

    ADD = "add"
    UPDATE = "update"
    DELETE = "delete"


class State(StrEnum):
    """The state of a change; `core/queue.py` has the transitions."""

    QUEUED = "queued"
    SENDING = "sending"
    UNKNOWN = "unknown"
    DONE = "done"
    REJECTED = "rejected"
    CONFLICT = "conflict"
    HELD = "held"
    DISCARDED = "discarded"


OnConflict: TypeAlias = Literal["ask", "local", "remote"]


class Fields(NamedTuple):
    """The six fields of a contact, in the vendor's order. NULL is ''."""

    phone_no: str = ""
    first_name: str = ""
    last_name: str = ""
    email_id: str = ""
    company: str = ""
    job_title: str = ""

    @classmethod
    def of(cls, values: Mapping[str, object]) -> Fields:
        """Read them from any mapping; a missing or NULL field is ''."""
        return cls(*["" if (value := values.get(name)) is None else str(value) for name in FIELDS])

    def get(self, name: str) -> str:
        """One field, by name."""
        value = getattr(self, name)
        assert isinstance(value, str)
        return value

    def asdict(self) -> dict[str, str]:
        """The fields by name, in the vendor's order."""
        return dict(zip(FIELDS, self, strict=True))

    def changed_from(self, before: Fields) -> dict[str, str]:
        """The fields that differ from `before`, by name."""
        both = zip(FIELDS, before, self, strict=True)
        return {name: new for name, old, new in both if old != new}


@dataclass(frozen=True, slots=True)
class DirectoryContact:
    """One contact as the organization's directory (v3) shows it."""

    contact_id: str
    fields: Fields
    phone_e164: str | None
    raw: str
