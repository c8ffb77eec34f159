"""What a listing proves: certificates of every kind of end."""

from __future__ import annotations

from typing import Any

import pytest

from syncer.core.listing import Certificate, SeenKeys, Walk, worst
from syncer.core.model import Page, Paging, Proof, Row, SetAside


def page(*keys: object, total: int | None = None, cursor: str | None = None, aside: int = 0) -> Page:
    """A page of rows with these keys; `aside` of them unreadable."""
    rows = tuple(Row(str(key), {}, f'{{"id":"{key}"}}') for key in keys)
    unreadable = tuple(SetAside(f"[{keys},{n}]", "no identity") for n in range(aside))
    return Page(rows, unreadable, "never looked at", total=total, cursor=cursor)


def certify(walk: Walk, *pages: Page, reread: Page | None = None, distinct: int | None = None) -> Certificate:
    """Feed pages until the walk has enough, then certify."""
    keys: set[str] = set()
    first: Page | None = None
    for one in pages:
        if walk.next_position() is False:
            break
        first = first or one
        keys |= {row.key for row in one.rows}
        walk.feed(one)
    if walk.wants_reread and first is not None:
        walk.close(reread or first)
    return walk.certificate(len(keys) if distinct is None else distinct)


def numbered(**more: Any) -> Walk:
    """A list with a total, by page numbers."""
    return Walk(Paging.NUMBERED, **{"has_total": True, **more})


def test_a_numbered_list_ends_with_an_empty_page() -> None:
    walk = numbered()
    assert walk.next_position() == 1
    walk.feed(page(1, 2, total=3))
    assert walk.next_position() == 2
    walk.feed(page(3, total=3))
    assert walk.next_position() == 3, "a short page proves nothing"
    walk.feed(page(total=3))
    assert walk.next_position() is False
    walk.close(page(1, 2, total=3))
    certificate = walk.certificate(3)
    assert certificate.complete and certificate.ended_by == "empty page"
    assert (certificate.pages, certificate.rows, certificate.first_page_same) == (3, 3, True)


def test_an_empty_list_is_complete() -> None:
    assert certify(numbered(), page(total=0)).complete
    assert certify(Walk(Paging.CURSOR, has_total=True), page(total=0)).complete


def test_a_page_past_the_end_that_counts_nothing_ends_a_complete_list() -> None:
    assert certify(numbered(), page(1, 2, total=3), page(3, total=3), page(total=0)).complete
    cut = certify(numbered(), page(1, 2, total=3), page(total=0))
    assert cut.verdict is Proof.PARTIAL and cut.reason == "after 2 rows the vendor suddenly counted none"


@pytest.mark.parametrize("end", [None, ""])
def test_no_cursor_ends_a_list(end: str | None) -> None:
    walk = Walk(Paging.CURSOR, has_total=True)
    certificate = certify(walk, page(1, total=2, cursor="a"), page(2, total=2, cursor=end))
    assert certificate.complete and certificate.ended_by == "no cursor"


def test_the_same_cursor_and_one_seen_before_end_a_list() -> None:
    same = certify(
        Walk(Paging.CURSOR, has_total=True), page(1, total=2, cursor="a"), page(2, total=2, cursor="a")
    )
    assert same.complete and same.ended_by == "same cursor"
    seen = certify(
        Walk(Paging.CURSOR, has_total=True),
        *(page(n, total=3, cursor=c) for n, c in enumerate(["a", "b", "a"])),
    )
    assert seen.complete and seen.ended_by == "seen cursor"


def test_fresh_cursors_for_old_rows_end_a_list() -> None:
    walk = Walk(Paging.CURSOR, has_total=False)
    pages = [page(1, 2, cursor="a"), page(3, 4, cursor="b"), *(page(3, 4, cursor=f"x{n}") for n in range(99))]
    certificate = certify(walk, *pages)
    assert certificate.pages == 4 and certificate.verdict is Proof.DRIFTED


def test_pages_of_old_rows_in_new_company_end_a_list() -> None:
    """Each page differs from all before, but nothing new comes: a shuffled list without an end."""
    walk = numbered(has_total=False)
    orders = [(1, 2, 3), (3, 4, 5), (1, 3, 5), (2, 4, 5), (1, 2, 4), (2, 3, 4)]
    certificate = certify(walk, *(page(*order) for order in orders))
    assert certificate.pages == 4 and certificate.verdict is Proof.DRIFTED


def test_a_page_is_known_by_its_identities_whatever_is_stamped_on_it() -> None:
    walk = numbered()
    walk.feed(page(1, 2, total=2))
    again = Page(tuple(Row(k, {}, f'{{"id":{k},"at":9}}') for k in "12"), total=2)
    walk.feed(again)
    assert walk.next_position() is False


