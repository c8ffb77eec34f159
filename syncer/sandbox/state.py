"""The data of the two vendors, as plain records.

`telecmi` and `smartflo` have the calls that read and change it, and `world` the operations from outside.
"""

from __future__ import annotations

import functools
import re
from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass, field
from typing import Any

#: The six fields of a directory contact, in the vendor's order.
FIELDS = ("phone_no", "first_name", "last_name", "email_id", "company", "job_title")
#: The required ones.
REQUIRED = ("phone_no", "first_name", "last_name")
#: The fields of a row of a user's list (v2), except `notes`.
USER_FIELDS = ("agent", "inet_no", "name", "mobile", "email", "info", "tag", "status", "time", "remindme")
#: The fields that can be set of a Smartflo contact, and of a group.
SMARTFLO_FIELDS = (
    "contact_group_id",
    "contact_group_name",
    "phone_number",
    "name",
    "email_id",
    "address",
    "company_name",
    "custom_fields",
)
GROUP_FIELDS = (
    "name",
    "list_id",
    "description",
    "field_map",
    "added_by",
    "created_by",
    "clone_from_contact",
    "visible_to",
)
#: TeleCMI's four lists of call records.
CALL_KINDS = ("answered", "missed", "out_answered", "out_missed")


def phone_key(value: object, rule: str = "e164") -> str | None:
    """What all spellings of one number have in common under a `duplicate_rule`; None: nothing."""
    if rule == "none":
        return None
    return str(value) if rule == "exact" else _last_ten(str(value))


@functools.lru_cache(maxsize=200_000)
def _last_ten(text: str) -> str | None:
    digits = re.sub(r"\D", "", text)
    return "91" + digits[-10:] if digits else None


@dataclass(slots=True)
class Contact:
    """A contact of a directory (v3)."""

    contact_id: str
    seq: int  #: its place in the order of insertion
    fields: dict[str, Any]  #: the six; an optional one may be missing
    visible_at: float = 0.0  #: epoch seconds from which it is shown
    hidden_lists: int = 0  #: listings that still start without it
    gone_at: float | None = None  #: deleted, but shown until then
    lag: list[tuple[float, dict[str, Any]]] = field(
        default_factory=list
    )  #: (until, the fields shown until then)

    def shown(self, now: float) -> dict[str, Any]:
        """The fields that are shown at a time."""
        self.lag = [(until, old) for until, old in self.lag if until > now]
        return self.lag[0][1] if self.lag else self.fields


@dataclass(slots=True)
class User:
    """A user of TeleCMI: a login, and a contact list (v2)."""

    user_id: str
    password: str
    name: str
    contacts: list[dict[str, Any]] = field(default_factory=list)

    @property
    def app_id(self) -> int:
        """The organization, which the id names after the extension."""
        return int(self.user_id.rpartition("_")[2])


@dataclass(slots=True)
class Voicemail:
    """A voicemail of an organization."""

    received_ms: int  #: when it was really left
    caller: int | str  #: `from`: a number, or a text if it is masked
    voicename: str
    visible_at: float = 0.0  #: epoch seconds from which it is listed
    shift_ms: int | None = None  #: how far `time` is ahead; None: as the settings say
    sent: int | float | str | None = None  #: sent as `time` instead; not used for filtering
    asked: int = 0  #: requests for its recording so far


@dataclass(slots=True)
class Call:
    """A call record of either vendor."""

    time_ms: int  #: when it began
    row: dict[str, Any]  #: as the vendor documents it
    visible_at: float = 0.0  #: epoch seconds from which it is listed


