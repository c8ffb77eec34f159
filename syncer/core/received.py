"""When a voicemail was received: by the vendor's `time`, or by the epoch in its file name.

The two differ by 5 h 30 min on some accounts. The vendor does not document which is right, so it is measured for each
account. `sync/received.py` gathers the evidence and `store/write/received.py` stores it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from syncer.core.normalise import epoch_ms, plausible_ms, stamp_ms, voicename_epoch_ms

#: How far clocks may differ, and how long a voicemail may take to be listed.
SLACK = 5 * 60_000

#: An older verification proves nothing about a new voicemail.
RECENT = 3_600_000

#: This many proofs to the contrary in a row overturn an earlier one.
OVERTURNED_BY = 3


class StampSource(StrEnum):
    """Which stamp of an account is right."""

    TIME = "time"
    VOICENAME = "voicename"
    UNKNOWN = "unknown"


class Stamps(NamedTuple):
    """The two timestamps of one voicemail, in epoch milliseconds; None: missing or unreadable."""

    time: int | None
    voicename: int | None


class Evidence(NamedTuple):
    """What is known of an account's clocks."""

    clock: StampSource = StampSource.UNKNOWN
    contrary: int = 0  #: proofs against `clock` since the last one for it


def read_time(value: object) -> int | None:
    """The vendor's `time` in epoch milliseconds, or None if it is ambiguous.

    It may be a number (also as text) of milliseconds, seconds, micro- or nanoseconds, whose plausible ranges do
    not overlap, or ISO 8601 with a zone. Without a zone it is ambiguous.
    """
    if isinstance(value, str):
        text = value.strip()
        try:
            value = float(text) if "." in text else int(text)
        except ValueError:
            return stamp_ms(text, zoned=True)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return epoch_ms(value)
    return None


def read_stamps(time: int | None, voicename: str) -> Stamps:
    """Both timestamps of a voicemail. A file name that is days away from `time` is read on its own."""
    time = time if plausible_ms(time) else None
    name = voicename_epoch_ms(voicename, time)
    return Stamps(time, voicename_epoch_ms(voicename, None) if name is None else name)


def received_ms(stamps: Stamps, clock: StampSource, seen: int) -> int | None:
    """When a voicemail that was first seen at `seen` was received; None if no timestamp says so.

    A timestamp later than `seen` is in the future, so the other one is used.
    """
    time, name = (None if one is None or one > seen + SLACK else one for one in stamps)
    preferred, other = (name, time) if clock is StampSource.VOICENAME else (time, name)
    return other if preferred is None else preferred


def prove(stamps: Stamps, *, verified: int | None, now: int, by_server: bool) -> StampSource | None:
    """What a voicemail proves that was not listed at `verified` and is now; None: nothing.

    `now` is the vendor's clock (`by_server`) or, if it sends no `Date`, ours. Only the vendor's clock can show that
    its own `time` is ahead.
    """
    time, name = stamps
    if time is None or name is None:
        return None
    latest = now + SLACK
    if time > latest and name <= latest and by_server:
        return StampSource.VOICENAME
    if verified is None or not 0 <= now - verified < RECENT:
        return None
    fits, name_fits = (verified - SLACK <= one <= latest for one in (time, name))
    if fits is name_fits:
        return None
    return StampSource.TIME if fits else StampSource.VOICENAME


def weigh(known: Evidence, proof: StampSource) -> Evidence:
    """What is known after one more proof."""
    if proof is known.clock or known.clock is StampSource.UNKNOWN or known.contrary + 1 >= OVERTURNED_BY:
        return Evidence(proof)
    return Evidence(known.clock, known.contrary + 1)
