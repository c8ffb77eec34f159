"""One listed row against the stored one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.core.model import Row
from syncer.core.rows import Bits, Change, Insert, Remove, Same, Stored, decide_row, differing_fields

CONTENT = ("name", "phone_number", "phone_e164", "created_at", "updated_at", "custom_fields")


def stored(deleted: bool = False, **values: Any) -> Stored:
    """A row of the mirror."""
    return Stored(7, values, json.dumps(values), deleted)


def row(deleted_at: str | None = None, raw: str | None = None, **values: Any) -> Row:
    """A listed row."""
    return Row("7", values, raw or json.dumps(values), deleted_at)


def decide(there: Stored | None, listed: Row, ignored: frozenset[str] = frozenset()) -> Any:
    """As a listing of contacts would."""
    return decide_row(there, listed, content=CONTENT, stamps=frozenset({"updated_at"}), ignored=ignored)


def test_new_same_and_gone() -> None:
    assert decide(None, row(name="A")) == Insert()
    assert decide(stored(name="A"), row(name="A")) == Same(7)
    assert decide(stored(name="A"), row("2026-11-21", name="A")) == Remove(7)
    assert decide(None, row("2026-11-21", name="A")) == Same(0)
    assert decide(stored(True, name="A"), row("2026-11-21", name="B")) == Same(7)


def test_a_change_says_old_and_new() -> None:
    assert decide(stored(name="A"), row(name="B")) == Change(7, {"name": ("A", "B")})
    assert decide(stored(name="A"), row(name="")) == Change(7, {"name": ("A", "")}, ("name",))
    assert decide(stored(name=None), row(name="A")).blanks == ()


def test_null_and_the_empty_text_are_one() -> None:
    assert decide(stored(name=None), row(name="")).changes == {}
    assert decide(stored(name="", custom_fields="[]"), row(name=None, custom_fields=None)).changes == {}


def test_a_row_that_is_back_is_restored_as_it_is() -> None:
    assert decide(stored(True, name="A"), row(name="B")) == Change(7, {"name": ("A", "B")}, restores=True)
    assert decide(stored(True, name="A"), row(name="A")).restores


def test_a_stamp_alone_is_no_change() -> None:
    before, after = "2026-11-21T12:00:00+0000", "2026-11-21T13:00:00+0000"
    only = decide(stored(name="A", updated_at=before), row(name="A", updated_at=after))
    assert only == Change(7, volatile=frozenset({"updated_at"}))
    both = decide(stored(name="A", updated_at=before), row(name="B", updated_at=after))
    assert both.changes == {"name": ("A", "B"), "updated_at": (before, after)}


def test_a_moment_in_another_spelling_is_no_change() -> None:
    utc, ist = "2026-11-21T12:00:00+0000", "2026-11-21T17:30:00+0530"
    assert decide(stored(created_at=utc), row(created_at=ist)).changes == {}
    assert decide(stored(created_at=utc), row(created_at="2026-11-21T17:31:00+0530")).changes
    assert decide(stored(created_at="once"), row(created_at="twice")).changes


def test_a_derived_column_is_no_change_of_its_own() -> None:
    assert (
        decide(stored(phone_number="1", phone_e164=None), row(phone_number="1", phone_e164="+1")).changes
        == {}
    )


@pytest.mark.parametrize("ignored, expected", [(frozenset(), False), (frozenset({"at"}), True)])
def test_fields_that_are_left_out(ignored: frozenset[str], expected: bool) -> None:
    there = Stored(7, {"name": "A"}, '{"name":"A","at":1}', False)
    decision = decide(there, row(raw='{"name":"A","at":2}', name="A"), ignored)
    assert (decision == Same(7)) is expected
    assert expected or decision == Change(7, volatile=frozenset({"at"}))


def test_differing_fields() -> None:
    assert differing_fields('{"a":1,"b":2}', '{"b":2,"a":1}') == frozenset()
    assert differing_fields('{"a":1,"b":2}', '{"a":1,"b":3,"c":null}') == {"b", "c"}
    assert differing_fields(None, "{}") == differing_fields("[]", "{}") == frozenset()


@given(st.lists(st.integers(0, 40_000)))
def test_bits_are_a_set(ids: list[int]) -> None:
    bits, known = Bits(), set[int]()
    for one in ids:
        assert bits.add(one) is (one not in known)
        known.add(one)
    assert len(bits) == len(known)
    assert all((n in bits) is (n in known) for n in range(0, 40_000, 7))