class CallRecords:
    """Call records in order of time, then of insertion."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def add(self, call: Call) -> None:
        """Insert a call."""
        insort(self.calls, call, key=_began)

    def between(self, start_ms: float, end_ms: float, now: float, late_s: float) -> list[Call]:
        """The calls of a window (both ends included) that are listed at `now`.

        `late_s` is how many seconds after its beginning any call is listed at the earliest.
        """
        first, last = (
            bisect_left(self.calls, start_ms, key=_began),
            bisect_right(self.calls, end_ms, key=_began),
        )
        return [c for c in self.calls[first:last] if max(c.visible_at, c.time_ms / 1000 + late_s) <= now]

    def expire(self, before_ms: int) -> int:
        """Remove calls that began before a time. Returns how many."""
        gone = bisect_left(self.calls, before_ms, key=_began)
        del self.calls[:gone]
        return gone


def _began(call: Call) -> int:
    return call.time_ms


@dataclass(slots=True)
class Organization:
    """One TeleCMI app id: credentials, the directory, the users, the voicemails, the calls."""

    app_id: int
    secret: str
    contacts: dict[str, Contact] = field(default_factory=dict)
    held_back: dict[str, Contact] = field(default_factory=dict)  #: those that are not shown yet
    gone: list[Contact] = field(default_factory=list)  #: deleted, may still be shown for a while
    users: dict[str, User] = field(default_factory=dict)
    voicemails: list[Voicemail] = field(default_factory=list)
    calls: dict[str, CallRecords] = field(
        default_factory=lambda: {kind: CallRecords() for kind in CALL_KINDS}
    )

    def hold_back(self, contact: Contact, visible_at: float, lists: int) -> None:
        """Hide a new contact until a time (epoch seconds) and for this many listings."""
        contact.visible_at = visible_at
        # The listing that begins next counts as the first one without it.
        contact.hidden_lists = lists + 1 if lists else 0
        self.held_back[contact.contact_id] = contact

    def begin_listing(self) -> None:
        """Count a listing, for contacts that are hidden for some listings."""
        for contact in self.held_back.values():
            contact.hidden_lists = max(0, contact.hidden_lists - 1)

    def visible(self, now: float, *, listing: bool) -> list[Contact]:
        """The contacts that are shown at a time, oldest first."""
        self.gone = [c for c in self.gone if c.gone_at is not None and c.gone_at > now]
        self.held_back = {
            contact_id: c
            for contact_id, c in self.held_back.items()
            if contact_id in self.contacts and (c.visible_at > now or c.hidden_lists)
        }
        rows = list(self.contacts.values())
        if self.held_back:
            rows = [c for c in rows if c.visible_at <= now and not (listing and c.hidden_lists)]
        return sorted([*rows, *self.gone], key=lambda c: c.seq) if self.gone else rows


@dataclass(slots=True)
class Token:
    """A token of either vendor."""

    value: str
    owner: str  #: the user id, or the e-mail
    expires_at: float  #: epoch seconds; infinite for a permanent one
    kind: str = "login"  #: or `permanent`


@dataclass(slots=True)
class SmartfloContact:
    """A contact of Smartflo; stamps are epoch seconds."""

    id: int
    fields: dict[str, Any]
    created_at: float
    updated_at: float
    deleted_at: float | None = None
    visible_at: float = 0.0


@dataclass(slots=True)
class SmartfloGroup:
    """A contact group of Smartflo; stamps are epoch seconds."""

    id: int
    fields: dict[str, Any]
    created_at: float
    updated_at: float
    deleted_at: float | None = None


@dataclass(slots=True)
class Smartflo:
    """One Smartflo account."""

    email: str
    password: str
    contacts: dict[int, SmartfloContact] = field(default_factory=dict)
    groups: dict[int, SmartfloGroup] = field(default_factory=dict)
    calls: CallRecords = field(default_factory=CallRecords)
    failed_logins: int = 0
    locked_until: float = 0.0


@dataclass(slots=True)
class Request:
    """One entry of the request journal, without secrets."""

    n: int
    at: float
    method: str
    path: str
    body: Any = None  #: the JSON body
    query: dict[str, str] | None = None
    auth: str | None = None  #: the scheme of the Authorization header, never its value
    status: int | None = None  #: HTTP status; None while it runs, or without an answer
    code: Any = None  #: `code` of the answer's JSON, if it has one
    fault: str | None = None
    done_at: float | None = None

    def as_json(self) -> dict[str, Any]:
        """All of it, fit for JSON."""
        return {name: getattr(self, name) for name in self.__slots__}
