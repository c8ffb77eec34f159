"""Declares which table mirrors which vendor list, for all that depends on it. The columns are in `tables.py`.

It does not import SQLAlchemy, so that commands that only read the mirror start fast.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from syncer.core.normalise import utc_text

#: Why most direct writes are refused.
READ_ONLY: Final = "it mirrors what the vendor shows"


@dataclass(frozen=True, slots=True)
class Mirror:
    """A table that mirrors one vendor list, row by row."""

    name: str  #: the table
    vendor: str
    key: str  #: the column that is the vendor's identity within the account
    label: str  #: SQL: the name of a row for people
    what: str  #: what one row is: "voicemail"
    within: tuple[str, ...] = ()  #: further columns of the identity
    number: str | None = (
        None  #: the column with a person's number as it came; `phone_e164` is derived from it
    )
    lasting: bool = False  #: a row keeps its identity when its number changes
    traces: tuple[str, ...] = ()  #: further columns that may contain a person's number
    stamps: frozenset[str] = frozenset()  #: vendor timestamps: alone they are not a change
    newest_by: str | None = (
        None  #: of rows with the same id, the one with the greatest value of this column counts
    )
    dated_by: str = "time"  #: the column that time windows go by, in ms or UTC text
    inserts_only: bool = False  #: `change_log` has only the inserts
    one_spelling: bool = False  #: its key has only one spelling
    derived: frozenset[str] = frozenset()  #: columns that are only set in new rows
    advice: str = READ_ONLY  #: what the refusal of a direct write says
    editable: bool = False  #: people write to it, and `core/contacts.py` decides about its listed rows

    def span(self, since_ms: int, until_ms: int) -> tuple[int, int] | tuple[str, str]:
        """A time span in the form of `dated_by`."""
        return (since_ms, until_ms) if self.dated_by == "time" else (utc_text(since_ms), utc_text(until_ms))


CONTACTS: Final = Mirror(
    "telecmi_contacts",
    "telecmi",
    "contact_id",
    "trim(COALESCE(first_name, '') || ' ' || COALESCE(last_name, ''))",
    "contact",
    number="phone_no",
    lasting=True,
    editable=True,
)
USER_CONTACTS: Final = Mirror(
    "telecmi_user_contacts",
    "telecmi",
    "mobile",
    "name",
    "user contact",
    number="mobile",
    stamps=frozenset({"time"}),
    newest_by="time",
    advice="edit the contact in telecmi_contacts instead",
)
VOICEMAILS: Final = Mirror(
    "telecmi_voicemails",
    "telecmi",
    "voicename",
    "voicename",
    "voicemail",
    number="from_number",
    traces=("voicename",),
    derived=frozenset({"received_at"}),
    one_spelling=True,
)
SMARTFLO_CONTACTS: Final = Mirror(
    "smartflo_contacts",
    "smartflo",
    "smartflo_id",
    "name",
    "contact",
    number="phone_number",
    lasting=True,
    stamps=frozenset({"updated_at"}),
    advice="Smartflo contacts are edited in Smartflo's portal; only telecmi_contacts can be edited here",
)
SMARTFLO_GROUPS: Final = Mirror(
    "smartflo_contact_groups", "smartflo", "group_id", "name", "group", stamps=frozenset({"updated_at"})
)

TELECMI_CALLS: Final = Mirror(
    "telecmi_calls",
    "telecmi",
    "cmiuid",
    "kind || ' call of ' || COALESCE(started_at, 'an unknown time')",
    "call",
    within=("kind",),
    number="from_number",
    traces=("from_number", "to_number", "filename"),
    inserts_only=True,
    one_spelling=True,
)
SMARTFLO_CALLS: Final = Mirror(
    "smartflo_calls",
    "smartflo",
    "smartflo_id",
    "COALESCE(status, '') || ' call of ' || COALESCE(started_at, 'an unknown time')",
    "call",
    number="client_number",
    traces=("client_number",),
    dated_by="started_at",
    inserts_only=True,
)

#: All mirrors, by table.
MIRRORS: Final[dict[str, Mirror]] = {
    one.name: one
    for one in (
        CONTACTS,
        USER_CONTACTS,
        VOICEMAILS,
        SMARTFLO_CONTACTS,
        SMARTFLO_GROUPS,
        TELECMI_CALLS,
        SMARTFLO_CALLS,
    )
}


def add_mirror(mirror: Mirror) -> Mirror:
    """Declare another mirror."""
    MIRRORS[mirror.name] = mirror
    return mirror
