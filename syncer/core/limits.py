"""The safety limits: what a listing may remove or blank without a person's approval, and when reading stops.

Arithmetic on counts. The store knows which rows they are and what a person decided.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

#: Up to this many rows may be removed from a mirror of any size without asking.
SMALL_NUMBER = 5

#: A column that would lose all of its values counts as blanked if it had at least this many.
WHOLE_COLUMN = 3

#: The most bytes of JSON that a page of rows may have, about a hundred times a page of contacts.
LARGEST_PAGE = 8_000_000

#: How many rows are always read: of a list without a total, and of one with a total.
MANY, COUNTED = 100_000, 1_000

#: A longer list is read up to this many times the rows of the mirror, or this many times its total.
GROWN, OVERCOUNTED = 4, 2

#: A list of more than `LONG` bytes may have this many per row on average.
BYTES_PER_ROW, LONG = 2048, 40_000_000

#: Free space that is kept on the database's disk, in bytes, but at most this share of a small disk.
RESERVE, RESERVED_SHARE = 200_000_000, 0.05


@dataclass(frozen=True, slots=True)
class Extent:
    """How much of a listing was read so far."""

    rows: int
    size: int  #: bytes of JSON
    page: int  #: bytes of JSON in the last page
    known: int  #: rows that the mirror had before
    counted: int | None  #: the list's own total on its first page, if it has one


def endless(extent: Extent) -> str:
    """Why reading stops, or '': the listing is far longer than the mirror and than its own total.

    Rows that were read are kept, so a list that really is that long is read to its end within a few runs.
    """
    if extent.page > LARGEST_PAGE:
        return (
            f"a page of {_mb(extent.page)}, more than {_mb(LARGEST_PAGE)}, which no page of such rows needs; "
            "nothing of it is taken over"
        )
    floor = MANY if extent.counted is None else max(COUNTED, OVERCOUNTED * extent.counted)
    most = max(floor, GROWN * extent.known)
    if extent.rows <= most and extent.size <= max(LONG, extent.rows * BYTES_PER_ROW):
        return ""
    counted = "" if extent.counted is None else f" and it counted {extent.counted:,} itself"
    return (
        f"the listing does not end: {extent.rows:,} rows ({_mb(extent.size)}) came, where {extent.known:,} were "
        f"known{counted}; if upstream really has so many, the next runs read on"
    )


def low_disk(free: int, total: int, what: str = "the database") -> str:
    """Why nothing more is pulled, or '': the disk of `what` is nearly full."""
    reserve = int(min(RESERVE, RESERVED_SHARE * total))
    if free >= reserve:
        return ""
    return (
        f"the disk of {what} is nearly full ({_mb(free)} free, {_mb(reserve)} are kept in reserve): free "
        "some space; edits are still sent, and pulls go on when there is room"
    )


def _mb(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


def too_many_gone(gone: int, *, live: int, listed: int, max_deletions: float) -> str:
    """Why a listing may not remove the `gone` of `live` rows that it did not show, or ''.

    `listed` is the number of distinct rows that it showed, `max_deletions` a share from 0 to 1.
    """
    if gone and listed == 0:
        return f"the listing is suddenly empty: all {gone} rows would go"
    if _exceeds(gone, live, max_deletions):
        return f"{gone} of {live} rows would go, more than max_deletions = {max_deletions:.0%}"
    return ""


def too_many_blanks(column: str, blanked: int, *, filled: int, live: int, max_deletions: float) -> str:
    """Why a listing may not turn this many values of a column blank, or ''. `filled` rows have a value now."""
    whole_column = blanked >= WHOLE_COLUMN and blanked >= filled
    if _exceeds(blanked, live, max_deletions) or (whole_column and blanked > max_deletions * live):
        return (
            f"{column} would turn blank in {blanked} of {live} rows, "
            f"more than max_deletions = {max_deletions:.0%}"
        )
    return ""


def too_many_deletes(count: int, live: int, max_deletions: float) -> bool:
    """Whether this many local deletes wait for approval, even if the config allows deletes."""
    return _exceeds(count, live, max_deletions)


def _exceeds(count: int, live: int, max_deletions: float) -> bool:
    return count > SMALL_NUMBER and count > max_deletions * live


@dataclass(frozen=True, slots=True)
class RemovalDecision:
    """Which removals and blanks of a listing may happen, and which wait."""

    remove: tuple[int, ...]  #: rows that may go
    at_once: frozenset[int]  #: those that a person approved: they need no second listing
    blanks: frozenset[tuple[int, str]]  #: (row, column) that may turn blank
    hold: tuple[tuple[int, str], ...]  #: (row, column or "" for the row itself) that wait for a person
    reason: str  #: why they wait; "" when nothing does


def decide_removals(
    *,
    live: int,
    listed: int,
    gone: Iterable[int],
    blanks: Iterable[tuple[int, str]],
    filled: Mapping[str, int],
    approved: frozenset[tuple[int, str]],
    rejected: frozenset[tuple[int, str]],
    max_deletions: float,
) -> RemovalDecision:
    """Divide what a listing would remove into what may be removed and what waits for a person.

    Approved rows go and rejected rows stay, whatever the limit. The limit applies to the rest as a whole.
    """
    gone, blanks = list(gone), list(blanks)
    decided = approved | rejected
    settled = [row for row in gone if (row, "") in approved]
    fresh = [row for row in gone if (row, "") not in decided]
    open_blanks = [one for one in blanks if one not in decided]
    removal = too_many_gone(len(fresh), live=live, listed=listed, max_deletions=max_deletions)
    held_columns: dict[str, str] = {}
    for column, count in Counter(column for _, column in open_blanks).items():
        reason = too_many_blanks(
            column, count, filled=filled.get(column, 0), live=live, max_deletions=max_deletions
        )
        if reason:
            held_columns[column] = reason
    hold = [(row, "") for row in fresh] if removal else []
    hold += [one for one in open_blanks if one[1] in held_columns]
    allowed = {one for one in blanks if one in approved}
    allowed |= {one for one in open_blanks if one[1] not in held_columns}
    return RemovalDecision(
        remove=tuple(settled if removal else settled + fresh),
        at_once=frozenset(settled),
        blanks=frozenset(allowed),
        hold=tuple(hold),
        reason="; ".join(filter(None, (removal, *held_columns.values()))),
    )
