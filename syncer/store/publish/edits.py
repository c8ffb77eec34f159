"""Takes and answers edits that people write into a published copy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from syncer.core.copy_edits import CopyEdit
from syncer.core.model import FIELDS
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
