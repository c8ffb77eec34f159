"""Times and counts in words."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from syncer.core.wording import count, moment, seconds_since, some, span, upper_first


@pytest.mark.parametrize(
    "seconds, words",
    [(0, "0 s"), (-45.2, "45 s"), (60, "1 min"), (90, "1.5 min"), (5400, "1.5 h"), (36_000, "10 h"), (86_400, "1 d"),
     (900_000, "10 d")],
)  # fmt: skip
def test_a_length_of_time_has_one_unit(seconds: float, words: str) -> None:
    assert span(seconds) == words


def test_how_long_ago_a_stored_time_was() -> None:
    noon = datetime(2026, 11, 21, 12, tzinfo=UTC)
    assert seconds_since("2026-11-21T11:59:00.000Z", noon) == 60
    assert seconds_since("2026-11-21 12:01:00", noon) == -60
    assert seconds_since("yesterday", noon) is None
    assert moment("2026-11-21T12:00:00") == noon


def test_sentences_begin_with_a_capital_letter() -> None:
    assert [upper_first(text) for text in ("", "a row", "éa", "Done")] == ["", "A row", "Éa", "Done"]


def test_the_first_of_many() -> None:
    assert [some(rows, 2) for rows in ([1], [1, 2], [1, 2, 3])] == ["1", "1, 2", "1, 2, ..."]


def test_counts() -> None:
    assert [count(1, "row"), count(2000, "row"), count(2, "entry", "entries")] == [
        "1 row",
        "2,000 rows",
        "2 entries",
    ]
