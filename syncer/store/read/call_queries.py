"""Queries for calls of both vendors, and for callbacks."""

from __future__ import annotations

import json
from collections.abc import Sequence

from syncer.store.db.call_views import calls_sql
from syncer.store.db.read_only import QueryPage, Reader, Record, page, placeholders, records
from syncer.store.read.searching import searching

#: The columns of the view `calls`, and of `callbacks`.
CALLS = (
    "provider", "account", "direction", "outcome", "started_at", "duration_s", "phone_e164", "agent", "caller_name",
    "caller_company", "voicemail", "source_table", "source_id",
)  # fmt: skip
CALLBACKS = (
    "phone_e164", "caller_name", "caller_company", "missed", "voicemails", "first_at", "last_at", "state", "closed_at",
    "closed_by", "note",
)  # fmt: skip

#: By table: the SELECT of its calls with the callers' names.
_NAMED = dict(zip(("telecmi_calls", "smartflo_calls"), calls_sql().split("UNION ALL\n"), strict=True))

#: The row of `telecmi_contacts` with the number of a row, which `{0}` names.
CONTACT_OF = (
    "(SELECT c.id FROM telecmi_contacts c WHERE c.phone_e164 = {0}.phone_e164 AND c.deleted_at IS NULL "
    "ORDER BY c.id LIMIT 1)"
)


def list_calls(
    conn: Reader,
    labels: Sequence[str],
    *,
    since: str | None = None,
    direction: str | None = None,
    missed: bool = False,
    search: str | None = None,
    limit: int | None = None,
) -> QueryPage:
    """Calls of these accounts (`telecmi.main`), newest first. `since` is UTC text."""
    values: list[object] = list(labels)
    where = f"provider || '.' || account IN ({placeholders(labels)})"
    if since is not None:
        where, values = f"{where} AND started_at >= ?", [*values, since]
    if direction is not None:
        where, values = f"{where} AND direction = ?", [*values, direction]
    if missed:
        where += " AND outcome = 'missed'"
    order = "started_at DESC"
    if search:
        with searching(conn, search, ("caller_name", "caller_company", "phone_e164")) as found:
            return page(
                conn, f"SELECT {', '.join(CALLS)}", f"FROM calls WHERE {where}{found}", order, values, limit
            )
    # Names are looked up for the shown rows only. For all of 200,000 calls, that takes 800 ms.
    light = f"FROM ({calls_sql(names=False)}) WHERE {where}"
    keys = page(conn, "SELECT source_table, source_id", light, order, values, limit)
    shown = QueryPage(load_calls(conn, keys))
    shown.total = keys.total
    return shown


def load_calls(conn: Reader, keys: Sequence[Record]) -> list[Record]:
    """The calls with these keys (`source_table`, `source_id`), in this order.

    `contact` is the row of `telecmi_contacts` with the number.
    """
    rows: dict[tuple[str, int], Record] = {}
    for table in {row["source_table"] for row in keys}:
        ids = json.dumps([row["source_id"] for row in keys if row["source_table"] == table])
        # Not the view: SQLite would read all calls of the table.
        query = (
            f"WITH k({', '.join(CALLS)}) AS ({_NAMED[table]} AND v.id IN (SELECT value FROM json_each(?))) "
            f"SELECT k.*, {CONTACT_OF.format('k')} AS contact FROM k"
        )
        rows |= {(table, row["source_id"]): row for row in records(conn, query, ids)}
    return [rows[row["source_table"], row["source_id"]] for row in keys]


def list_callbacks(conn: Reader, *, everything: bool = False, limit: int | None = None) -> QueryPage:
    """Open callbacks, longest waiting first. With `everything`, closed ones follow, newest first."""
    select = f"SELECT {', '.join(CALLBACKS)}"
    if everything:
        order = "first_at IS NULL, first_at, closed_at DESC, phone_e164"
        return page(conn, select, "FROM callbacks", order, (), limit)
    return page(conn, select, "FROM callbacks WHERE first_at IS NOT NULL", "first_at, phone_e164", (), limit)


def open_callbacks(conn: Reader) -> tuple[int, str | None]:
    """How many numbers wait, and since when the longest waiting one does."""
    query = (
        "SELECT count(*) AS number, min(first_at) AS oldest FROM callback_numbers WHERE first_at IS NOT NULL"
    )
    (found,) = records(conn, query)
    return found["number"], found["oldest"]


def find_callback(conn: Reader, number: str) -> Record:
    """The callback of a number that is in the list, open or closed."""
    (found,) = records(conn, f"SELECT {', '.join(CALLBACKS)} FROM callbacks WHERE phone_e164 = ?", number)
    return found
