"""Whom a person means by a row id, a contact_id, a number or a name: a contact, or a number without one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from syncer.core.normalise import typed_e164
from syncer.store.db.read_only import Reader, Record, first, records
from syncer.store.read import contact_queries
from syncer.store.read.contact_queries import ANY_COLUMNS

#: Tables that may know a number, all with an index on it.
_KNOWN = (
    "telecmi_contacts",
    "telecmi_user_contacts",
    "smartflo_contacts",
    "telecmi_calls",
    "smartflo_calls",
    "telecmi_voicemails",
    "callback_marks",
)

#: People who are found by a part of a name, at most.
_SOME = 6


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody whom the mirror knows."""

    number: str | None  #: in E.164; None where the contact's is masked or unreadable
    contact: int | None  #: the row of `telecmi_contacts`
    table: str  #: where this person was found
    row: int | None
    account: str | None
    name: str | None


def find(
    conn: Reader, who: str, telecmi: Mapping[str, str], smartflo: Sequence[str], regions: Sequence[str]
) -> list[Person]:
    """Everybody whom `who` may mean; several rows with one number are one person.

    `telecmi` are the accounts with the region in which numbers are read, `regions` those for numbers of no account.
    """
    found = [_of_contact(row) for row in contact_queries.find_contacts(conn, who, telecmi)]
    number = None if found else typed_e164(who, regions)
    if number is not None and _is_known(conn, number):
        found = [Person(number, None, "", None, None, None)]
    if not found:
        found = _by_name(conn, who, list(telecmi), smartflo)
    people: dict[object, Person] = {}
    for one in found:
        people.setdefault(one.number or (one.table, one.row), one)
    return list(people.values())


def _of_contact(row: Record) -> Person:
    name = f"{row['first_name'] or ''} {row['last_name'] or ''}".strip() or None
    return Person(row["phone_e164"], row["id"], "telecmi_contacts", row["id"], row["account"], name)


def _is_known(conn: Reader, number: str) -> bool:
    return any(first(conn, f"SELECT 1 FROM {table} WHERE phone_e164 = ?", number) for table in _KNOWN)


def _by_name(conn: Reader, name: str, telecmi: Sequence[str], smartflo: Sequence[str]) -> list[Person]:
    """Contacts of any provider with just this name; where there is none, those that have its words somewhere."""
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
