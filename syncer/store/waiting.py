"""What a look sees of rows that only wait to be sent: mostly that nothing has come of them yet.

Before a push of thousands that is each of them, so it is told by a few statements for a block. What
counts as untouched is decided in `core/contacts.py`; all other rows are judged one by one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from sqlalchemy import Connection

from syncer.core.contacts import waits_untouched
from syncer.core.model import FIELDS, Fields, Operation, State
from syncer.store.looking import fetch
from syncer.store.queue import OPEN_STATES

#: Of a row `c`: NULL without open changes, WAITS when all of them are queued updates, else greater.
WAITS = 1
OPEN_CHANGES = (
    f"(SELECT max(CASE WHEN q.state = '{State.QUEUED}' AND q.operation = '{Operation.UPDATE}' "
    f"THEN {WAITS} ELSE {WAITS + 1} END) FROM change_queue q "
    f"WHERE q.contact_row = c.id AND q.state IN ({OPEN_STATES}))"
)

#: What is agreed on about rows, and the number that stands here.
_AGREED = (
    f"SELECT c.id, c.phone_no, {', '.join(f'b.{name}' for name in FIELDS)} "
    "FROM telecmi_contacts c JOIN contact_base b ON b.row_id = c.id "
    "WHERE c.phone_e164 IS NOT NULL AND c.id IN (SELECT value FROM json_each(?))"
)


def untouched(conn: Connection, shown: Mapping[int, Fields], region: str) -> set[int]:
    """Those of some rows, which all wait to be sent, to which what the directory shows does nothing."""
    out: set[int] = set()
    if shown:
        for row_id, phone_no, *base in fetch(conn, _AGREED, json.dumps(list(shown))):
            if waits_untouched(Fields(*base), phone_no or "", shown[row_id], region):
                out.add(row_id)
    return out
