"""Removes what a published copy has of forgotten people, where no key of a removed row says that it has to go."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from syncer.core.normalise import to_e164
from syncer.store.db.read_only import Reader, first
from syncer.store.publish.copy import Copy


def remove_forgotten(
    conn: Reader | None, copy: Copy, forgotten: Callable[[str | None], bool], regions: Sequence[str]
) -> None:
    """Remove callbacks and edits with the number of a forgotten person. With `conn`, also edits of contacts that no longer exist."""
    table, numbers = copy.table("contact_edits"), copy.table("callback_numbers")
    with copy.transaction() as there:
        known = copy.run(
            there, f"SELECT phone_e164 FROM {numbers} WHERE site = %s", copy.place.site
        ).scalars()
        if gone := [number for number in known if forgotten(number)]:
            query = f"DELETE FROM {numbers} WHERE site = %s AND phone_e164 = ANY(%s)"
            copy.run(there, query, copy.place.site, gone)
        rows = copy.run(
            there,
            f"SELECT id, phone_no, contact_row, contact_id FROM {table} WHERE site = %s",
            copy.place.site,
        ).all()
        ids = [
            number
            for number, phone, row, contact in rows
            if (conn is not None and _is_gone(conn, row, contact))
            or (phone and any(forgotten(to_e164(phone, region)) for region in regions))
        ]
        if ids:
            copy.run(there, f"DELETE FROM {table} WHERE id = ANY(%s)", ids)


def _is_gone(conn: Reader, row: int | None, contact: str | None) -> bool:
    if row is None and contact is None:
        return False
    column, value = ("id", row) if row is not None else ("contact_id", contact)
    return not first(conn, f"SELECT EXISTS (SELECT 1 FROM telecmi_contacts WHERE {column} = ?)", value)
