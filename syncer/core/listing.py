"""What a listing proves: walks the pages of one list call and certifies how it ended.

`Walk` takes each page and says which one to ask for next. It keeps counts and digests, not rows, so its memory use
hardly depends on the length of the listing. `sync` fetches; `limits.py` and the store act on the certificate.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from struct import Struct

from syncer.core.model import Page, Paging, Position, Proof

#: A listing ends after this many pages in a row without a new row.
BARREN_PAGES = 2

#: A listing is never read beyond this many pages.
MOST_PAGES = 200_000


@dataclass(frozen=True, slots=True)
class Certificate:
    """How a listing ended, with the evidence for it."""

    verdict: Proof
    reason: str  #: one sentence: why it is not complete; "" when it is
    pages: int  #: pages read, without the closing re-read
    rows: int  #: rows listed; a row that was listed twice counts twice
    distinct: int  #: different identities among them
    unreadable: int  #: rows set aside
    total_first: int | None  #: the vendor's count on the first page
    total_last: int | None  #: and on the last page, or on the closing re-read
    ended_by: str  #: `empty page`, `no cursor`, `same cursor`, `seen cursor`, `repeated page`, ...
    first_page_same: bool | None  #: whether the closing re-read showed the same first page; None: not re-read

    @property
    def complete(self) -> bool:
        """Whether absence from this listing may count as evidence."""
        return self.verdict is Proof.COMPLETE


_ORDER = (Proof.COMPLETE, Proof.DRIFTED, Proof.PARTIAL)


def worst(certificates: Iterable[Certificate]) -> Certificate | None:
    """The certificate that proves least (the last of equals), or None."""
    found: Certificate | None = None
    for one in certificates:
        if found is None or _ORDER.index(one.verdict) >= _ORDER.index(found.verdict):
            found = one
    return found


_WORDS = Struct("<4I")


class SeenKeys:
    """A Bloom filter of the identities listed so far: one megabyte for a listing of any length.

    Very rarely it takes a new identity for a known one, but never the reverse.
    """

    _BITS = 1 << 23

    def __init__(self) -> None:
        self._bits: bytearray | None = None

    def add(self, keys: Iterable[str]) -> bool:
        """Add these; True if one of them is new."""
        if self._bits is None:
            self._bits = bytearray(self._BITS >> 3)
        bits, fresh = self._bits, False
        for key in keys:
            digest = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).digest()
            for word in _WORDS.unpack(digest):
                at, mask = (word % self._BITS) >> 3, 1 << (word & 7)
                if not bits[at] & mask:
                    bits[at] |= mask
                    fresh = True
        return fresh


class Walk:
    """One listing, page by page.

    `next_position()` says what to ask for (False: nothing more). `feed` takes the answer, `close` the first page that
    was read again, `fail` an error, and `certificate` the number of different rows that the store counted.

    A list may end with an empty page, without a cursor, with an earlier cursor, or with repeated pages. A short page
    proves nothing, since servers cap pages. Two pages with the same identities are the same page, even if other fields
    differ.

    `offset` is the difference between the vendor's total and its rows in two earlier quiet listings. A total that is
    off by exactly that is ignored. `asked` is the number of rows requested per page.
    """

    def __init__(
        self,
        paging: Paging,
        *,
        has_total: bool,
        offset: int | None = None,
        asked: int = 0,
        most_pages: int = MOST_PAGES,
    ) -> None:
        self._asked = asked
        self._most_pages = most_pages
        self._paging = paging
        self._has_total = has_total
        self._offset = offset
        self._position: Position = 1 if paging is Paging.NUMBERED else None
        self._cursors: set[str] = set()
        self._first: Page | None = None
        self._digests: set[bytes] = set()
        self._print = 0
        self._known = SeenKeys()
        self._pages = self._rows = self._unreadable = self._barren = self._repeats = 0
        self._largest = self._last_size = 0
        self._emptied = False
        self._totals: list[int | None] = []
        self._per_page = True
        self._total_moved = False
        self._keyless = 0
        self._ended_by = ""
        self._reread: Page | None = None
        self._error = ""

    # -- walking

    def next_position(self) -> Position | bool:
        """What to ask for next; False when the listing has ended."""
        return False if self._ended_by or self._error else self._position

    def expects(self, position: int | str) -> bool:
        """Whether a page may be fetched before `feed` has taken those in front of it.

        A numbered page up to the total, and one more, which proves the end. At a cursor, any that is new.
        """
        if isinstance(position, str):
            return self.next_position() is not False and position not in self._cursors
        if not self.total or self._counts_pages or not self._largest:
            return False
        return position <= -(-self.total // self._largest) + 1

    @property
    def rows(self) -> int:
        """Rows listed so far."""
        return self._rows

    @property
    def total(self) -> int | None:
        """The vendor's latest total, for progress bars. It proves nothing by itself."""
        return next((total for total in reversed(self._totals) if total is not None), None)

    @property
    def counted(self) -> int | None:
        """The total on the first page, unless it could be only the size of that page."""
        if self._first is None or self._first.total is None or self._first.total <= self._first.size:
            return None
        return self._first.total

    def feed(self, page: Page) -> None:
        """Take one page."""
        self._pages += 1
        if self._first is None:
            self._first = page
        self._note_total(page)
        self._print = (self._print + int.from_bytes(blake2b(page.digest.encode()).digest()[:16])) % 2**128
        if page.size == 0:
            self._ended_by = "empty page"
            lacking = self.total is not None and self._rows < self.total
            self._emptied = page.total == 0 and lacking and not self._per_page
            return
        self._last_size, self._largest = page.size, max(self._largest, page.size)
        identities = _identities(page)
        whole = "\n".join(sorted(identities)).encode("utf-8", "surrogatepass")
        digest = blake2b(whole, digest_size=16).digest()
        fresh = self._known.add(identities)
        self._barren = 0 if fresh else self._barren + 1
        if digest in self._digests:
            self._repeats += 1
        else:
            self._digests.add(digest)
            self._rows += page.size
            self._unreadable += len(page.set_aside)
            self._keyless += sum(1 for row in page.set_aside if row.key is None)
        counted = self._paging is Paging.NUMBERED and self._counted()
        if self._barren >= BARREN_PAGES or (self._barren and counted):
            self._ended_by = "repeated page"
        elif self._pages >= self._most_pages:
            self._ended_by = "too many pages"
        else:
            self._advance(page)

    def past_the_end(self) -> bool:
        """Whether an error now may only mean that there is no such page.

        True if all rows of the total were listed, or after a page that is shorter than others or than requested. The
        latter does not prove the end.
        """
        if self._paging is not Paging.NUMBERED or self._pages == 0:
            return False
        least = self._largest if self._pages > 1 else self._asked
        return self._last_size < least or (self._counted() and not self._total_moved)

    def _counted(self) -> bool:
        """Whether all rows of the total were listed, if it is more than each page's own size."""
        if not self.total or self._counts_pages:
            return False
        return self._rows >= self.total

    def refuse_past_end(self) -> None:
        """End the listing, because the page past the last one was refused (see `past_the_end`)."""
        self._ended_by = "refused past the end"

    def fail(self, reason: str) -> None:
        """End the listing with an error. `reason` is a sentence without personal data."""
        self._error = reason

    @property
    def wants_reread(self) -> bool:
        """Whether reading the first page again would prove anything. It would not for a single page."""
        return not self._error and self._first is not None and self._first.size > 0 and self._pages > 1

    def close(self, first_page: Page) -> None:
        """Take the first page, read again after the last one."""
        self._reread = first_page

    def _note_total(self, page: Page) -> None:
        if page.size or not self._totals:
            known = self.total
            if page.total is not None and known is not None and page.total != known:
                self._total_moved = True
            self._per_page = self._per_page and page.total == page.size
            self._totals.append(page.total)

    @property
    def _counts_pages(self) -> bool:
        """Whether there were several pages, each with its own size as the total."""
        return self._per_page and len(self._digests) > 1

    def _advance(self, page: Page) -> None:
        if self._paging is Paging.NUMBERED:
            assert isinstance(self._position, int)
            self._position += 1
        elif not page.cursor:
            self._ended_by = "no cursor"
        elif page.cursor == self._position:
            self._ended_by = "same cursor"
        elif page.cursor in self._cursors:
            self._ended_by = "seen cursor"
        else:
            self._cursors.add(page.cursor)
            self._position = page.cursor

    @property
    def fingerprint(self) -> str:
        """Equal for listings that showed the same pages in any order."""
        return f"{self._pages}:{self._print:x}"

    # -- the certificate

    @property
    def observed_offset(self) -> int | None:
        """The total minus the rows, if the listing was otherwise quiet; None if that is not known."""
        if self._error or not self._has_total or self._total_moved or self.total is None:
            return None
        if self._ended_by == "refused past the end" or self._emptied:
            return None
        if self._first_page_same() is False:
            return None
        return self.total - self._rows

    def certificate(self, distinct: int) -> Certificate:
        """The certificate. `distinct` is the number of different rows that were listed."""
        total_first = self._totals[0] if self._totals else None
        total_last = self._totals[-1] if self._totals else None
        if self._reread is not None and self._reread.total is not None:
            total_last = self._reread.total
        verdict, reason = self._verdict(total_first, total_last, distinct)
        return Certificate(
            verdict=verdict,
            reason=reason,
            pages=self._pages,
            rows=self._rows,
            distinct=distinct,
            unreadable=self._unreadable,
            total_first=total_first,
            total_last=total_last,
            ended_by=self._ended_by,
            first_page_same=self._first_page_same(),
        )

    def _first_page_same(self) -> bool | None:
        """Whether the closing re-read showed the rows of the first page; None: not re-read."""
        if self._first is None or self._reread is None:
            return None
        return {row.key for row in self._first.rows} == {row.key for row in self._reread.rows}

    def _verdict(self, total_first: int | None, total_last: int | None, distinct: int) -> tuple[Proof, str]:
        if self._error:
            return Proof.PARTIAL, self._error
        if self._ended_by == "too many pages" or not self._ended_by:
            return Proof.PARTIAL, "the listing did not finish"
        if self._rows and self._unreadable == self._rows:
            return Proof.PARTIAL, "not one row of it could be understood"
        if self._emptied:
            return Proof.PARTIAL, f"after {self._rows} rows the vendor suddenly counted none"
        if self._keyless:
            return Proof.DRIFTED, f"{self._keyless} rows without a readable identity were set aside"
        if distinct < self._rows - self._unreadable:
            return Proof.DRIFTED, "rows were listed twice, so others may have been skipped"
        if self._first_page_same() is False:
            return Proof.DRIFTED, "the first page had changed when the last one was read"
        if self.wants_reread and self._reread is None:
            return Proof.DRIFTED, "the first page could not be read again"
        if not self._has_total or total_first is None or self._counts_pages:
            return self._verdict_without_total()
        if self._total_moved or total_first != total_last:
            return Proof.DRIFTED, f"the total moved from {total_first} to {total_last} meanwhile"
        if total_first != self._rows:
            if self._offset is not None and total_first - self._rows == self._offset:
                return self._verdict_without_total()
            if self._rows == 0:
                return Proof.PARTIAL, f"the vendor counts {total_first} rows and sent none"
            if total_first - self._rows >= self._largest and self._ended_by == "empty page":
                text = f"the vendor counts {total_first} rows and sent an empty page after {self._rows}"
                return Proof.PARTIAL, text
            return Proof.DRIFTED, f"the vendor counts {total_first} rows and sent {self._rows}"
        return Proof.COMPLETE, ""

    def _verdict_without_total(self) -> tuple[Proof, str]:
        if self._repeats:
            return Proof.DRIFTED, "a page was sent twice, which may hide what follows"
        if self._ended_by == "refused past the end":
            return Proof.DRIFTED, "the page after a short one was refused, which proves no end"
        return Proof.COMPLETE, ""


def _identities(page: Page) -> list[str]:
    return [row.key for row in page.rows] + [row.key or row.raw for row in page.set_aside]
