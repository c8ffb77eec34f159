"""The safety limits: whether what a listing would remove or blank may happen without a person, and how far
a listing is read that does not end.

Pure arithmetic over counts; which rows those are, and what a person decided, is left to the store.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

#: Up to this many rows may vanish from a mirror of any size without asking.
SMALL_NUMBER = 5

#: A column of which nothing is left counts as blanked from this many values on.
WHOLE_COLUMN = 3

#: The most bytes of JSON that a page of rows may have: some hundred times what one of contacts has.
LARGEST_PAGE = 8_000_000

#: So many rows are read of a list that does not say how many it has, and of one that does.
MANY, COUNTED = 100_000, 1_000

#: Beyond that, so many times what was there before, and so many times what the list itself counted.
GROWN, OVERCOUNTED = 4, 2

#: Bytes that a row may have on average, once the list has more bytes than a long one needs.
BYTES_PER_ROW, LONG = 2048, 40_000_000

#: What is left free on the disk of the database: bytes, and at most this share of a small one.
RESERVE, RESERVED_SHARE = 200_000_000, 0.05


@dataclass(frozen=True, slots=True)
class Extent:
    """How much of a listing has come."""

    rows: int
    size: int  #: bytes of JSON
    page: int  #: those of the last page
    known: int  #: rows that the mirror had before
    counted: int | None  #: the list's own count at its begin, where it was one


def endless(extent: Extent) -> str:
    """Why no more of a listing is read, or '': it is far longer than what was there and than its own count.

    What came is kept, so that a list that really is so long is read to its end within a few runs.
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
    """Why nothing more is pulled onto a disk with so many bytes, or ''. `what` is on that disk."""
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
    """What one listing would do to the rows of one account, counted before any of it is done."""

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
    """Hold `tally` against the limit (a share, 0 to 1).

    Removals: more than the share and more than `SMALL_NUMBER` rows, or a listing that is suddenly
    empty. Blanks: more than the share of the rows, and more than `SMALL_NUMBER` of them or all that
    the column held.
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
    """Whether so many local deletes at once wait for a person, whatever the config says."""
    return count > SMALL_NUMBER and count > max_deletions * live


@dataclass(frozen=True, slots=True)
class RemovalDecision:
    """What of a listing's removals and blanks may happen."""

    remove: tuple[int, ...]  #: rows that may go
    at_once: frozenset[int]  #: of these, the ones that a person approved: they need no second listing
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
    """Divide what a listing would take away into what may go and what waits for a person.

    What a person approved goes and what one rejected stays, whatever the limit; the rest is counted
    against it as a whole.
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
