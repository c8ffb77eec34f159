"""The contacts with a phone number, in the order in which the views choose a caller's name.

The order is that of `call_sql.caller` for rows without an account: TeleCMI's directory, the user lists, then Smartflo.
Within a source, the oldest row comes first. A test compares both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from syncer.store.db.call_sql import FULL_NAME
from syncer.store.db.read_only import Reader, tuples

_SOURCES = f"""
SELECT 'telecmi', c.account, {FULL_NAME.format("c")}, c.company, 'telecmi_contacts', c.id, 1
FROM telecmi_contacts c WHERE c.phone_e164 = ?1 AND c.deleted_at IS NULL
UNION ALL
SELECT 'telecmi', u.account, u.name, NULL, 'telecmi_user_contacts', u.id, 2
FROM telecmi_user_contacts u WHERE u.phone_e164 = ?1 AND u.deleted_at IS NULL
UNION ALL
SELECT 'smartflo', s.account, s.name, s.company_name, 'smartflo_contacts', s.id, 3
FROM smartflo_contacts s WHERE s.phone_e164 = ?1 AND s.deleted_at IS NULL
ORDER BY 7, 6"""


@dataclass(frozen=True, slots=True)
class NameSource:
    """A live row with the number."""

    provider: str
    account: str
    name: str | None
    company: str | None
    table: str
    row: int


def sources(conn: Reader, number: str) -> list[NameSource]:
    """All live rows with this number (E.164), in order of precedence."""
    found = tuples(conn, _SOURCES, number)
    return [
        NameSource(provider, account, name or None, company or None, table, row)
        for provider, account, name, company, table, row, _ in found
    ]


def named(found: Sequence[NameSource]) -> NameSource | None:
    """The source of the caller's name: the first with a name."""
    return next((one for one in found if one.name), None)


def company(found: Sequence[NameSource]) -> str | None:
    """The caller's company. It may come from another source than the name."""
    return next((one.company for one in found if one.company), None)
