"""Takes and answers edits that people write into a published copy, and removes those of forgotten people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from syncer.core.copy_edits import CopyEdit
from syncer.core.model import FIELDS
from syncer.core.normalise import to_e164
from syncer.store.db.read_only import Reader, first
from syncer.store.publish.copy import Copy
from syncer.store.write.copy_edits import EditOutcome

#: The most edits that are taken at once.
BATCH: Final = 100

_ANSWERED: Final = ("id", "state", "contact_row", "change_id", "note")


def take(copy: Copy, write: Callable[[list[CopyEdit]], list[EditOutcome]], at: str) -> int:
    """Take the oldest new edits, `write` them, and write each result into its row. Returns how many.

    The rows stay locked in the copy meanwhile. If this is killed after `write`, they are still new, and `write` recognizes
    them the next time. Raises RemoteError, and what `write` raises.
    """
    table, names = copy.table("contact_edits"), ", ".join(f'"{name}"' for name in FIELDS)
    columns = ", ".join(("id", "request::text", "account", "action", "contact_row", "contact_id", names))
    with copy.transaction() as conn:
        rows = copy.run(
            conn,
            f"SELECT {columns} FROM {table} WHERE site = %s AND state = 'new' "
            f"ORDER BY id LIMIT {BATCH} FOR UPDATE SKIP LOCKED",
            copy.place.site,
        ).all()
        if rows:
            answers = write([_edit(*row) for row in rows])
            copy.run(
                conn,
                f"UPDATE {table} e SET state = a.state, change_id = a.change_id, note = a.note, taken_at = %s, "
                "contact_row = COALESCE(e.contact_row, a.contact_row) "
                "FROM unnest(%s::bigint[], %s::text[], %s::bigint[], %s::bigint[], %s::text[]) "
                f"AS a ({', '.join(_ANSWERED)}) WHERE e.id = a.id",
                at,
                *([getattr(one, name) for one in answers] for name in _ANSWERED),
            )
    return len(rows)


def _edit(
    number: int,
    request: str,
    account: str | None,
    action: str,
    contact_row: int | None,
    contact_id: str | None,
    *values: str | None,
) -> CopyEdit:
    fields = dict(zip(FIELDS, values, strict=True))
    return CopyEdit(number, request, account, action, contact_row, contact_id, fields)


def remove_forgotten(
    conn: Reader | None, copy: Copy, forgotten: Callable[[str | None], bool], regions: Sequence[str]
) -> None:
    """Remove edits with the number of a forgotten person. With `conn`, also those of contacts that no longer exist."""
    table = copy.table("contact_edits")
    with copy.transaction() as there:
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
