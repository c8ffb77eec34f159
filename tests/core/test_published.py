"""What values become in PostgreSQL."""

from __future__ import annotations

import json

import pytest

from syncer.core.published import (
    Kind,
    converted,
    digest,
    digest_of_all,
    document,
    is_ahead,
    is_known,
    stamp,
    text,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, None), ("Asha", "Asha"), ("a\x00b", "a\ufffdb"), ("half \ud800", "half \ufffd"), ("", "")],
)
def test_text_loses_only_what_postgresql_cannot_hold(value: str | None, expected: str | None) -> None:
    assert text(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("2026-11-21T12:00:00.123Z", "2026-11-21T12:00:00.123Z"),
        ("2026-02-30T12:00:00.123Z", None),
        ("2026-11-21 12:00:00", "2026-11-21T12:00:00.000Z"),
        ("2026-11-21T12:00:00+05:30", "2026-11-21T06:30:00.000Z"),
        ("2026-11-21T12:00:00,123Z", "2026-11-21T12:00:00.123Z"),
        ("2026-W47-6T12:00:00.123Z", None),  # Python reads it, PostgreSQL does not
        ("soon", None),
        ("", None),
    ],
)
def test_a_stamp_that_cannot_be_read_is_none(value: str | None, expected: str | None) -> None:
    assert stamp(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ('{"a": 1}', '{"a": 1}'),
        ('{"a": "x\\u0000y"}', '{"a": "x\ufffdy"}'),
        ('["\\ud83d\\ude00", "\\ud83d", 1]', '["😀", "\ufffd", 1]'),
        ('{"a": "\\\\u0000"}', '{"a": "\\\\u0000"}'),
        ("not JSON", '"not JSON"'),
        ('{"a": NaN}', '"{\\"a\\": NaN}"'),
        ("1e99999", '"1e99999"'),
        ("[[], {}]", "[[], {}]"),
        ("[1e400]", "[1e400]"),
        ('[1e400, "\\u0000"]', '"[1e400, \\"\\\\u0000\\"]"'),  # infinite for Python
    ],
)
def test_a_document_is_what_jsonb_takes(value: str | None, expected: str | None) -> None:
    assert document(value) == expected


@pytest.mark.parametrize("levels", [300, 100_000])
def test_a_document_of_too_many_levels_is_a_string(levels: int) -> None:
    deep = "[" * levels + "1" + "]" * levels
    assert json.loads(document(deep) or "") == deep


def test_a_row_is_converted_column_by_column() -> None:
    kinds = (Kind.NUMBER, Kind.TEXT, Kind.TIME, Kind.JSON)
    row = (7, "x\x00", "never", "[]")
    assert converted(row, kinds) == (7, "x\ufffd", None, "[]")


def test_a_digest_goes_by_values_not_by_how_they_are_written() -> None:
    kinds = (Kind.NUMBER, Kind.TIME, Kind.JSON)
    stamped = "2026-11-21T12:00:00.000Z"
    one = digest((1, stamped, '{"bb": 1e2, "a": [true, null, 0.50, -0.0], "c": "x\\ty"}'), kinds)
    assert one == digest((1, stamped, '{"c":"x\\u0009y","a":[true,null,0.50,0.0],"bb":100}'), kinds)
    assert one != digest((1, stamped, '{"c":"x","a":[true,null,0.50,0.0],"bb":100}'), kinds)
    assert digest((None,), (Kind.TEXT,)) != digest(("",), (Kind.TEXT,)) != digest(("~",), (Kind.TEXT,))
    assert digest_of_all([b"a", b"b"]) != digest_of_all([b"b", b"a"])


@pytest.mark.parametrize(
    ("token", "known", "expected"),
    [("b", ("a", "b"), True), ("c", ("a", "b"), False), (None, ("a", None), False)],
)
def test_a_state_is_known_by_its_token(
    token: str | None, known: tuple[str | None, ...], expected: bool
) -> None:
    assert is_known(token, known) is expected


@pytest.mark.parametrize(
    ("position", "expected"), [((5, 7), False), ((4, 7), False), ((6, 7), True), ((5, 8), True)]
)
def test_a_copy_that_is_ahead(position: tuple[int, int], expected: bool) -> None:
    assert is_ahead(position, (5, 7)) is expected
