"""What a notification says, and when it is tried again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

#: The events that a target can choose from.
EVENTS: Final = ("voicemail", "missed-call", "conflict", "rejected", "held", "stale", "recovered")

#: Waits after the first failed tries, in seconds; then one an hour.
_FIRST_WAITS: Final = (5.0, 60.0, 600.0)
_HOURLY: Final = 3600.0

#: No notification waits longer for its next try.
LONGEST_WAIT: Final = timedelta(seconds=_HOURLY)

#: A notification is given up this long after its first try.
GIVE_UP_AFTER: Final = timedelta(days=1)


def next_try(attempts: int, first: datetime, now: datetime) -> datetime | None:
    """When to try again after failed try number `attempts` (from 1); None: give up.

    `first` is the time of the first try, `now` that of the last one.
    """
    if now - first >= GIVE_UP_AFTER:
        return None
    wait = _FIRST_WAITS[attempts - 1] if attempts <= len(_FIRST_WAITS) else _HOURLY
    return now + timedelta(seconds=wait)


def message_id(target: str, row: int, created_at: str) -> str:
    """The `webhook-id` of a notification: unique to it, and the same at each try."""
    return "msg_" + hashlib.sha256(f"{target}\0{row}\0{created_at}".encode()).hexdigest()[:32]


#: What a private target learns about a row: no names, and nothing that a person wrote.
_PRIVATE: Final = ("table", "id", "rows", "job")


def shown(data: Mapping[str, Any], *, private: bool) -> dict[str, Any]:
    """What a target learns about a row."""
    return {key: value for key, value in data.items() if not private or key in _PRIVATE}


#: Titles of events about a change that waits for a person.
_WAITING: Final = {
    "conflict": "Conflict: a contact changed on both sides",
    "rejected": "A change was rejected",
    "held": "A delete is held",
}


def words(event: str, data: Mapping[str, Any]) -> tuple[str, str]:
    """A title and a text for people, from `shown`."""
    caller = " ".join(filter(None, [data.get("name"), data.get("phone")])) or None
    company = f" ({data['company']})" if data.get("company") else ""
    where = f"{data['table']} row {data['id']}" if data.get("id") else ""
    account = ".".join(filter(None, [data.get("provider"), data.get("account")]))
    job = f"{data.get('job', 'a job')}" + (f" of {account}" if account else "")
    state = data.get("state", event)
    settled = "" if state == event else f"It no longer waits for you: {state}"
    match event:
        case "voicemail" | "missed-call":
            what, received = ("Voicemail", "Received at") if event == "voicemail" else ("Missed call", "At")
            title = what + (f" from {caller}{company}" if caller else "")
            text = _lines(f"{received} {data['at']}" if data.get("at") else "", where)
        case "conflict" | "rejected" | "held":
            of_listing = data.get("table") == "held"
            title = f"{data['rows']} rows are held" if of_listing else _WAITING[event]
            command = f"syncer {'held' if of_listing else 'queue'} show {data['id']}"
            text = _lines(caller or "", data.get("reason") or "", settled, command)
        case "stale":
            title = f"{job} has not succeeded in time"
            success = f"Last success: {data['last_ok_at']}" if data.get("last_ok_at") else ""
            text = _lines(success, "syncer status")
        case "recovered":
            title = f"{job} works again"
            text = "syncer status"
        case _:
            title, text = "syncer can reach you", "This is a test."
    return title, text


def _lines(*lines: str) -> str:
    return "\n".join(line for line in lines if line)
