"""How times, numbers and changed texts are shown."""

from __future__ import annotations

from datetime import timedelta

import pytest

from syncer.console.render import Templates, marked, tel
from tests.office import NOON


@pytest.mark.parametrize(
    "base, text, shown",
    [
        ("Acme", "Acme", "Acme"),
        ("Acme Example", "Acme Mills", "Acme <mark>Mills</mark>"),
        ("Acme Example", "New Acme Example", "<mark>New </mark>Acme Example"),
        ("919200000001", "919200000091", "9192000000<mark>9</mark>1"),
        ("aaa", "aa", "aa"),
        ("Mills", "Mill", "Mill"),
        ("", "<b>", "<mark>&lt;b&gt;</mark>"),
        ("<i>x</i>", "<i>y</i>", "&lt;i&gt;<mark>y</mark>&lt;/i&gt;"),
        ("Acme", "", ""),
        ("x" * 600, "y" * 600, f"<mark>{'y' * 600}</mark>"),
    ],
)
def test_the_differing_part_is_marked(base: str, text: str, shown: str) -> None:
    assert marked(base, text) == shown


@pytest.mark.parametrize(
    "number, written, shown",
    [
        ("+919200000001", None, '<a class="tel" href="tel:+919200000001">+919200000001</a>'),
        (None, "9200 <b>", '<span class="tel">9200 &lt;b&gt;</span>'),
        ('+91"><script>', None, '<span class="tel">+91&#34;&gt;&lt;script&gt;</span>'),
        (None, None, '<span class="none">withheld</span>'),
    ],
)
def test_a_number_can_be_called_if_it_is_one(number: str | None, written: str | None, shown: str) -> None:
    assert tel(number, written) == shown


def test_times_carry_the_exact_utc() -> None:
    pages = Templates(lambda: NOON)
    stamp = "2026-11-21T11:00:00.000Z"
    assert pages.ago(stamp) == (
        '<time class="ago" datetime="2026-11-21T11:00:00Z" title="2026-11-21 11:00:00 UTC">1 h ago</time>'
    )
    assert ">just now</time>" in pages.ago((NOON + timedelta(seconds=1)).isoformat())
    assert ">in 2 h</time>" in pages.ago((NOON + timedelta(hours=2)).isoformat())
    assert 'title="2026-11-21 11:00:00 UTC"' in pages.at(stamp)
    assert pages.at(None) == '<span class="none">unknown</span>'
    for odd in ("<yesterday>", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"):
        assert "<y" not in pages.at(odd)
