"""Notifications to send, what they say, and how many there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from syncer.store.db.call_sql import FULL_NAME
from syncer.store.db.read_only import Reader, Record, record, records, tuples


@dataclass(frozen=True, slots=True)
class Notification:
    """One row of `outbox`."""

    id: int
    target: str
    event: str
    table_name: str
    row_id: int
    attempts: int
    first_attempt_at: str | None
    next_attempt_at: str | None
    created_at: str
    last_error: str | None


def head(conn: Reader, target: str) -> Notification | None:
    """The next notification to send to a target."""
    row = record(
        conn,
        "SELECT id, target, event, table_name, row_id, attempts, first_attempt_at, next_attempt_at, created_at, last_error "
        "FROM outbox WHERE target = ? AND state = 'queued' ORDER BY id LIMIT 1",
        target,
    )
    return Notification(**row) if row else None


_CALL: Final = (
    "SELECT provider, account, phone_e164 AS phone, caller_name AS name, caller_company AS company, "
    "started_at AS at FROM calls WHERE source_table = ? AND source_id = ? AND outcome = 'missed'"
)

#: Table -> the query for what a notification says about a row. Without a result, there is nothing left to say.
_DATA: Final = {
    "telecmi_voicemails": (
        "SELECT 'telecmi' AS provider, account, COALESCE(phone_e164, from_number) AS phone, caller_name AS name, "
        "caller_company AS company, received_at AS at FROM voicemails WHERE id = ?"
    ),
    "change_queue": (
        f"SELECT 'telecmi' AS provider, q.account, COALESCE(c.phone_e164, c.phone_no) AS phone, "
        f"{FULL_NAME.format('c')} AS name, c.company, q.operation, q.state, q.contact_row AS contact, "
        "q.last_error AS reason FROM change_queue q LEFT JOIN telecmi_contacts c ON c.id = q.contact_row "
        "WHERE q.id = ?"
    ),
    "held": (
        "SELECT j.provider, h.account, h.job, h.rows, h.reason FROM held h "
        "LEFT JOIN sync_jobs j ON j.job = h.job AND j.account = h.account WHERE h.id = ?"
    ),
    "sync_runs": (
        "SELECT j.provider, r.account, r.job, j.last_ok_at FROM sync_runs r "
        "LEFT JOIN sync_jobs j ON j.job = r.job AND j.account = r.account WHERE r.id = ?"
    ),
}


def data(conn: Reader, one: Notification) -> dict[str, Any] | None:
    """What is known about the row now, without empty values. None if there is nothing left to say."""
    if one.event == "missed-call":
        row = record(conn, _CALL, one.table_name, one.row_id)
    else:
        row = record(conn, _DATA[one.table_name], one.row_id)
    if row is None:
        return None
    return {"table": one.table_name, "id": one.row_id} | {
        key: value for key, value in row.items() if value not in (None, "")
    }


def counts(conn: Reader) -> dict[str, dict[str, int]]:
    """Target -> state -> number of notifications."""
    out: dict[str, dict[str, int]] = {
        str(target): {"queued": 0, "sent": 0, "dead": 0}
        for (target,) in tuples(conn, "SELECT DISTINCT target FROM notify_targets")
    }
    for target, state, number in tuples(
        conn, "SELECT target, state, count(*) FROM outbox GROUP BY target, state"
    ):
        out.setdefault(str(target), {"queued": 0, "sent": 0, "dead": 0})[str(state)] = int(number)
    return out


def overview(conn: Reader) -> list[Record]:
    """Each target of the config: what waits and since when, what was given up, and the error of the next one."""
    return records(
        conn,
        "SELECT t.target, count(o.id) FILTER (WHERE o.state = 'queued') AS queued, "
        "count(o.id) FILTER (WHERE o.state = 'dead') AS dead, max(o.sent_at) AS last_sent_at, "
        "min(o.created_at) FILTER (WHERE o.state = 'queued') AS oldest_at, "
        "(SELECT e.last_error FROM outbox e WHERE e.target = t.target AND e.state = 'queued' ORDER BY e.id LIMIT 1) "
        "AS last_error FROM (SELECT DISTINCT target FROM notify_targets) t LEFT JOIN outbox o ON o.target = t.target "
        "GROUP BY t.target ORDER BY t.target",
    )
