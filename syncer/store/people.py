"""What people ask the mirror for, and what they edit by command: contacts and voicemails.

The edits are plain SQL that the triggers catch like any client's (`Database.edit`); what becomes of
them is left to the push. Nothing here writes for the program itself.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

from sqlalchemy import (
    Connection,
    Select,
    and_,
    column,
    delete,
    func,
    insert,
    or_,
    select,
    text,
    update,
)
from sqlalchemy import table as named_view

from syncer.core.model import FIELDS
from syncer.core.normalise import to_e164
from syncer.store.tables import (
    contact_base,
    smartflo_contacts,
    telecmi_accounts,
    telecmi_contacts,
    telecmi_voicemails,
)

#: A row for people: column -> value.
Record: TypeAlias = dict[str, Any]

#: What may stand in a phone number as it is written or searched for.
_PHONE_SIGNS = re.compile(r"[+\d\s().\-]+")

_C = telecmi_contacts.c


def _records(conn: Connection, query: Any) -> list[Record]:
    return [dict(row) for row in conn.execute(query).mappings()]


# -- contacts ----------------------------------------------------------------------------------------


def list_telecmi(
    conn: Connection,
    accounts: Sequence[str],
    *,
    search: str | None = None,
    tombstones: bool = False,
    limit: int | None = None,
) -> list[Record]:
    """Rows of `telecmi_contacts` with all columns, by name; the living ones, or tombstones too."""
    query = select(telecmi_contacts).where(_C.account.in_(accounts))
    if not tombstones:
        query = query.where(_C.deleted_at.is_(None))
    names = (func.lower(_C.first_name), func.lower(_C.last_name))
    return _matching(
        conn, query.order_by(*names, _C.id), search, limit, (*FIELDS, "phone_e164", "contact_id")
    )


def list_smartflo(
    conn: Connection,
    accounts: Sequence[str],
    *,
    search: str | None = None,
    tombstones: bool = False,
    limit: int | None = None,
) -> list[Record]:
    """Rows of `smartflo_contacts` with all columns, by name."""
    table = smartflo_contacts
    query = select(table).where(table.c.account.in_(accounts))
    if not tombstones:
        query = query.where(table.c.deleted_at.is_(None))
    searched = ("name", "phone_number", "phone_e164", "email_id", "company_name", "contact_group_name")
    return _matching(conn, query.order_by(func.lower(table.c.name), table.c.id), search, limit, searched)


def list_any(
    conn: Connection,
    telecmi: Sequence[str],
    smartflo: Sequence[str],
    *,
    search: str | None = None,
    limit: int | None = None,
) -> list[Record]:
    """Rows of the view `contacts`: one a contact of any provider, by name."""
    query = text(
        "SELECT provider, account, name, phone_e164, email, company, source_table, source_id FROM contacts "
        "ORDER BY lower(name), source_table, source_id"
    )
    wanted = {("telecmi", name) for name in telecmi} | {("smartflo", name) for name in smartflo}
    found = (dict(row) for row in conn.execute(query).mappings())
    mine = (row for row in found if (row["provider"], row["account"]) in wanted)
    match = _matcher(search, ("name", "phone_e164", "email", "company"))
    return list(islice((row for row in mine if match(row)), limit))


def _matching(
    conn: Connection, query: Select[Any], search: str | None, limit: int | None, columns: Sequence[str]
) -> list[Record]:
    match = _matcher(search, columns)
    rows = (dict(row) for row in conn.execute(query).mappings())
    return list(islice((row for row in rows if match(row)), limit))


def _matcher(search: str | None, columns: Sequence[str]) -> Callable[[Record], bool]:
    """Whether every word of `search` stands in a row; a number is found however it is spelled.

    In Python, since SQLite's own comparison knows no letters beyond ASCII.
    """
    if not search:
        return lambda _: True
    digits = re.sub(r"\D", "", search) if _PHONE_SIGNS.fullmatch(search) else ""
    words = search.casefold().split()

    def match(row: Record) -> bool:
        values = [str(row[name]).casefold() for name in columns if row.get(name)]
        if all(any(word in value for value in values) for word in words):
            return True
        return len(digits) >= 3 and any(digits.lstrip("0") in re.sub(r"\D", "", value) for value in values)

    return match


def find_contacts(conn: Connection, who: str, regions: Mapping[str, str]) -> list[Record]:
    """The rows that `who` may mean: a phone number in any usual spelling, a contact_id or a row id.

    `regions` are the accounts to look in, with the region that numbers are read in. Living rows count
    before tombstones. `id:12` is a row id and nothing else.
    """
    found: dict[int, Record] = {}
    base = select(telecmi_contacts).where(_C.account.in_(list(regions)))
    only_id = re.fullmatch(r"id:([0-9]{1,19})", who)
    row_id = only_id[1] if only_id else who if re.fullmatch(r"[1-9][0-9]{0,18}", who) else None
    if row_id is not None and int(row_id) < 2**63:
        found |= {row["id"]: row for row in _records(conn, base.where(_C.id == int(row_id)))}
    if only_id:
        return list(found.values())
    exact = {row["id"]: row for row in _records(conn, base.where(_C.contact_id == who))}
    by_number = {row["id"]: row for row in _by_number(conn, who, regions)}
    living = {row_id for row_id, row in by_number.items() if row["deleted_at"] is None}
    found |= exact | {key: row for key, row in by_number.items() if not living or key in living}
    return sorted(found.values(), key=lambda row: row["id"])


def _by_number(conn: Connection, number: str, regions: Mapping[str, str]) -> list[Record]:
    out = []
    for account, region in regions.items():
        e164 = to_e164(number, region)
        unread = and_(_C.phone_e164.is_(None), func.coalesce(_C.phone_no, "") != "")
        query = select(telecmi_contacts).where(
            _C.account == account, or_(_C.phone_e164 == e164, _C.phone_no == number, unread)
        )
        for row in _records(conn, query):
            # A number that was edited a moment ago is not read yet.
            known = row["phone_e164"] or to_e164(row["phone_no"], region)
            if (e164 is not None and known == e164) or row["phone_no"] == number:
                out.append(row)
    return out


def holders(
    conn: Connection, account: str, e164: str, region: str, *, but: int | None = None
) -> list[Record]:
    """Living rows of the account with this number, other than row `but`."""
    rows = _by_number(conn, e164, {account: region})
    return [row for row in rows if row["deleted_at"] is None and row["id"] != but]


def load_contact(conn: Connection, row_id: int) -> Record | None:
    """One row of `telecmi_contacts`."""
    return next(iter(_records(conn, select(telecmi_contacts).where(_C.id == row_id))), None)


def upstream_values(conn: Connection, row_id: int) -> Record | None:
    """What upstream and the mirror last agreed on about a contact; None when it was never there."""
    query = select(contact_base).where(contact_base.c.row_id == row_id, contact_base.c.source != "gone")
    return next(iter(_records(conn, query)), None)


def editable_accounts(conn: Connection) -> list[str]:
    """The accounts whose directory is mirrored, so that contacts may be added to them."""
    query = select(telecmi_accounts.c.name).where(telecmi_accounts.c.contacts == 1)
    return list(conn.execute(query.order_by(telecmi_accounts.c.name)).scalars())


def add_contact(conn: Connection, account: str, fields: Mapping[str, str]) -> int:
    """INSERT, as a person would; the new row's number."""
    values = {name: value for name, value in fields.items() if value != ""}
    query = insert(telecmi_contacts).values(account=account, **values).returning(_C.id)
    return int(conn.execute(query).scalar_one())


