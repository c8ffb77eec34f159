"""Lengths of time and counts in words, for commands and for the page."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime


def span(seconds: float) -> str:
    """A length of time in one unit: `45 s`, `12 min`, `1.5 h`, `9 d`."""
    seconds = abs(seconds)
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            number = seconds / size
            return f"{number:.0f} {unit}" if number >= 10 else f"{round(number, 1):g} {unit}"
    return f"{seconds:.0f} s"


def moment(stamp: str) -> datetime | None:
    """A stored time; None if it is not a time."""
    try:
        found = datetime.fromisoformat(stamp)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def seconds_since(stamp: str, now: datetime) -> float | None:
    """How long ago a stored time was; None if it is not a time."""
    found = moment(stamp)
    return None if found is None else (now - found).total_seconds()


def upper_first(text: str) -> str:
    """The text with a capital letter, to begin a sentence."""
    return f"{text[:1].upper()}{text[1:]}"


def some(values: Sequence[object], most: int) -> str:
    """The first values of a list: `1, 2, 3, ...`."""
    return ", ".join(map(str, values[:most])) + (", ..." if len(values) > most else "")


def count(number: int, noun: str, plural: str | None = None) -> str:
    """`1 row`, `2 rows`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
