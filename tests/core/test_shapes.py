"""Shapes: each kind is recognized, values are not shown, and differences from the documentation are found."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncer.core.shapes import Line, Shape, compare, kind_of

PROMISED = {
    "": "object",
    "code": "number",
    "error": "?bool",
    "rows": "list",
    "rows[]": "object",
    "rows[].id": "text",
    "rows[].phone": "text",
    "rows[].note": "?text|null",
}


def lines(*answers: Any) -> dict[str, Line]:
    shape = Shape()
    for answer in answers:
        shape.add(answer, PROMISED)
    return {line.place: line for line in compare(shape, PROMISED)}


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, "null"),
        (True, "bool"),
        (7, "number: 1 digit"),
        (-1573132456000, "number: 13 digits"),
        (1.5, "number: with a fraction"),
        ([], "list: empty"),
        ([1], "list"),
        ({}, "object"),
        ("", "text: empty"),
        ("  ", "text: empty"),
        ("200", "text: a whole number"),
        ("919200000001", "text: 12 digits"),
        ("+919200000001", "text: + and 12 digits"),
        ("+91xxxxxx2999", "text: a masked number"),
        ("91 92000-00001", "text: a number with signs"),
        ("238548d4-54eb-52f0-90e9-973f4acd7b09", "text: a UUID"),
        ("false", "text: true or false"),
        ("2024-05-08", "text: a date"),
        ("2024-05-08 12:45:03", "text: a time"),
        ("2024-05-08T12:45:03+0000", "text: a time +0000"),
        ("2024-05-08T12:45:03+05:30", "text: a time +00:00"),
        ("2024-05-08T12:45:03.000Z", "text: a time Z"),
        ("asha@example.com", "text: an email address"),
        ("Asha Example", "text: words"),
    ],
)
def test_each_kind_of_value(value: Any, kind: str) -> None:
    assert kind_of(value) == kind


def test_what_is_as_documented() -> None:
    found = lines({"code": 200, "rows": [{"id": "a", "phone": "919200000001", "note": None}]})
    assert {line.verdict for line in found.values()} == {"as documented"}
    assert found["rows[].phone"].seen == (("text: 12 digits", 1),)
    assert "error" in found and found["error"].absent == 1  # it may be absent, and is


def test_what_is_not() -> None:
    found = lines(
        {"code": "200", "rows": [{"id": "a", "phone": 919200000001, "gender": "f"}, {"id": "b", "note": "x"}]}
    )
    assert found["code"].verdict == "another kind"
    assert found["rows[].phone"].verdict == "another kind"
    assert found["rows[].phone"].absent == 1
    assert found["rows[].id"].verdict == "as documented"
    assert found["rows[].gender"].verdict == "not documented"


def test_a_field_that_some_rows_lack_is_missing() -> None:
    line = lines({"code": 200, "rows": [{"id": "a", "phone": "1"}, {"id": "b"}]})["rows[].phone"]
    assert (line.verdict, line.absent) == ("missing", 1)


def test_no_rows_prove_nothing_about_their_fields() -> None:
    assert "rows[].id" not in lines({"code": 200, "rows": []})


@pytest.mark.parametrize(
    "answer",
    [
        {"rows": {"asha": {"phone": "1"}}},  # an object where a list is documented
        {"code": 200, "rows": [{"id": {"asha": 1}}]},
        {"code": 200, "people": {"asha": 1}},
        {"code": 200, "919200000001": "x", "Asha Example": 1, "asha@example.com": 2},
        [{"asha": 1}],
    ],
)
def test_keys_that_may_be_a_persons_are_not_named(answer: Any) -> None:
    written = str(lines(answer)).lower()
    assert "asha" not in written
    assert "9200000001" not in written


LETTERS = st.text(alphabet="QZJ9", min_size=5)  # no word of ours has these letters in a row
ANYTHING = st.recursive(
    st.none() | LETTERS | st.integers(min_value=10**6),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from([*"rowsid", "rows", "id"]) | LETTERS, inner)
    ),
    max_leaves=20,
)


@settings(max_examples=25)
@given(st.lists(ANYTHING, max_size=3))
def test_no_value_is_ever_in_it(answers: list[Any]) -> None:
    written = str(lines(*answers))
    assert not any(letter in written for letter in "QZJ")
    assert not any(part.isdigit() and len(part) > 4 for part in written.replace("(", " ").split())
