"""Who still waits for a call back, decided from the events of one number.

The triggers of `store/db/callback_triggers.py` follow the same rule in SQL, and a test compares the two. Times are UTC
text, which sorts by time.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import zip_longest
from typing import Literal, NamedTuple


class CallEvent(NamedTuple):
    """A call, missed or answered."""

    at: str
    call: str = ""  #: the vendor's id; a call that was missed and answered under one id counts as answered


class Mark(NamedTuple):
    """A person closed the number, or reopened it. Marks are in the order in which they were made."""

    at: str
    reopens: bool = False  #: it cancels the mark before it


@dataclass(frozen=True, slots=True)
class Callback:
    """The state of a number that has waited at least once."""

    missed: int  #: since it was last closed, like the next three
    voicemails: int
    first_at: str | None  #: None: nobody waits
    last_at: str | None
    closed_at: str | None  #: None while somebody waits
    closed_by: Literal["call", "person"] | None


def decide(
    *,
    missed: Collection[CallEvent],
    voicemails: Collection[str],
    answered: Collection[CallEvent],
    marks: Sequence[Mark],
) -> Callback | None:
    """A number is open while its newest missed call or voicemail is later than its newest answered call and mark.

    None if it never waited.
    """
    taken = {call.call for call in answered if call.call}
    waited = [call.at for call in missed if call.call not in taken]
    if not waited and not voicemails:
        return None
    call = max((call.at for call in answered), default="")
    mark = max((mark.at for mark in _counting(marks)), default="")
    closed = max(call, mark)
    calls_since = [at for at in waited if at > closed]
    voicemails_since = [at for at in voicemails if at > closed]
    since = calls_since + voicemails_since
    return Callback(
        len(calls_since),
        len(voicemails_since),
        min(since, default=None),
        max(since, default=None),
        None if since else closed,
        None if since else "call" if call >= mark else "person",
    )


class Doubt(StrEnum):
    """Why the callbacks may be incomplete: what is wrong with a list behind them."""

    UNREAD = "unread"  #: it was never read completely
    FAILED = "failed"  #: its last run did not succeed
    LATE = "late"  #: it was last read completely too long ago
    GAPS = "gaps"  #: a part of its time was never read completely


def doubt(*, outcome: str | None, late_s: float | None, every_s: float, unread_s: int) -> Doubt | None:
    """Why a list cannot be trusted, or None. `late_s` is how long ago its verified span ended; None without one."""
    if late_s is None:
        return Doubt.UNREAD
    if outcome not in (None, "ok"):
        return Doubt.FAILED
    if late_s > 3 * every_s:
        return Doubt.LATE
    return Doubt.GAPS if unread_s else None


def _counting(marks: Sequence[Mark]) -> list[Mark]:
    """The marks that the next one does not cancel."""
    return [
        mark
        for mark, after in zip_longest(marks, marks[1:])
        if not mark.reopens and not (after is not None and after.reopens)
    ]
