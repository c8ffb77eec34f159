"""Queries of the page: one page of rows at a time, fast with large mirrors.

Nothing is counted; each page only knows whether another one follows. In a UNION, each source is sorted and limited by its
own index first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from syncer.store.db.call_sql import FULL_NAME
from syncer.store.db.call_views import calls_sql
from syncer.store.db.columns import OPEN_STATES, columns
from syncer.store.db.read_only import Reader, Record, record, records, tuples
from syncer.store.read.call_queries import CALLBACKS, CONTACT_OF, load_calls
from syncer.store.read.searching import digits_of
from syncer.store.read.status_queries import name_of

#: Rows on a page, and the last page that can be opened. Older rows are found by searching.
SIZE: Final = 40
LAST: Final = 200

#: Up to so many numbers, a search looks up the calls of each number. Above, it filters calls from the newest on.
_FEW: Final = 500


@dataclass(frozen=True, slots=True)
class Slice:
    """One page of a listing."""

    rows: list[Record]
    number: int  #: the page, from 1
    more: bool  #: whether another one follows


def _cut(rows: list[Record], number: int) -> Slice:
    return Slice(rows[:SIZE], number, len(rows) > SIZE and number < LAST)


def _span(number: int) -> tuple[int, int]:
    """How many rows to skip, and how many to read from each source."""
    return (number - 1) * SIZE, number * SIZE + 1


# -- searching ---------------------------------------------------------------------------------------------


def _like(word: str) -> str:
    return "%" + re.sub(r"([%_\\])", r"\\\1", word) + "%"


def _spellings(word: str) -> list[str]:
    """The spellings to look for: LIKE ignores the case of ASCII letters only."""
    if word.isascii():
        return [word]
    return list(dict.fromkeys((word, word.lower(), word.upper(), word.capitalize())))


def _found(search: str, names: Sequence[str], number: str) -> tuple[str, list[object]]:
    """A condition with its values: each word is in one of these columns, or `number` contains the digits."""
    if not search:
        return "1", []
    parts, values = [], list[object]()
    for word in search.split():
        spelled = _spellings(word)
        parts.append(" OR ".join(f"{name} LIKE ? ESCAPE '\\'" for name in (*names, number) for _ in spelled))
        values += [_like(one) for _ in (*names, number) for one in spelled]
    condition = "(" + ") AND (".join(parts) + ")"
    if digits := digits_of(search):
        return f"({condition} OR {number} LIKE ?)", [*values, _like(digits)]
    return condition, values


# -- contacts ----------------------------------------------------------------------------------------------

#: Of each source of contacts: the SELECT, the FROM and WHERE, the searched columns, and the column of the number.
_CONTACTS: Final = (
    (
        f"'telecmi' AS provider, c.account AS account, {FULL_NAME.format('c')} AS name, c.phone_e164 AS phone_e164, "
        "c.phone_no AS written, c.email_id AS email, c.company AS company, c.job_title AS job_title, "
        "'telecmi_contacts' AS source_table, c.id AS source_id",
        "telecmi_contacts c WHERE c.deleted_at IS NULL",
        ("c.first_name", "c.last_name", "c.company", "c.email_id", "c.phone_no"),
        "c.phone_e164",
    ),
    (
        "provider, account, name, phone_e164, phone_e164, email, company, NULL, source_table, source_id",
        "contacts WHERE source_table = 'telecmi_user_contacts'",
        ("name", "email"),
        "phone_e164",
    ),
    (
        "'smartflo', s.account, s.name, s.phone_e164, s.phone_number, s.email_id, s.company_name, NULL, "
        "'smartflo_contacts', s.id",
        "smartflo_contacts s WHERE s.deleted_at IS NULL",
        ("s.name", "s.company_name", "s.email_id", "s.phone_number"),
        "s.phone_e164",
    ),
)


def list_contacts(conn: Reader, search: str, number: int) -> Slice:
    """Contacts of any provider, by name."""
    offset, most = _span(number)
    arms, values = [], list[object]()
    for select, rest, names, phone in _CONTACTS:
        found, more = _found(search, names, phone)
        arms.append(
            f"SELECT * FROM (SELECT {select} FROM {rest} AND {found} ORDER BY 3 COLLATE NOCASE, 10 LIMIT {most})"
        )
        values += more
    query = f"{' UNION ALL '.join(arms)} ORDER BY 3 COLLATE NOCASE, 9, 10 LIMIT {SIZE + 1} OFFSET {offset}"
    return _cut(records(conn, query, *values), number)


# -- voicemails and calls ------------------------------------------------------------------------------------


def _numbers_of(conn: Reader, search: str) -> list[str]:
    """Numbers of the people that a search finds by name or company, at most one more than `_FEW`."""
    arms, values = [], list[object]()
    for _, rest, names, phone in _CONTACTS:
        known = [name for name in names if name.rpartition(".")[2] in ("first_name", "last_name", "name", "company",
                                                                          "company_name")]  # fmt: skip
        found, more = _found(search, known, phone)
        arms.append(f"SELECT {phone} AS phone_e164 FROM {rest} AND {phone} IS NOT NULL AND {found}")
        values += more
    query = f"SELECT DISTINCT phone_e164 FROM ({' UNION ALL '.join(arms)}) LIMIT {_FEW + 1}"
    return [number for (number,) in tuples(conn, query, *values)]


def _of_callers(search: str, some: Sequence[str], written: str) -> tuple[str, list[object]]:
    """A condition with its values: a row `v` belongs to somebody that a search finds.

    `some` are the numbers of those people, `written` is the column with the number as the vendor wrote it.
    """
    digits = digits_of(search)
    number, also = ("", []) if digits is None else (f" OR v.{written} LIKE ?", [_like(digits)])
    if len(some) <= _FEW:
        found = "v.phone_e164 IN (SELECT value FROM json_each(?))"
        return f"({found}{number})", [json.dumps(some), *also]
    # With so many people, the newest rows surely contain some: filter the rows instead.
    arms, values = [], list[object]()
    for _, rest, names, phone in _CONTACTS:
        found, more = _found(search, names, phone)
        arms.append(f"EXISTS (SELECT 1 FROM {rest} AND {phone} = v.phone_e164 AND {found})")
        values += more
    return f"({' OR '.join(arms)}{number})", [*values, *also]


def list_voicemails(conn: Reader, search: str, unknown: bool, number: int) -> Slice:
    """Voicemails with their callers, newest first. `unknown` selects callers without a name."""
    offset, _ = _span(number)
    found, values = "1", list[object]()
    if search and not unknown:
        found, values = _of_callers(search, _numbers_of(conn, search), "from_number")
    elif search:  # unknown callers have no name, so only numbers are searched
        found, values = _found(digits_of(search) or search, ("v.from_number",), "v.phone_e164")
    if unknown:
        found += " AND (SELECT w.caller_name FROM voicemails w WHERE w.id = v.id) IS NULL"
    keys = (
        f"SELECT v.id FROM telecmi_voicemails v WHERE v.deleted_at IS NULL AND {found} "
        f"ORDER BY v.received_at DESC, v.id DESC LIMIT {SIZE + 1} OFFSET {offset}"
    )
    query = (
        "SELECT w.id, w.account, w.received_at, w.first_seen_at, w.from_number, w.phone_e164, w.caller_name, "
        f"w.caller_company, a.state AS audio, {CONTACT_OF.format('w')} AS contact FROM ({keys}) k "
        "JOIN voicemails w ON w.id = k.id LEFT JOIN voicemail_audio a ON a.voicemail = w.id "
        "ORDER BY w.received_at DESC, w.id DESC"
    )
    return _cut(records(conn, query, *values), number)


#: By vendor: the calls without names, sorted and limited.
_ARMS: Final = tuple(
    f"SELECT * FROM ({arm} AND {{found}} ORDER BY 5 DESC, 13 DESC LIMIT {{most}})"
    for arm in calls_sql(names=False).split("UNION ALL\n")
)
#: By vendor: the column with the number as it came, and the condition for missed calls.
_VENDORS: Final = (
    ("from_number", "v.kind IN ('missed', 'out_missed')"),
    ("client_number", "lower(trim(v.status)) <> 'answered'"),
)


def list_calls(conn: Reader, search: str, missed: bool, number: int) -> Slice:
    """Calls of both vendors, newest first."""
    offset, most = _span(number)
    arms, values = [], list[object]()
    some = _numbers_of(conn, search) if search else []
    for arm, (written, not_answered) in zip(_ARMS, _VENDORS, strict=True):
        found, more = _of_callers(search, some, written) if search else ("1", [])
        if missed:
            found += f" AND {not_answered}"
        arms.append(arm.format(found=found, most=most))
        values += more
    query = f"{' UNION ALL '.join(arms)} ORDER BY 5 DESC LIMIT {SIZE + 1} OFFSET {offset}"
    return _cut(load_calls(conn, records(conn, query, *values)), number)


# -- callbacks -----------------------------------------------------------------------------------------------

_NEWEST_VOICEMAIL = (
    "(SELECT v.id FROM telecmi_voicemails v JOIN voicemail_audio a ON a.voicemail = v.id AND a.state = 'kept' "
    "WHERE v.phone_e164 = callbacks.phone_e164 AND v.deleted_at IS NULL ORDER BY v.received_at DESC LIMIT 1)"
)


def list_callbacks(conn: Reader, number: int, *, closed: bool = False, size: int = SIZE) -> Slice:
    """Open callbacks, longest waiting first, or closed ones, newest first.

    `audio` is the newest voicemail with a kept recording, `contact` the row of `telecmi_contacts`.
    """
    select = f"SELECT {', '.join(CALLBACKS)}, {_NEWEST_VOICEMAIL} AS audio, {CONTACT_OF.format('callbacks')} AS contact"
    rest, order = "first_at IS NOT NULL", "first_at, phone_e164"
    if closed:
        rest, order = "first_at IS NULL", "closed_at DESC, phone_e164"
    query = f"{select} FROM callbacks WHERE {rest} ORDER BY {order} LIMIT ? OFFSET ?"
    rows = records(conn, query, size + 1, (number - 1) * size)
    return Slice(rows[:size], number, len(rows) > size and number < LAST)


def kept_audio(conn: Reader, voicemail: int) -> Record | None:
    """The file of a voicemail's recording, or None if it is not kept."""
    query = (
        "SELECT a.path, a.bytes, a.sha256, a.media_type FROM voicemail_audio a JOIN telecmi_voicemails v "
        "ON v.id = a.voicemail WHERE a.voicemail = ? AND a.state = 'kept' AND v.deleted_at IS NULL"
    )
    return record(conn, query, voicemail)


