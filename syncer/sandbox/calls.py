"""TeleCMI's four lists of call records (`/v2/answered`, `/v2/missed`, `/v2/out_answered`, `/v2/out_missed`).

`settings.TelecmiSettings` says what the documentation does not; `telecmi` makes the error envelope.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from syncer.sandbox.params import (
    PAGE,
    Params,
    by_secret,
    need,
    numbered_page,
    shuffle,
    whole,
    window,
    with_count,
)
from syncer.sandbox.state import CALL_KINDS, Call, CallRecords

if TYPE_CHECKING:
    from syncer.sandbox.world import World

_LIMIT = 20
#: The fields that only answered records have.
_ANSWERED_ONLY = ("agent", "filename", "notes", "rate")


def listing(kind: str) -> Callable[[World, Params], Params]:
    """The call that lists the records of one kind: by default of the last 24 h."""

    def records(world: World, body: Params) -> Params:
        need(world, body, ("appid", "secret"), ("start_date", "end_date", "page", "limit"))
        org = by_secret(world, body, refused=401)
        settings = world.settings.telecmi
        start, end = window(world, body)
        page = whole(body, "page", 1)
        limit = whole(body, "limit", PAGE, most=_LIMIT)

        def found(calls: CallRecords) -> list[Call]:
            return calls.between(start, end, world.now(), settings.calls_late_s)

        rows = found(org.calls[kind])
        if kind == "missed" and settings.calls_missed_too:
            rows = sorted([*rows, *map(_missed_first, found(org.calls["answered"]))], key=lambda c: c.time_ms)
        if kind in settings.calls_empty:
            rows = []
        if settings.calls_order == "shuffled":
            shuffle(world, rows)
        elif settings.calls_order == "newest":
            rows.reverse()
        part = numbered_page(world, rows, page, limit if settings.calls_limit == "honoured" else PAGE)
        answer: Params = {"cdr": [_typed(c.row, settings.calls_as) for c in part], "code": 200}
        return with_count(answer, settings.calls_count_mode, len(rows), len(part))

    return records


#: Path of each list, with the call that answers it.
LISTS = {f"/v2/{kind}": listing(kind) for kind in CALL_KINDS}


def _missed_first(call: Call) -> Call:
    """The missed record of a call that was answered later under the same id."""
    row = {name: value for name, value in call.row.items() if name not in _ANSWERED_ONLY}
    return Call(call.time_ms, row | {"billedsec": 0, "record": "false"})


def _typed(row: Params, how: str) -> Params:
    match how:
        case "strings":
            return {name: _text(value) for name, value in row.items()}
        case "numbers":
            return {
                name: _number(value) if name in ("from", "to", "record") else value
                for name, value in row.items()
            }
        case _:
            return row


def _text(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else value


def _number(value: Any) -> Any:
    if value in ("true", "false"):
        return value == "true"
    return int(value) if isinstance(value, str) and value.isdecimal() else value
