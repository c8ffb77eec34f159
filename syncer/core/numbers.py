"""Phone numbers that move between contacts: which contact has to give up its number first.

Upstream allows each number once and cannot swap two in one step. The store reads who holds which number; `push.py`
decides what happens to a change that has to wait.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PendingRelease:
    """A contact that still has a number upstream but gives it up here: it is deleted, or has another number."""

    row: int
    change: int  #: the change that frees the number
    what: str  #: `delete` or `new number`
    for_person: bool  #: whether that change waits for a person
    takes: str | None = None  #: the number that it takes instead, in E.164


def in_the_way(
    releases: Mapping[str, PendingRelease], row: int, number: str | None
) -> Sequence[PendingRelease]:
    """The contacts that have to give up a number before `row` can take this one, the nearest first.

    The keys of `releases` are the numbers that are given up. If contacts wait for each other in a circle, the lowest
    row does not wait: upstream may accept its request, and otherwise a person sees the refusal.
    """
    chain: list[PendingRelease] = []
    rows = [row]
    release = releases.get(number or "")
    while release is not None and release.row not in rows:
        chain.append(release)
        rows.append(release.row)
        release = None if release.for_person else releases.get(release.takes or "")
    if release is not None and release.row == row == min(rows):
        return ()
    return chain


def waiting_text(chain: Sequence[PendingRelease]) -> str:
    """Why a change waits for others to free its number, and what a person can do."""
    first, last = chain[0], chain[-1]
    if first.for_person:
        return (
            f"row {first.row} holds this number, and its {first.what} waits for a person: "
            f"decide on change {first.change} first"
        )
    text = (
        f"row {first.row}, whose {first.what} (change {first.change}) is not upstream yet, holds this number"
    )
    if last.for_person:
        text += f"; that waits for row {last.row}: decide on change {last.change} first"
    return text


def taken_text(holder: int) -> str:
    """Why a contact cannot have the number of `holder`, which keeps it."""
    return f"row {holder} holds this number; this goes on by itself once that row has given it up"


def held_text(row: int, number: str, holder: int, releases: Mapping[str, PendingRelease]) -> str:
    """Why `row` cannot have the number of `holder`: `holder` keeps it, or the two exchange numbers."""
    going = releases.get(number)
    if going is None or going.row != holder or in_the_way(releases, row, number):
        return taken_text(holder)
    return (
        f"row {holder} holds this number, and its {going.what} (change {going.change}) waits for the one of "
        f"row {row}: upstream cannot exchange numbers in one step. Give row {row} an unused number for now; "
        f"row {holder} then changes by itself, and after that row {row} can have this number"
    )
