"""Finds people by row id, contact_id, phone number or name. A number without a contact counts as a person, too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from syncer.core.normalise import typed_e164
from syncer.store.db.read_only import Reader, Record, first, records
from syncer.store.read import contact_queries
from syncer.store.read.contact_queries import ANY_COLUMNS

#: Tables with phone numbers. All of them have an index on `phone_e164`.
_KNOWN = (
    "telecmi_contacts",
    "telecmi_user_contacts",
    "smartflo_contacts",
    "telecmi_calls",
    "smartflo_calls",
    "telecmi_voicemails",
    "callback_marks",
)

#: The most people that a part of a name finds.
_SOME = 6


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody in the mirror."""

    number: str | None  #: in E.164, or None if it is masked or unreadable
    contact: int | None  #: the row of `telecmi_contacts`
    table: str  #: where this person was found
    row: int | None
    account: str | None
    name: str | None


def find(
    conn: Reader, who: str, telecmi: Mapping[str, str], smartflo: Sequence[str], regions: Sequence[str]
) -> list[Person]:
    """Everybody whom `who` may mean. Rows with the same number are one person.

    `telecmi` maps accounts to the region of their numbers. `regions` are tried for numbers without an account.
    """
    found = [of_contact(row) for row in contact_queries.find_contacts(conn, who, telecmi)]
    number = None if found else typed_e164(who, regions)
    if number is not None and _is_known(conn, number):
        found = [Person(number, None, "", None, None, None)]
    if not found:
        found = _by_name(conn, who, list(telecmi), smartflo)
    people: dict[object, Person] = {}
    for one in found:
        people.setdefault(one.number or (one.table, one.row), one)
    return list(people.values())


def of_contact(row: Record) -> Person:
    """The person of a row of `telecmi_contacts`."""
    name = f"{row['first_name'] or ''} {row['last_name'] or ''}".strip() or None
    return Person(row["phone_e164"], row["id"], "telecmi_contacts", row["id"], row["account"], name)


def _is_known(conn: Reader, number: str) -> bool:
    return any(first(conn, f"SELECT 1 FROM {table} WHERE phone_e164 = ?", number) for table in _KNOWN)


def _by_name(conn: Reader, name: str, telecmi: Sequence[str], smartflo: Sequence[str]) -> list[Person]:
    """Contacts of any provider with exactly this name. Otherwise those in which its words occur."""
    exact = f"SELECT {', '.join(ANY_COLUMNS)} FROM contacts WHERE lower(name) = lower(?) ORDER BY source_table, source_id"
    rows: Sequence[Record] = records(conn, exact, " ".join(name.split()))
    if not rows:
        rows = contact_queries.list_any(conn, telecmi, smartflo, search=name, limit=_SOME)
    return [
        Person(
            row["phone_e164"],
            row["source_id"] if row["source_table"] == "telecmi_contacts" else None,
            row["source_table"],
            row["source_id"],
            row["account"],
            row["name"],
        )
        for row in rows
    ]
