"""Removes what a published copy has of forgotten people, where no key of a removed row says that it has to go."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from syncer.core.normalise import to_e164
from syncer.store.db.read_only import AreForgotten, Reader, first
from syncer.store.publish.copy import Copy


def remove_forgotten(
    conn: Reader, copy: Copy, forgotten: AreForgotten, regions: Sequence[str], *, orphans: bool
) -> None:
    """Remove callbacks and edits with the number of a forgotten person, and with `orphans` edits of contacts that are gone."""
    table, numbers, site = copy.table("contact_edits"), copy.table("callback_numbers"), copy.place.site
    with copy.transaction() as there:
        known = copy.run(there, f"SELECT phone_e164 FROM {numbers} WHERE site = %s", site).scalars()
        if gone := forgotten(conn, known):
            query = f"DELETE FROM {numbers} WHERE site = %s AND phone_e164 = ANY(%s)"
            copy.run(there, query, site, list(gone))
        rows = copy.run(
            there, f"SELECT id, phone_no, contact_row, contact_id FROM {table} WHERE site = %s", site
        ).all()
        read = {number: {to_e164(phone, region) for region in regions} for number, phone, *_ in rows if phone}
        gone = forgotten(conn, itertools.chain.from_iterable(read.values()))
        ids = [
            number
            for number, _, row, contact in rows
            if read.get(number, set()) & gone or (orphans and _is_gone(conn, row, contact))
        ]
        if ids:
            copy.run(there, f"DELETE FROM {table} WHERE id = ANY(%s)", ids)


def _is_gone(conn: Reader, row: int | None, contact: str | None) -> bool:
    if row is None and contact is None:
        return False
    column, value = ("id", row) if row is not None else ("contact_id", contact)
    return not first(conn, f"SELECT EXISTS (SELECT 1 FROM telecmi_contacts WHERE {column} = ?)", value)