def test_a_list_is_never_longer_than_the_longest() -> None:
    walk = numbered(has_total=False, most_pages=50)
    certificate = certify(walk, *(page(n) for n in range(99)))
    assert certificate.pages == 50 and certificate.verdict is Proof.PARTIAL


@pytest.mark.parametrize(
    "pages, verdict",
    [
        ([page(1, 2, total=3), page(3, total=4), page(total=4)], Proof.DRIFTED),  # the total moved
        ([page(1, 2, total=4), page(3, total=4), page(total=4)], Proof.DRIFTED),  # fewer than counted
        ([page(1, 2, total=2), page(3, total=2), page(total=2)], Proof.DRIFTED),  # more than counted
        ([page(1, 2, total=4), page(2, 3, total=4), page(total=4)], Proof.DRIFTED),  # one came twice
        ([page(1, 2, total=6), page(total=6)], Proof.PARTIAL),  # whole pages are missing
        ([page(1, 2, total=3), page(total=0)], Proof.PARTIAL),  # the total fell to nothing
        ([page(total=3)], Proof.PARTIAL),  # counted, and none sent
        ([page(1, total=2, aside=1), page(total=2)], Proof.DRIFTED),  # one without an identity
        ([page(total=2, aside=2), page(total=2)], Proof.PARTIAL),  # nothing could be understood
        ([page(1, 2, total=2), page(3, total=1), page(total=0)], Proof.COMPLETE),  # each page's own count
        ([page(1, 2), page(3), page()], Proof.COMPLETE),  # no count at all
    ],
)
def test_totals(pages: list[Page], verdict: Proof) -> None:
    certificate = certify(numbered(), *pages)
    assert certificate.verdict is verdict
    assert bool(certificate.reason) is (verdict is not Proof.COMPLETE)


def test_a_first_page_that_changed_is_drift() -> None:
    pages = [page(1, 2, total=3), page(3, total=3), page(total=3)]
    assert certify(numbered(), *pages, reread=page(9, 1, total=3)).verdict is Proof.DRIFTED
    assert certify(numbered(), *pages, reread=page(2, 1, total=3)).complete, "in another order"
    assert certify(numbered(), *pages, reread=page(1, 2, total=4)).verdict is Proof.DRIFTED
    walk = numbered()
    for one in pages:
        walk.feed(one)
    assert walk.certificate(3).verdict is Proof.DRIFTED, "it could not be read again"


def test_a_broken_list_is_partial_whatever_came() -> None:
    walk = numbered()
    walk.feed(page(1, total=1))
    walk.fail("no answer")
    assert walk.next_position() is False and not walk.wants_reread
    certificate = walk.certificate(1)
    assert (certificate.verdict, certificate.reason) == (Proof.PARTIAL, "no answer")
    assert numbered().certificate(0).verdict is Proof.PARTIAL, "nothing was read"


def test_a_total_that_is_always_off_by_the_same() -> None:
    pages = [page(1, 2, total=4), page(3, total=4), page(total=4)]
    first = numbered()
    assert certify(first, *pages).verdict is Proof.DRIFTED
    assert first.observed_offset == 1
    assert certify(numbered(offset=1), *pages).complete
    assert certify(numbered(offset=2), *pages).verdict is Proof.DRIFTED
    assert certify(numbered(offset=1), page(total=1)).complete, "none, and one too many counted"


@pytest.mark.parametrize(
    "pages",
    [
        [page(1, total=1), page(2, total=2), page(total=2)],  # it moved
        [page(1), page()],  # there is none
        [page(1, total=2), page(2, total=2), page(total=2)],  # its first page changed
        [page(1, total=9), page(total=0)],  # it fell to nothing
    ],
)
def test_no_offset_is_learned_from_a_list_that_is_not_quiet(pages: list[Page]) -> None:
    walk = numbered()
    certify(walk, *pages, reread=page(9, total=2))
    assert walk.observed_offset is None


@pytest.mark.parametrize(
    "pages, asked, allowed",
    [
        ([], 0, False),
        ([page(1, 2, total=2)], 0, True),
        ([page(1, 2, total=3)], 0, False),
        ([page(1, 2, total=0)], 0, False),  # a total that counts nothing promises nothing
        ([page(1, 2, total=2), page(3, 4, total=2)], 0, False),  # each page's own count
        ([page(1, 2, total=3), page(3, 4, total=4)], 0, False),  # it moved
        ([page(1, 2)], 10, True),  # shorter than asked for
        ([page(1, 2)], 2, False),
        ([page(1, 2), page(3)], 10, True),  # shorter than another
        ([page(1, 2), page(3, 4)], 10, False),  # the server caps its pages
    ],
)
def test_when_a_refusal_may_be_an_end(pages: list[Page], asked: int, allowed: bool) -> None:
    walk = numbered(asked=asked)
    for one in pages:
        walk.feed(one)
    assert walk.past_the_end() is allowed


