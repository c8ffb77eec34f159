"""Queries for contacts and voicemails."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence

from syncer.core.merge import dirty_fields
from syncer.core.model import FIELDS, Fields
from syncer.core.normalise import to_e164
from syncer.store.db.columns import columns
from syncer.store.db.read_only import QueryPage, Reader, Record, first, page, placeholders, record, records
from syncer.store.read.searching import searching

#: A phone number as in the column `phone_e164`.
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")

_COLUMNS = f"SELECT {columns('telecmi_contacts')}"
_CONTACTS = f"{_COLUMNS} FROM telecmi_contacts"

#: The columns of the view `contacts` that a list shows.
ANY_COLUMNS = ("provider", "account", "name", "phone_e164", "email", "company", "source_table", "source_id")


# -- contacts ----------------------------------------------------------------------------------------


def list_telecmi(
    conn: Reader,
    accounts: Sequence[str],
    *,
    search: str | None = None,
    tombstones: bool = False,
    limit: int | None = None,
) -> QueryPage:
    """Rows of `telecmi_contacts` with all columns, by name. `tombstones` adds deleted ones."""
    with searching(conn, search, (*FIELDS, "phone_e164", "contact_id")) as found:
        rest = f"FROM telecmi_contacts WHERE {_mine(accounts, tombstones)}{found}"
        return page(conn, _COLUMNS, rest, "lower(first_name), lower(last_name), id", accounts, limit)


def list_smartflo(
    conn: Reader,
    accounts: Sequence[str],
    *,
    search: str | None = None,
    tombstones: bool = False,
    limit: int | None = None,
) -> QueryPage:
    """Rows of `smartflo_contacts` with all columns, by name."""
    searched = ("name", "phone_number", "phone_e164", "email_id", "company_name", "contact_group_name")
    with searching(conn, search, searched) as found:
        select = f"SELECT {columns('smartflo_contacts')}"
        rest = f"FROM smartflo_contacts WHERE {_mine(accounts, tombstones)}{found}"
        return page(conn, select, rest, "lower(name), id", accounts, limit)


def list_any(
    conn: Reader,
    telecmi: Sequence[str],
    smartflo: Sequence[str],
    *,
    search: str | None = None,
    limit: int | None = None,
) -> QueryPage:
    """Rows of the view `contacts`: one per contact of any provider, by name."""
    wanted = (
        f"(provider = 'telecmi' AND account IN ({placeholders(telecmi)}) "
        f"OR provider = 'smartflo' AND account IN ({placeholders(smartflo)}))"
    )
    with searching(conn, search, ("name", "phone_e164", "email", "company")) as found:
        select = f"SELECT {', '.join(ANY_COLUMNS)}"
        rest = f"FROM contacts WHERE {wanted}{found}"
        order = "lower(name), source_table, source_id"
        return page(conn, select, rest, order, (*telecmi, *smartflo), limit)


def _mine(accounts: Sequence[str], tombstones: bool) -> str:
    # The `+` keeps SQLite from using the index on the account: most rows are needed.
    return f"+account IN ({placeholders(accounts)})" + ("" if tombstones else " AND deleted_at IS NULL")


def find_contacts(conn: Reader, who: str, regions: Mapping[str, str]) -> list[Record]:
    """The rows that `who` may mean: a phone number in any usual spelling, a contact_id or a row id (or `id:12`).

    `regions` maps the accounts to search to the region of their numbers. Live rows are preferred to tombstones.
    """
    found: dict[int, Record] = {}
    base = f"{_CONTACTS} WHERE account IN ({placeholders(regions)})"
    only_id = re.fullmatch(r"id:([0-9]{1,19})", who)
    row_id = only_id[1] if only_id else who if re.fullmatch(r"[1-9][0-9]{0,18}", who) else None
    if row_id is not None and int(row_id) < 2**63:
        found |= {row["id"]: row for row in records(conn, f"{base} AND id = ?", *regions, int(row_id))}
    if only_id:
        return list(found.values())
    exact = {row["id"]: row for row in records(conn, f"{base} AND contact_id = ?", *regions, who)}
    by_number = {row["id"]: row for row in _by_number(conn, who, regions)}
    living = {row_id for row_id, row in by_number.items() if row["deleted_at"] is None}
    found |= exact | {key: row for key, row in by_number.items() if not living or key in living}
    return sorted(found.values(), key=lambda row: row["id"])


def _by_number(conn: Reader, number: str, regions: Mapping[str, str]) -> list[Record]:
    out = []
    for account, region in regions.items():
        e164 = _read_number(conn, number, region)
        where, values = "phone_e164 = ? OR phone_e164 IS NULL AND COALESCE(phone_no, '') <> ''", [e164]
        if e164 is None or not number.startswith("+"):
            # This column has no index. A number with its country code is found by `phone_e164`.
            where, values = f"{where} OR phone_no = ?", [e164, number]
        for row in records(conn, f"{_CONTACTS} WHERE +account = ? AND ({where})", account, *values):
            # A number that was just edited may not be in `phone_e164` yet.
            known = row["phone_e164"] or to_e164(row["phone_no"], region)
            if (e164 is not None and known == e164) or row["phone_no"] == number:
                out.append(row)
    return out


def _read_number(conn: Reader, number: str, region: str) -> str | None:
    """The number in E.164. A number that a contact has in this form is not parsed: that takes a slow import."""
    if _E164.fullmatch(number) and first(conn, "SELECT 1 FROM telecmi_contacts WHERE phone_e164 = ?", number):
        return number
    return to_e164(number, region)


def holders(conn: Reader, account: str, e164: str, region: str, *, but: int | None = None) -> list[Record]:
    """Live rows of the account with this number, except row `but`."""
    rows = _by_number(conn, e164, {account: region})
    return [row for row in rows if row["deleted_at"] is None and row["id"] != but]


def load_contact(conn: Reader, row_id: int) -> Record | None:
    """One row of `telecmi_contacts`."""
    return record(conn, f"{_CONTACTS} WHERE id = ?", row_id)


def upstream_values(conn: Reader, row_id: int) -> Record | None:
    """The base of a contact, or None if it was never upstream."""
    query = f"SELECT {columns('contact_base')} FROM contact_base WHERE row_id = ? AND source <> 'gone'"
    return record(conn, query, row_id)


def changed_fields(conn: Reader, change: Record, region: str) -> list[str]:
    """The fields of a change of the queue, as far as they are known before it is sent."""
    if change["fields"]:
        known = json.loads(change["fields"])
        return [name for name in FIELDS if name in known]
    if change["operation"] != "update":
        return []
    contact, base = load_contact(conn, change["contact_row"]), upstream_values(conn, change["contact_row"])
    if contact is None or base is None:
        return []
    return list(dirty_fields(Fields.of(base), Fields.of(contact), region))


# -- voicemails --------------------------------------------------------------------------------------


def list_voicemails(
    conn: Reader,
    accounts: Iterable[str],
    *,
    since: str | None = None,
    unknown: bool = False,
    search: str | None = None,
    limit: int | None = None,
) -> QueryPage:
    """Voicemails, newest first: the table's columns, then `caller_name`, `caller_company` and `audio`.

    `since` is UTC text. `unknown` selects callers without a name. Undated voicemails come last. They count from the
    time when they were first seen.
    """
    values: list[object] = list(accounts)
    where = f"t.account IN ({placeholders(values)})"
    if since is not None:
        where += " AND (t.received_at >= ? OR t.received_at IS NULL AND t.first_seen_at >= ?)"
        values += [since, since]
    if unknown:
        where += " AND v.caller_name IS NULL"
    select = f"SELECT {columns('telecmi_voicemails', 't')}, v.caller_name, v.caller_company, a.state AS audio"
    order = "t.received_at IS NULL, t.received_at DESC, t.id DESC"
    with searching(conn, search, ("caller_name", "caller_company", "t.phone_e164", "t.from_number")) as found:
        joined = "JOIN voicemails v ON v.id = t.id LEFT JOIN voicemail_audio a ON a.voicemail = t.id"
        rest = f"FROM telecmi_voicemails t {joined} WHERE {where}{found}"
        return page(conn, select, rest, order, values, limit)
