"""Adds incoming and outgoing calls to the records of both vendors.

`calls` and `smartflo` list them, and `webhooks` reports them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from syncer.sandbox.base import IST, Base, EditError, known_fields
from syncer.sandbox.state import CALL_KINDS, Call, Organization

#: The business's own numbers.
_VIRTUAL = 919200099001
_DID = "+919200099002"
_AGENT = 919200099101
#: Seconds that an answered call rings first.
_RING_S = 6

#: The fields of a call record that can be set: TeleCMI's, and Smartflo's.
CALL_FIELDS = ("from", "to", "billedsec", "agent", "name", "notes", "filename", "rate", "record")
SMARTFLO_CALL_FIELDS = (
    "call_id",
    "uuid",
    "ref_id",
    "client_number",
    "did_number",
    "agent_number",
    "agent_name",
    "date",
    "time",
    "end_stamp",
    "call_duration",
    "answered_seconds",
    "recording_url",
    "missed_agents",
    "call_flow",
    "circle",
    "reason",
    "hangup_cause",
)


class CallBook(Base):
    """The calls of both vendors, and operations on them.

    Times are epoch milliseconds, and now unless they are given. `phone` is the number of the other side.
    """

    def call_insert(
        self,
        kind: str,
        phone: int | str,
        time: int | None = None,
        *,
        duration: int = 30,
        cmiuid: str | None = None,
        sent: int | float | str | None = None,
        visible_at: float = 0.0,
        fields: Mapping[str, Any] | None = None,
        app_id: int | None = None,
        ring: bool = True,
    ) -> str:
        """Add a call of TeleCMI, and return its id. Calls of several kinds may share one `cmiuid`.

        `sent` is what `time` says instead, `visible_at` (epoch seconds) when the record is listed at the
        earliest. `ring` calls the webhooks.
        """
        if kind not in CALL_KINDS:
            raise EditError(f"kind must be one of {', '.join(CALL_KINDS)}")
        with self.lock:
            org = self.org(app_id)
            at = self._at(time)
            given = known_fields(fields or {}, CALL_FIELDS)
            cmiuid = cmiuid or self._uuid()
            row = _telecmi_row(org, kind, phone, cmiuid, at, duration) | given
            if sent is not None:
                row["time"] = sent
            org.calls[kind].add(Call(at, row, visible_at))
        if ring:
            event = "outgoing" if kind.startswith("out") else kind
            self.webhooks.ring("telecmi", {event}, _telecmi_push(org, kind, row))
        return cmiuid

    def call_click(
        self,
        phone: int | str,
        time: int | None = None,
        *,
        answered: bool = True,
        duration: int = 30,
        app_id: int | None = None,
    ) -> list[str]:
        """A click-to-call: the vendor calls the agent, then `phone`. The ids of the two records."""
        kind = "out_answered" if answered else "out_missed"
        with self.lock:
            at = self._at(time)
            return [
                self.call_insert("out_answered", _AGENT, at, duration=duration + 9, app_id=app_id),
                self.call_insert(kind, phone, at, duration=duration, app_id=app_id),
            ]

    def smartflo_call_insert(
        self,
        phone: str,
        time: int | None = None,
        *,
        status: str = "missed",
        direction: str = "inbound",
        duration: int = 30,
        voicemail: bool = False,
        id: int | str | None = None,
        visible_at: float = 0.0,
        fields: Mapping[str, Any] | None = None,
        ring: bool = True,
    ) -> int | str:
        """Add a call of Smartflo, and return its id. See `call_insert`."""
        if status not in ("answered", "missed"):
            raise EditError("status must be answered or missed")
        with self.lock:
            given = known_fields(fields or {}, SMARTFLO_CALL_FIELDS)
            at = self._at(time)
            number = next(self._call_ids) if id is None else id
            row = _smartflo_row(self._uuid, number, phone, at, duration)
            row |= {"direction": direction, "status": status, "voicemail_recording": voicemail}
            if status == "answered":
                row |= _SMARTFLO_ANSWERED | {"answered_seconds": max(0, duration - _RING_S)}
            if status == "answered" or voicemail:
                token = hashlib.sha256(f"recording {number}".encode()).hexdigest()
                row["recording_url"] = f"https://recordings.example.com/file/{number}.mp3?token={token}"
            self.smartflo.calls.add(Call(at, row | given, visible_at))
        if ring:
            event = status if direction == "inbound" else "outgoing"
            self.webhooks.ring("smartflo", {event, *(["voicemail"] if voicemail else [])}, row | given)
        return number

    def calls_expire(self, before: int) -> int:
        """Delete the records of calls that began before a time, at both vendors. Returns how many."""
        with self.lock:
            lists = [calls for org in self.organizations.values() for calls in org.calls.values()]
            return sum(calls.expire(before) for calls in [*lists, self.smartflo.calls])

    def _at(self, time: int | None) -> int:
        return round(self.now() * 1000) if time is None else int(time)


def _telecmi_row(
    org: Organization, kind: str, phone: int | str, cmiuid: str, at: int, duration: int
) -> dict[str, Any]:
    other: int | str = int(phone) if str(phone).isdecimal() else phone
    row: dict[str, Any] = {"cmiuid": cmiuid, "time": at, "duration": duration, "name": "unknown"}
    row |= {"from": str(_VIRTUAL), "to": other} if kind.startswith("out") else {"from": other, "to": _VIRTUAL}
    if not kind.endswith("answered"):
        return row | {"billedsec": 0, "record": "false"}
    row |= {"billedsec": max(0, duration - _RING_S), "record": "true", "rate": 0.0}
    return row | {
        "agent": f"101_{org.app_id}",
        "filename": f"{at}{cmiuid[:8]}_{org.app_id}.mp3",
    }


def _telecmi_push(org: Organization, kind: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """What the vendor's webhook sends about a call. Some names differ from those of the list."""
    direction, status = ("outbound", kind[4:]) if kind.startswith("out") else ("inbound", kind)
    named = {"cmiuuid": row["cmiuid"], "answeredsec": row["billedsec"], "user": row.get("agent")}
    kept = {name: row[name] for name in ("time", "from", "to", "filename") if name in row}
    return {"type": "cdr", "appid": org.app_id, "direction": direction, "status": status, **named, **kept}


_SMARTFLO_ANSWERED = {
    "agent_number": f"+{_AGENT}",
    "agent_name": "User 101",
    "missed_agents": [],
    "reason": "Call answered",
    "hangup_cause": "NORMAL_CLEARING",
}


def _smartflo_row(
    new_id: Callable[[], str], number: int | str, phone: str, at: int, duration: int
) -> dict[str, Any]:
    began = datetime.fromtimestamp(at // 1000, UTC).astimezone(IST)
    ended = began + timedelta(seconds=duration)
    return {
        "id": number,
        "call_id": new_id(),
        "uuid": new_id(),
        "ref_id": None,
        "client_number": str(phone),
        "did_number": _DID,
        "agent_number": "",
        "agent_name": "",
        "date": began.strftime("%Y-%m-%d"),
        "time": began.strftime("%H:%M:%S"),
        "end_stamp": ended.strftime("%Y-%m-%d %H:%M:%S"),
        "call_duration": duration,
        "answered_seconds": 0,
        "recording_url": None,
        "missed_agents": [{"name": "User 101", "number": f"+{_AGENT}"}],
        "call_flow": [{"type": "init", "value": _DID, "time": at // 1000}],
        "circle": {"operator": "Example Telecom", "circle": "Sampleton"},
        "reason": "Agent did not answer",
        "hangup_cause": "NO_ANSWER",
    }