def test_a_refused_page_proves_no_end_by_itself() -> None:
    counted = numbered()
    counted.feed(page(1, total=1))
    counted.refuse_past_end()
    assert counted.certificate(1).complete
    short = numbered(has_total=False, asked=10)
    short.feed(page(1))
    short.refuse_past_end()
    assert short.certificate(1).verdict is Proof.DRIFTED
    assert short.observed_offset is None


def test_the_worst_of_certificates() -> None:
    complete, drifted, partial = (
        certify(numbered(), *pages)
        for pages in (
            [page(1, total=1), page(total=1)],
            [page(1, 2, total=3), page(total=3)],
            [page(total=1)],
        )
    )
    assert [one.verdict for one in (complete, drifted, partial)] == list(Proof)
    assert worst([]) is None and worst([complete]) is complete
    assert worst([complete, partial, drifted]) is partial
    assert (
        worst([drifted, again := certify(numbered(), page(1, 2, total=3), page(total=3)), complete]) is again
    )


def test_pages_that_may_be_asked_for_ahead() -> None:
    walk = numbered()
    assert not walk.expects(1), "nothing came"
    walk.feed(page(1, 2, total=5))
    assert [n for n in range(1, 9) if walk.expects(n)] == [1, 2, 3, 4], (
        "rows, and the page that proves the end"
    )
    assert (walk.rows, walk.total, walk.counted) == (2, 5, 5)
    own = numbered()
    own.feed(page(1, 2, total=2))
    assert own.expects(2) and own.counted is None
    own.feed(page(3, total=1))
    assert not own.expects(3), "each page counts itself alone"
    assert numbered().counted is None and numbered().total is None
    empty = numbered()
    empty.feed(page(total=5))
    assert not empty.expects(1), "the size of a page is not known"


def test_the_page_at_a_new_cursor_may_be_asked_for_ahead_until_the_list_ends() -> None:
    walk = Walk(Paging.CURSOR, has_total=False)
    assert walk.expects("a")
    walk.feed(page(1, cursor="a"))
    assert walk.expects("b") and not walk.expects("a"), "a list that goes in circles costs no request"
    walk.feed(page(2))
    assert not walk.expects("c"), "the list has ended"
    failed = Walk(Paging.CURSOR, has_total=False)
    failed.fail("the connection broke")
    assert not failed.expects("a")


def test_listings_of_the_same_pages_have_the_same_fingerprint() -> None:
    def walked(*digests: str) -> Walk:
        walk = numbered()
        for digest in digests:
            walk.feed(Page((Row(digest, {}, "{}"),), digest=digest))
        return walk

    assert walked("a", "b").fingerprint == walked("b", "a").fingerprint
    assert len({walked(*digests).fingerprint for digests in ("", "a", "ab", "ac", "aa")}) == 5


def test_known_identities() -> None:
    known = SeenKeys()
    assert known.add(["a", "b"])
    assert known.add(["b", "c"])
    assert not known.add(["c", "a"])
    assert not known.add([])
    assert sum(known.add([f"row {n}"]) for n in range(20_000)) == 20_000


def test_a_certificate_holds_all_evidence() -> None:
    walk = numbered()
    walk.feed(page(1, 2, total=6, aside=1))
    walk.feed(page(3, 2, total=6, aside=2))
    walk.feed(page(total=6))
    assert walk.certificate(3) == Certificate(
        verdict=Proof.DRIFTED,
        reason="3 rows without a readable identity were set aside",
        pages=3,
        rows=7,
        distinct=3,
        unreadable=3,
        total_first=6,
        total_last=6,
        ended_by="empty page",
        first_page_same=None,
    )


@pytest.mark.parametrize(
    ("has_total", "pages", "reason"),
    [
        (True, [], "the listing did not finish"),
        (True, [page(total=1, aside=1), page(total=1)], "not one row of it could be understood"),
        (False, [page(1), page(2), page(2), page(2), page(2)], "a page was sent twice, which may hide what follows"),
    ],
)  # fmt: skip
def test_why_a_listing_is_not_complete(has_total: bool, pages: list[Page], reason: str) -> None:
    assert certify(numbered(has_total=has_total), *pages).reason == reason


def test_a_first_page_that_changed_or_could_not_be_read_again() -> None:
    pages = page(1, 2, total=3), page(3, total=3), page(total=3)
    changed = certify(numbered(), *pages, reread=page(1, 4, total=3))
    assert changed.reason == "the first page had changed when the last one was read"
    walk = numbered()
    for one in pages:
        walk.feed(one)
    assert walk.certificate(3).reason == "the first page could not be read again"


def test_identities_that_are_not_unicode() -> None:
    known = SeenKeys()
    assert known.add(["\ud800"]) and not known.add(["\ud800"])
    walk = numbered()
    walk.feed(Page((Row("\ud800", {}, "{}"),), total=1))
    assert walk.rows == 1