def edit_contact(conn: Connection, row_id: int, fields: Mapping[str, str]) -> None:
    """UPDATE, as a person would; '' clears a field."""
    values = {name: value or None for name, value in fields.items()}
    conn.execute(update(telecmi_contacts).where(_C.id == row_id).values(**values))


def delete_contact(conn: Connection, row_id: int) -> None:
    """DELETE, as a person would: a trigger makes a tombstone of it."""
    conn.execute(delete(telecmi_contacts).where(_C.id == row_id))


# -- voicemails --------------------------------------------------------------------------------------


def list_voicemails(
    conn: Connection,
    accounts: Iterable[str],
    *,
    since: str | None = None,
    unknown: bool = False,
    limit: int | None = None,
) -> list[Record]:
    """Voicemails, newest first: the table's columns, and `caller_name`, `caller_company` beside them.

    `since` is UTC text; `unknown` leaves those whose caller no contact names.
    """
    table = telecmi_voicemails
    view = named_view("voicemails", column("id"), column("caller_name"), column("caller_company"))
    query = select(table, view.c.caller_name, view.c.caller_company).join(view, view.c.id == table.c.id)
    query = query.where(table.c.account.in_(list(accounts)))
    if since is not None:
        query = query.where(table.c.received_at >= since)
    if unknown:
        query = query.where(view.c.caller_name.is_(None))
    query = query.order_by(table.c.received_at.is_(None), table.c.received_at.desc(), table.c.id.desc())
    return _records(conn, query.limit(limit) if limit is not None else query)


# -- the demo ----------------------------------------------------------------------------------------


def as_any_client(path: Path, statement: str, *values: object) -> list[tuple[Any, ...]]:
    """Run one statement as any SQLite client would: a connection of its own, nothing of ours in between."""
    conn = sqlite3.connect(path, timeout=10)
    try:
        with conn:
            return conn.execute(statement, values).fetchall()
    finally:
        conn.close()
