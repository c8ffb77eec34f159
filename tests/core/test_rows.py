"""One listed row against the stored one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer.core.model import Note, Row
from syncer.core.rows import (
    Bits,
    RowInsert,
    RowRemoval,
    RowUnchanged,
    RowUpdate,
    Stored,
    combine,
    decide_row,
    differing_fields,
    is_older,
    keep_columns,
    same_raw,
)

CONTENT = ("name", "phone_number", "phone_e164", "created_at", "updated_at", "custom_fields")


def stored(deleted: bool = False, **values: Any) -> Stored:
    return Stored(7, values, json.dumps(values), "2026-11-20" if deleted else None)


def row(deleted_at: str | None = None, raw: str | None = None, **values: Any) -> Row:
    return Row("7", values, raw or json.dumps(values), deleted_at)


def decide(there: Stored | None, listed: Row, ignored: frozenset[str] = frozenset()) -> Any:
    """As a listing of contacts would."""
    return decide_row(there, listed, content=CONTENT, stamps=frozenset({"updated_at"}), ignored=ignored)


def test_new_same_and_gone() -> None:
    assert decide(None, row(name="A")) == RowInsert()
    assert decide(stored(name="A"), row(name="A")) == RowUnchanged(7)
    assert decide(stored(name="A"), row("2026-11-21", name="A")) == RowRemoval(7)
    assert decide(None, row("2026-11-21", name="A")) == RowUnchanged(0)
    assert decide(stored(True, name="A"), row("2026-11-21", name="B")) == RowUnchanged(7)


def test_a_change_says_old_and_new() -> None:
    assert decide(stored(name="A"), row(name="B")) == RowUpdate(7, {"name": ("A", "B")})
    assert decide(stored(name="A"), row(name="")) == RowUpdate(7, {"name": ("A", "")}, ("name",))
    assert decide(stored(name=None), row(name="A")).blanks == ()


def test_null_and_the_empty_text_are_one() -> None:
    assert decide(stored(name=None), row(name="")) == RowUnchanged(7)
    assert decide(stored(name="", custom_fields="[]"), row(raw="{}", custom_fields=None)).changes == {}


def test_a_row_that_is_back_is_restored_as_it_is() -> None:
    assert decide(stored(True, name="A"), row(name="B")) == RowUpdate(7, {"name": ("A", "B")}, restores=True)
    assert decide(stored(True, name="A"), row(name="A")).restores


def test_a_stamp_alone_is_no_change() -> None:
    before, after = "2026-11-21T12:00:00+0000", "2026-11-21T13:00:00+0000"
    only = decide(stored(name="A", updated_at=before), row(name="A", updated_at=after))
    assert only == RowUpdate(7, volatile=frozenset({"updated_at"}))
    both = decide(stored(name="A", updated_at=before), row(name="B", updated_at=after))
    assert both.changes == {"name": ("A", "B"), "updated_at": (before, after)}


def test_a_moment_in_another_spelling_is_no_change() -> None:
    utc, ist = "2026-11-21T12:00:00+0000", "2026-11-21T17:30:00+0530"
    assert decide(stored(created_at=utc), row(created_at=ist)) == RowUnchanged(7)
    assert decide(stored(created_at=utc), row(created_at="2026-11-21T17:31:00+0530")).changes
    assert decide(stored(created_at="once"), row(created_at="twice")).changes


def test_a_derived_column_is_no_change_of_its_own() -> None:
    assert (
        decide(stored(phone_number="1", phone_e164=None), row(phone_number="1", phone_e164="+1")).changes
        == {}
    )


def copy(
    newest: int | None = None, *, stamp: str = "", deleted: str | None = None, notes: str = "", **said: Any
) -> Row:
    """One of several rows with one identity."""
    values = {"time": newest, **said}
    return Row(
        "7", values, json.dumps(said), deleted, stamp or None, tuple(Note(one, None, "") for one in notes)
    )


@pytest.mark.parametrize(
    ("copies", "values", "document"),
    [
        ([copy(1, name="A"), copy(2, name="B")], {"time": 2, "name": "B"}, {"name": "B"}),
        ([copy(name="A"), copy(0, name="B")], {"time": 0, "name": "B"}, {"name": "B"}),
        ([copy(2, name="", email="e"), copy(1, name="A", email="d")], {"time": 2, "name": "A", "email": "e"}, {"name": "A", "email": "e"}),
        ([copy(2, name=None), copy(1, name="A")], {"time": 2, "name": "A"}, {"name": "A"}),
        ([copy(1, name="A", extra=[]), copy(2, name="A")], {"time": 2, "name": "A", "extra": []}, {"name": "A", "extra": []}),
        ([copy(1, stamp="2026-11-22", name="A"), copy(1, stamp="2026-11-21", name="B")], {"time": 1, "name": "A"}, {"name": "A"}),
        ([copy(1, name="A"), copy(2, deleted="2026-11-21", name="B")], {"time": 1, "name": "A"}, {"name": "A"}),
        ([copy(1, deleted="2026-11-21", name="A"), copy(2, deleted="2026-11-21", name="B")], {"time": 2, "name": "B"}, {"name": "B"}),
        ([copy(name="A"), copy(name="B")], {"time": None, "name": "B"}, {"name": "B"}),
    ],
)  # fmt: skip
def test_several_rows_of_one_identity_make_one(copies: list[Row], values: Any, document: Any) -> None:
    for order in (copies, copies[::-1]):
        one = combine(order, "time", "mobile")
        assert (one.key, one.values, json.loads(one.raw)) == ("7", values, document)


def test_a_derived_number_goes_with_the_one_that_it_is_derived_from() -> None:
    older = copy(1, mobile="1", phone_e164="+1")
    assert (
        combine([older, copy(2, mobile="2", phone_e164=None)], "time", "mobile").values["phone_e164"] is None
    )
    assert combine([older, copy(2, mobile="", phone_e164="+2")], "time", "mobile").values == {
        "time": 2,
        "mobile": "1",
        "phone_e164": "+1",
    }


@pytest.mark.parametrize(
    ("mine", "theirs", "column", "older"),
    [
        (2, 1, "time", True), (2, 2, "time", False), (1, 2, "time", False), (2, None, "time", True),
        (None, 1, "time", False), (2, 1, None, False),
    ],
)  # fmt: skip
def test_a_row_that_may_be_the_older_copy_waits(
    mine: Any, theirs: Any, column: str | None, older: bool
) -> None:
    assert is_older(stored(time=mine), row(time=theirs), column) is older
    assert not is_older(stored(True, time=mine), row(time=theirs), column)
    assert not is_older(None, row(time=theirs), column)


def test_columns_that_may_not_turn_blank_keep_their_values() -> None:
    there = stored(mobile="1", phone_e164="+1", name="A")
    kept = keep_columns(there, row(mobile="", phone_e164=None, name=""), ["mobile"], "mobile")
    assert kept.values == {"mobile": "1", "phone_e164": "+1", "name": ""} and kept.raw == there.raw
    named = keep_columns(
        there._replace(raw=None), row(raw="{}", phone_e164="+2", name=""), ["name"], "mobile"
    )
    assert named.values == {"phone_e164": "+2", "name": "A"} and named.raw == "{}"


def test_notes_of_all_copies_are_kept() -> None:
    both = combine([copy(2, notes="ab"), copy(1, notes="bc")], "time", "mobile")
    assert [note.msg for note in both.notes] == ["a", "b", "c"]
    assert combine([copy(1, name="ä"), copy(2, name="ö")], "time", "mobile").raw == '{"name":"ö"}'
    assert combine([copy(1, stamp="2"), copy(9, stamp="1")], None, None).stamp == "2"
    only = copy(1, name="")
    assert combine([only], "time", "mobile") is only


@pytest.mark.parametrize("ignored, expected", [(frozenset(), False), (frozenset({"at"}), True)])
def test_fields_that_are_left_out(ignored: frozenset[str], expected: bool) -> None:
    there = Stored(7, {"name": "A"}, '{"name":"A","at":1}', False)
    decision = decide(there, row(raw='{"name":"A","at":2}', name="A"), ignored)
    assert (decision == RowUnchanged(7)) is expected
    assert expected or decision == RowUpdate(7, volatile=frozenset({"at"}))


def test_differing_fields() -> None:
    assert differing_fields('{"a":1,"b":2}', '{"a":1,"b":3,"c":4}') == {"b", "c"}
    assert differing_fields(None, "{}") == differing_fields("[]", "[]") == frozenset()
    assert differing_fields("[]", "{}") == {""}
    assert not same_raw(None, "{}") and same_raw(None, None) and not same_raw("[]", "{}")


ANOTHER_WRITING = [
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    ({"a": {"x": 1, "y": [1, 2]}}, {"a": {"y": [2, 1], "x": 1}}),
    ({"a": None}, {"a": ""}),
    ({"a": None}, {}),
    ({"a": ""}, {"a": []}),
    ({"a": {}}, {"a": None}),
    ({"a": [None, ""]}, {}),
    ({"a": {"b": None}}, {}),
    ({"a": 7}, {"a": "7"}),
    ({"a": 7.0}, {"a": 7}),
    ({"a": 1.5}, {"a": "1.5"}),
    ({"a": True}, {"a": "true"}),
    ({"id": 1}, {"id": "1"}),
    ({"id": 1.0}, {"id": " 1 "}),
    ({"id": "1.0"}, {"id": "+1"}),
    ({"contact_group_id": 7}, {"contact_group_id": "7.0"}),
    ({"contact_id": "550E8400-E29B-41D4-A716-446655440000"}, {"contact_id": "{550e8400-e29b-41d4-a716-446655440000}"}),
    ({"mobile": 919200000001}, {"mobile": "+919200000001"}),
    ({"custom_fields": [{"name": "A", "value": None}, {"name": "B", "value": "1"}]},
     {"custom_fields": [{"value": 1, "name": "B"}, {"name": "A"}]}),
    ({"created_at": "2024-05-08T12:45:03+0000"}, {"created_at": "2024-05-08T18:15:03+05:30"}),
    ({"phone_no": 919200000001}, {"phone_no": "919200000001"}),
    ({"company": None}, {"company": ""}),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), ANOTHER_WRITING)
def test_another_writing_of_a_row_is_the_same_row(one: Any, other: Any) -> None:
    for left, right in ((one, other), (other, one)):
        assert differing_fields(json.dumps(left), json.dumps(right)) == frozenset()
        there = Stored(7, {"name": "A"}, json.dumps(left | {"name": "A"}), False)
        assert decide(there, row(raw=json.dumps(right | {"name": "A"}), name="A")) == RowUnchanged(7)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1}, {"a": 2}),
        ({"a": 1}, {"a": "1.5"}),
        ({"a": [1, 1]}, {"a": [1]}),
        ({"a": [1]}, {"a": 1}),
        ({"a": 0}, {}),
        ({"a": False}, {"a": None}),
        ({"a": "7.0"}, {"a": "7"}),
        ({"a": " x"}, {"a": "x"}),
        ({"a": "X"}, {"a": "x"}),
        ({"id": "01"}, {"id": "1"}),
        ({"created_at": "2024-05-08T12:45:03+0000"}, {"created_at": "2024-05-08T12:45:03+0530"}),
        ({"email_id": "1.0"}, {"email_id": "1"}),
        ({"company": "Acme "}, {"company": "Acme"}),
        ({"phone_no": "+919200000001"}, {"phone_no": "919200000001"}),
        ({"custom_fields": [{"name": "A", "value": "1"}]}, {"custom_fields": [{"name": "B", "value": "1"}]}),
    ],
)
def test_a_row_that_says_something_else_is_not_the_same(one: Any, other: Any) -> None:
    assert differing_fields(json.dumps(one), json.dumps(other)) == one.keys() | other.keys()


def test_a_column_of_json_is_the_same_in_another_order() -> None:
    one = '[{"name":"A","value":"x"},{"name":"B","value":null}]'
    other = '[{"value":"","name":"B"},{"name":"A","value":"x"}]'
    there = Stored(7, {"custom_fields": one}, f'{{"custom_fields":{one}}}', False)
    assert decide(there, row(raw=f'{{"custom_fields":{other}}}', custom_fields=other)) == RowUnchanged(7)
    assert decide(stored(custom_fields=one), row(custom_fields="[broken")).changes
    assert decide(stored(custom_fields=one), row(custom_fields='[{"name":"A","value":"y"}]')).changes


def test_a_row_that_is_nested_too_deeply_is_compared_as_it_is_written() -> None:
    deep = '{"a":' + "[" * 900 + "1" + "]" * 900 + "}"
    assert same_raw(deep, deep) and not same_raw(deep, deep.replace("1", "2"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(st.text(max_size=3), JSON, max_size=4),
    st.dictionaries(st.text(max_size=3), JSON, max_size=4),
)
def test_any_two_rows_can_be_compared(one: Any, other: Any) -> None:
    left, right = json.dumps(one), json.dumps(other)
    assert differing_fields(left, left) == frozenset()
    assert differing_fields(left, right) == differing_fields(right, left)


@given(st.lists(st.integers(0, 40_000)))
def test_bits_are_a_set(ids: list[int]) -> None:
    bits, known = Bits(), set[int]()
    for one in ids:
        assert bits.add(one) is (one not in known)
        known.add(one)
    assert len(bits) == len(known)
    assert all((n in bits) is (n in known) for n in range(0, 40_000, 7))


def test_neighbouring_ids_are_kept_apart() -> None:
    bits = Bits()
    assert [bits.add(n) for n in (8, 9, 15, 9)] == [True, True, True, False]
    assert [n for n in range(20) if n in bits] == [8, 9, 15] and len(bits) == 3


def test_numbers_and_columns_after_a_derived_one_are_compared() -> None:
    before, after = stored(phone_e164="+1", created_at=1), row(phone_e164="+2", created_at=2)
    assert decide(before, after).changes == {"created_at": (1, 2)}
    assert (
        decide(stored(name="[1]"), row(name="x")).changes
        and decide(stored(name="x"), row(name="[1]")).changes
    )
    assert differing_fields('{"a":true}', '{"a":false}') == {"a"}
    assert not differing_fields('{"a":false}', '{"a":"false"}')
    assert not same_raw("{}", None)
