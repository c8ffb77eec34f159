"""Queries of phone systems: who has a number, the age of that, and all contacts in chunks."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from syncer.store.db.read_only import Reader, first, placeholders, raw, tuples
from syncer.store.read import callers

#: Contacts per query. With more, the thread that writes them out would delay the daemon's event loop.
CHUNK: Final = 50

#: The tables behind the view `contacts`.
_TABLES: Final = ("telecmi_contacts", "telecmi_user_contacts", "smartflo_contacts")


@dataclass(frozen=True, slots=True)
class Found:
    """Who has a number."""

    name: str | None
    company: str | None
    provider: str
    account: str
    table: str  #: where the name comes from


def find(conn: Reader, number: str) -> Found | None:
    """Who has this number (E.164), by the precedence of the views. None if nobody has it."""
    known = callers.sources(conn, number)
    if not known:
        return None
    source = callers.named(known) or known[0]
    return Found(source.name, callers.company(known), source.provider, source.account, source.table)


def last_ok(conn: Reader, job: str | None, account: str) -> str | None:
    """When a job of an account last succeeded, as UTC text."""
    at: str | None = first(
        conn, "SELECT last_ok_at FROM sync_jobs WHERE job = ? AND account = ?", job, account
    )
    return at


#: (name, phone_e164, email, company)
Contact = tuple[str | None, str | None, str | None, str | None]


def contact_keys(conn: Reader, start: int = 0, limit: int | None = None) -> array[int]:
    """The keys of the rows of the view `contacts`, by name, from row `start` on. Each takes 8 bytes."""
    query = (
        "SELECT source_id * 3 + CASE source_table WHEN 'telecmi_contacts' THEN 0 WHEN 'telecmi_user_contacts' THEN 1 "
        "ELSE 2 END FROM contacts ORDER BY name COLLATE NOCASE, source_table, source_id LIMIT ? OFFSET ?"
    )
    cursor = raw(conn).execute(query, (-1 if limit is None else limit, start))
    return array("q", (key for (key,) in cursor))


def load_contacts(conn: Reader, keys: Sequence[int]) -> list[Contact]:
    """The contacts with these keys, at most `CHUNK`, in this order. Deleted ones are left out."""
    ids = [key // 3 for key in keys] + [0] * (CHUNK - len(keys))  # one statement for all
    query = (
        "SELECT source_table, source_id, name, phone_e164, email, company FROM contacts "
        f"WHERE source_id IN ({placeholders(ids)})"
    )
    found = {(table, row): contact for table, row, *contact in tuples(conn, query, *ids)}
    rows = (found.get((_TABLES[key % 3], key // 3)) for key in keys)
    return [(row[0], row[1], row[2], row[3]) for row in rows if row is not None]
