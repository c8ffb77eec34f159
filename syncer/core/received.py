"""When a voicemail came in: by the vendor's `time`, or by the epoch in its file name.

The two differ by 5 h 30 min on some accounts, and nobody says which one is right, so it is measured per account.
Pure decisions over epoch milliseconds; what was learned is kept by `store/write/received.py`, gathered by `sync/received.py`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from syncer.core.normalise import epoch_ms, plausible_ms, stamp_ms, voicename_epoch_ms

#: How far clocks may differ, and how long a voicemail may take to be listed.
SLACK = 5 * 60_000

#: A verification that is older than this proves nothing about a new voicemail.
RECENT = 3_600_000

#: Newer proofs to the contrary, in a row, that overturn what was proven.
OVERTURNED_BY = 3


class StampSource(StrEnum):
    """Which stamp of an account is right."""

    TIME = "time"
    VOICENAME = "voicename"
    UNKNOWN = "unknown"


class Stamps(NamedTuple):
    """The two stamps of one voicemail, in epoch milliseconds; None: there is none that can be read."""

    time: int | None
    voicename: int | None


class Evidence(NamedTuple):
    """What is known of an account's clocks."""

    clock: StampSource = StampSource.UNKNOWN
    contrary: int = 0  #: proofs against `clock` since the last one for it


def read_time(value: object) -> int | None:
    """The vendor's `time` in epoch milliseconds, where that is beyond doubt, else None.

    Numbers, also as text, in milliseconds, seconds, micro- or nanoseconds (their plausible ranges do not
    overlap), and ISO 8601 with a zone. Without a zone the hour is in doubt.
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
    """Both stamps of a voicemail; a file name that is days away from `time` is read by itself."""
    time = time if plausible_ms(time) else None
    name = voicename_epoch_ms(voicename, time)
    return Stamps(time, voicename_epoch_ms(voicename, None) if name is None else name)


def received_ms(stamps: Stamps, clock: StampSource, seen: int) -> int | None:
    """When a voicemail came in that was first seen at `seen`; None when no stamp says so.

    A stamp later than that is in the future, and gives way to the other one.
    """
    time, name = (None if one is None or one > seen + SLACK else one for one in stamps)
    preferred, other = (name, time) if clock is StampSource.VOICENAME else (time, name)
    return other if preferred is None else preferred


def prove(stamps: Stamps, *, verified: int | None, now: int, by_server: bool) -> StampSource | None:
    """What a voicemail proves that was first seen now, and was not there at `verified`; None: nothing.

    `now` is the vendor's clock (`by_server`), or ours where it does not tell; only the vendor's can show
    that its own `time` is ahead.
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