# -- one person ----------------------------------------------------------------------------------------------


def voicemails_of(conn: Reader, number: str, most: int) -> list[Record]:
    """The newest voicemails from a number, with the states of their recordings."""
    query = (
        "SELECT v.id, v.received_at, v.first_seen_at, a.state AS audio FROM telecmi_voicemails v "
        "LEFT JOIN voicemail_audio a ON a.voicemail = v.id WHERE v.phone_e164 = ? AND v.deleted_at IS NULL "
        "ORDER BY v.received_at DESC, v.id DESC LIMIT ?"
    )
    return records(conn, query, number, most)


def recent_runs(conn: Reader, job: str, account: str, most: int) -> list[Record]:
    """The last finished runs of a job, oldest first."""
    query = (
        "SELECT * FROM (SELECT id, started_at, finished_at, outcome, requests, seen, added, changed, removed, error "
        "FROM sync_runs WHERE job = ? AND account = ? AND finished_at IS NOT NULL ORDER BY id DESC LIMIT ?) ORDER BY id"
    )
    return records(conn, query, job, account, most)


# -- what waits for a person -----------------------------------------------------------------------------------

_CHANGES: Final = (
    f"SELECT {columns('change_queue', 'q')}, {FULL_NAME.format('c')} AS contact_name, c.phone_e164 AS contact_phone "
    "FROM change_queue q LEFT JOIN telecmi_contacts c ON c.id = q.contact_row"
)


