"""Puts the events of a person's history into words, for `syncer why` and the page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from syncer.core.model import State
from syncer.core.wording import span


def sentence(event: Mapping[str, Any]) -> str:
    """One event as a sentence, without a capital letter or a full stop."""
    kind = event["kind"]
    number = event.get("change")
    if number is not None:
        return _change(event, number)
    match kind:
        case "first-seen":
            run = f", run {event['run']}" if event["run"] else ""
            return f"first seen, by a listing of {event['job']}{run}"
        case "added":
            return f"added by {_who(event)}"
        case "edited":
            return f"{event['field']}: {_quoted(event['old'])} -> {_quoted(event['new'])}, by {_who(event)}"
        case "removed":
            return "gone from upstream" if event["by"] == "upstream" else f"deleted by {_who(event)}"
        case "restored":
            return f"brought back by {_who(event)}"
        case "not-listed":
            return "not shown by a complete listing; a second one may remove it"
        case "held":
            what = f"{event['field']} would turn blank" if event["field"] else "its removal"
            return f"held for a person (hold {event['held']}): {what}: {event['reason']}"
        case "decided":
            return f"hold {event['held']} was {event['decision']}{_by(event['decided_by'])}"
        case "call":
            took = f", {span(event['duration_s'])}" if event["duration_s"] is not None else ""
            agent = f", agent {event['agent']}" if event["agent"] else ""
            direction = "incoming" if event["direction"] == "in" else "outgoing"
            return f"{direction} call, {event['outcome']}{took}{agent}"
        case "voicemail":
            recording = f", recording {event['recording']}" if event["recording"] else ""
            return f"voicemail{'' if event['dated'] else ', undated: first seen then'}{recording}"
        case "note":
            return f"note{_by(event['agent'])}: {event['note']}"
        case _:
            done = "the mark was taken back" if kind == "reopened" else "marked as called back"
            return f"{done}{_by(event['by'])}" + (f": {event['note']}" if event["note"] else "")


def _change(event: Mapping[str, Any], number: int) -> str:
    """An event of a queued change."""
    kind, what, reason = event["kind"], f"change {number} ({event['operation']})", event.get("reason")
    what += f", decided{_by(event['decided_by'])}," if event.get("decided_by") else ""
    because = f": {reason}" if reason else ""
    if kind == "queued" and "found_by" in event:
        return f"{what} was queued" + (", found by a scan" if event["found_by"] == "scan" else "")
    if kind == "sent":
        answer = f", {event['answer']}" if event["answer"] else ""
        fields = ", ".join(f"{name} = {_quoted(value)}" for name, value in event["fields"].items())
        return f"{what} was sent{answer}" + (f": {fields}" if fields else "")
    match State(kind):
        case State.DONE:
            return f"{what} is done: upstream shows it"
        case State.CONFLICT:
            return f"{what} is in conflict{because}" + _sides(event["clashes"] or {})
        case State.UNKNOWN:
            return f"{what} got no usable answer{because}"
        case State.QUEUED:
            return f"{what} waits to be tried again{because}"
        case state:
            return f"{what} is {state}{because}"


def _sides(sides: Mapping[str, Mapping[str, str]]) -> str:
    parts = [
        f"{name} was {_quoted(side['base'])}, is {_quoted(side['local'])} locally and {_quoted(side['remote'])} upstream"
        for name, side in sides.items()
    ]
    return f": {'; '.join(parts)}" if parts else ""


def _who(event: Mapping[str, Any]) -> str:
    """Who made an edit."""
    if event["batch"]:
        what = "an edit of several, batch" if event["format"] == "edit" else "import"
        return f"{what} {event['batch']} ({event['by']})"
    if event["by"] == "upstream":
        return "upstream"
    return "a command" if event["actor"] == "cli" else event["actor"] or "a local edit"


def _by(who: str | None) -> str:
    return f" by {who}" if who else ""


def _quoted(value: object) -> str:
    return json.dumps(value, ensure_ascii=False) if value not in (None, "") else "(empty)"
