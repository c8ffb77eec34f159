"""Who may use the page, and what comes from the page itself."""

from __future__ import annotations

import pytest

from syncer.core.console import (
    LONGEST,
    Role,
    Span,
    asked_span,
    digest,
    from_the_page,
    unusable_name,
)


def test_each_role_includes_the_ones_before() -> None:
    may = {role: [other.value for other in Role if role.includes(other)] for role in Role}
    assert may == {
        Role.LOOK: ["look"],
        Role.EDIT: ["look", "edit"],
        Role.APPROVE: ["look", "edit", "approve"],
    }


def test_a_token_is_kept_as_a_hash_whatever_it_holds() -> None:
    assert digest("a") != digest("b")
    assert len({digest("a"), digest("\udcff"), digest("ä")}) == 3


@pytest.mark.parametrize(
    "name, reason",
    [
        ("Asha Example", None),
        ("ಆಶಾ", None),
        ("", "is empty"),
        ("  ", "is empty"),
        ("x" * (LONGEST + 1), f"is longer than {LONGEST} characters"),
        ("Asha\r\nSet-Cookie: x", "has a line break, or a character that cannot be seen"),
        ("Asha\u202e", "has a line break, or a character that cannot be seen"),
    ],
)
def test_names(name: str, reason: str | None) -> None:
    assert unusable_name(name) == reason


@pytest.mark.parametrize(
    "fetch_site, origin, host, ours",
    [
        ("same-origin", None, "sync.example.com", True),
        (
            "same-origin",
            "null",
            "sync.example.com",
            True,
        ),  # what a form sends under Referrer-Policy: no-referrer
        ("same-site", "https://sync.example.com", "sync.example.com", False),
        ("cross-site", "https://sync.example.com", "sync.example.com", False),
        ("none", None, "sync.example.com", False),
        ("", None, "sync.example.com", False),
        (None, "https://sync.example.com", "sync.example.com", True),
        (None, "https://SYNC.example.com", "sync.example.com:443", True),
        (None, "http://127.0.0.1:9464", "127.0.0.1:9464", True),
        (None, "http://[::1]:80", "[::1]", True),
        (None, "http://127.0.0.1:9465", "127.0.0.1:9464", False),
        (None, "https://sync.example.com:80", "sync.example.com", False),
        (None, "https://evil.example", "sync.example.com", False),
        (None, "https://sync.example.com.evil.example", "sync.example.com", False),
        (None, "ftp://sync.example.com", "sync.example.com", False),
        (None, "https://", "", False),
        (None, "null", "null", False),
        (None, "", "", False),
        (None, None, "sync.example.com", False),
    ],
)
def test_what_changes_something_has_to_come_from_the_page(
    fetch_site: str | None, origin: str | None, host: str, ours: bool
) -> None:
    assert from_the_page(fetch_site, origin, host) is ours


def test_the_pages_own_address_counts_whatever_host_a_proxy_passes_on() -> None:
    url = "https://sync.example.com"
    assert from_the_page(None, "https://Sync.example.com", "127.0.0.1:9464", url)
    assert not from_the_page("cross-site", url, "127.0.0.1:9464", url)
    for origin in (None, "null", "https://evil.example.com", f"{url}.evil.example", f"{url}:8443"):
        assert not from_the_page(None, origin, "127.0.0.1:9464", url)


@pytest.mark.parametrize(
    "header, span",
    [
        (None, None),
        ("bytes=0-0", Span(0, 0)),
        ("bytes=0-", Span(0, 99)),
        ("Bytes = 10 - 19", Span(10, 19)),
        ("bytes=90-500", Span(90, 99)),
        ("bytes=-10", Span(90, 99)),
        ("bytes=-1000", Span(0, 99)),
        ("bytes=0-0,5-9", None),
        ("bytes=" + ",".join(["0-"] * 1000), None),
        ("bytes=-", None),
        ("bytes=9-1", None),
        ("bytes=٣-", None),
        ("bytes=" + "9" * 500 + "-", None),
        ("seconds=0-1", None),
    ],
)
def test_ranges(header: str | None, span: Span | None) -> None:
    assert asked_span(header, 100) == span


@pytest.mark.parametrize(
    "header, size", [("bytes=100-", 100), ("bytes=-0", 100), ("bytes=0-", 0), ("bytes=-5", 0)]
)
def test_a_range_that_holds_nothing(header: str, size: int) -> None:
    with pytest.raises(ValueError, match=r"byte|end"):
        asked_span(header, size)
