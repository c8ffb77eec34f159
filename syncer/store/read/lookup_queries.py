"""What a PBX and phones ask: who has a number, how old that is, and all contacts, a few at a time."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from syncer.store.db.read_only import Reader, first, placeholders, raw, tuples
from syncer.store.read import callers

#: Contacts that one query reads: with more, the thread that writes them out would hold up the daemon's loop.
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
    table: str  #: where the name is from


def find(conn: Reader, number: str) -> Found | None:
    """Who has this number (E.164), by the order of the views; None: nobody."""
    known = callers.sources(conn, number)
    if not known:
        return None
    source = callers.named(known) or known[0]
    return Found(source.name, callers.company(known), source.provider, source.account, source.table)


def last_ok(conn: Reader, job: str | None, account: str) -> str | None:
    """When a job of an account last ended well, as UTC text."""
    at: str | None = first(
        conn, "SELECT last_ok_at FROM sync_jobs WHERE job = ? AND account = ?", job, account
    )
    return at


#: (name, phone_e164, email, company)
Contact = tuple[str | None, str | None, str | None, str | None]


def contact_keys(conn: Reader, start: int = 0, limit: int | None = None) -> array[int]:
    """Which rows the view `contacts` has, by name, from the one with number `start` on: 8 bytes each."""
    query = (
        "SELECT source_id * 3 + CASE source_table WHEN 'telecmi_contacts' THEN 0 WHEN 'telecmi_user_contacts' THEN 1 "
        "ELSE 2 END FROM contacts ORDER BY name COLLATE NOCASE, source_table, source_id LIMIT ? OFFSET ?"
    )
    cursor = raw(conn).execute(query, (-1 if limit is None else limit, start))
    return array("q", (key for (key,) in cursor))


def load_contacts(conn: Reader, keys: Sequence[int]) -> list[Contact]:
    """These rows, in this order, at most `CHUNK`; one that went since is left out."""
    ids = [key // 3 for key in keys] + [0] * (CHUNK - len(keys))  # one statement for all
    query = (
        "SELECT source_table, source_id, name, phone_e164, email, company FROM contacts "
        f"WHERE source_id IN ({placeholders(ids)})"
    )
    found = {(table, row): contact for table, row, *contact in tuples(conn, query, *ids)}
    rows = (found.get((_TABLES[key % 3], key // 3)) for key in keys)
    return [(row[0], row[1], row[2], row[3]) for row in rows if row is not None]