def list_changes(conn: Reader, number: int) -> Slice:
    """Open changes, oldest first. The ones that wait for a person come before all others."""
    query = (
        f"{_CHANGES} WHERE q.state IN ({OPEN_STATES}) "
        f"ORDER BY q.state NOT IN ('conflict', 'rejected', 'held'), q.id LIMIT {SIZE + 1} OFFSET {_span(number)[0]}"
    )
    return _cut(records(conn, query), number)


def held_version(conn: Reader, hold: int) -> str:
    """A short digest of the rows of a hold. It changes with the held rows or columns."""
    query = (
        "SELECT count(*), total(row_id), total(row_id * row_id), total(row_id * length(field)), "
        "total(row_id * length(table_name)) FROM held_rows "
        "WHERE held_id = ?"
    )
    (sums,) = tuples(conn, query, hold)
    return "-".join(f"{one:.0f}" for one in sums)


def held_rows(conn: Reader, hold: int, number: int) -> Slice:
    """The rows of a hold, with their names."""
    query = (
        "SELECT table_name, row_id, field, settled FROM held_rows WHERE held_id = ? ORDER BY row_id, field "
        f"LIMIT {SIZE + 1} OFFSET {_span(number)[0]}"
    )
    found = _cut(records(conn, query, hold), number)
    for row in found.rows:
        row["name"] = name_of(conn, row["table_name"], row["row_id"])
    return found
