"""The safety limits: whether a listing may remove or blank rows without a person's approval, and how long a
listing that does not end is read.

Arithmetic on counts. The store knows which rows they are and what a person decided.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

#: Up to this many rows may vanish from a mirror of any size without asking.
SMALL_NUMBER = 5

#: A column that would lose all of its values counts as blanked if it had at least this many.
WHOLE_COLUMN = 3

#: The most bytes of JSON that a page of rows may have, about a hundred times a page of contacts.
LARGEST_PAGE = 8_000_000

#: The most rows that are read of a list that does not state its total, and of one that does.
MANY, COUNTED = 100_000, 1_000

#: Or, if that is more, this many times the rows of the mirror, and this many times the stated total.
GROWN, OVERCOUNTED = 4, 2

#: The most bytes that a row may have on average, in a list with more bytes than a long one needs.
BYTES_PER_ROW, LONG = 2048, 40_000_000

#: Free space that is kept on the database's disk: bytes, but at most this share of a small disk.
RESERVE, RESERVED_SHARE = 200_000_000, 0.05


@dataclass(frozen=True, slots=True)
class Extent:
    """How much of a listing was read so far."""

    rows: int
    size: int  #: bytes of JSON
    page: int  #: those of the last page
    known: int  #: rows that the mirror had before
    counted: int | None  #: the list's own count at its begin, where it was one


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


@dataclass(frozen=True, slots=True)
class Tally:
    """What one listing would do to the rows of one account, counted before anything is written."""

    live: int  #: rows that live in the mirror now
    listed: int  #: distinct rows that the listing showed
    gone: int  #: live rows that it did not show, or that it says are deleted
    blanked: Mapping[str, int]  #: by column: rows whose value would turn blank
    filled: Mapping[str, int]  #: by column: live rows that have a value now


@dataclass(frozen=True, slots=True)
class Breach:
    """Why a person has to look first."""

    removal: str  #: a sentence, or "" when removals are within the limit
    blanks: Mapping[str, str]  #: by column: a sentence

    @property
    def reason(self) -> str:
        """All of it in one line."""
        return "; ".join(filter(None, (self.removal, *self.blanks.values())))

    def __bool__(self) -> bool:
        return bool(self.removal or self.blanks)


def check(tally: Tally, max_deletions: float) -> Breach:
    """Compare `tally` with the limit (a share, 0 to 1).

    Removals: more than the share and more than `SMALL_NUMBER` rows, or a listing that is suddenly
    empty. Blanks: more than the share of the rows, and more than `SMALL_NUMBER` of them or all
    values of the column.
    """
    removal = ""
    percent = f"{max_deletions:.0%}"
    if tally.gone and tally.listed == 0:
        removal = f"the listing is suddenly empty: all {tally.gone} rows would go"
    elif tally.gone > SMALL_NUMBER and tally.gone > max_deletions * tally.live:
        removal = f"{tally.gone} of {tally.live} rows would go, more than max_deletions = {percent}"
    blanks = {}
    for column, count in tally.blanked.items():
        whole = count >= WHOLE_COLUMN and count >= tally.filled.get(column, 0)
        if count > max_deletions * tally.live and (count > SMALL_NUMBER or whole):
            blanks[column] = (
                f"{column} would turn blank in {count} of {tally.live} rows, "
                f"more than max_deletions = {percent}"
            )
    return Breach(removal, blanks)


def too_many_deletes(count: int, live: int, max_deletions: float) -> bool:
    """Whether this many local deletes wait for approval, even if the config allows deletes."""
    return count > SMALL_NUMBER and count > max_deletions * live


@dataclass(frozen=True, slots=True)
class RemovalDecision:
    """What of a listing's removals and blanks may happen."""

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
    settled = [row for row in gone if (row, "") in approved]
    fresh = [row for row in gone if (row, "") not in approved and (row, "") not in rejected]
    open_blanks = [one for one in blanks if one not in approved and one not in rejected]
    blanked: dict[str, int] = {}
    for _, column in open_blanks:
        blanked[column] = blanked.get(column, 0) + 1
    breach = check(Tally(live, listed, len(fresh), blanked, filled), max_deletions)
    hold: list[tuple[int, str]] = [(row, "") for row in fresh] if breach.removal else []
    hold += [one for one in open_blanks if one[1] in breach.blanks]
    allowed = {one for one in blanks if one in approved}
    allowed |= {one for one in open_blanks if one[1] not in breach.blanks}
    return RemovalDecision(
        remove=tuple(settled if breach.removal else settled + fresh),
        at_once=frozenset(settled),
        blanks=frozenset(allowed),
        hold=tuple(hold),
        reason=breach.reason,
    )
