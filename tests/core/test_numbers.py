"""Who has to give up a number before it can be taken: chains, circles, and what waits for a person."""

from __future__ import annotations

import pytest

from syncer.core.numbers import PendingRelease, held_text, in_the_way, waiting_text

A, B, C, D = "+919200000001", "+919200000002", "+919200000003", "+919200000004"


def moves(*steps: tuple[int, str, str | None], for_person: int | None = None) -> dict[str, PendingRelease]:
    """Rows that give up a number for another one (None: they are deleted); change 10 is of row 1."""
    return {
        number: PendingRelease(row, row * 10, "new number" if takes else "delete", row == for_person, takes)
        for row, number, takes in steps
    }


@pytest.mark.parametrize(
    ("steps", "row", "number", "expected"),
    [
        ((), 1, B, []),
        (((1, A, B),), 1, B, []),
        (((1, A, B), (2, B, D)), 1, B, [2]),
        (((2, B, None),), 1, B, [2]),
        (((1, A, B), (2, B, C), (3, C, D)), 1, B, [2, 3]),
        (((1, A, B), (2, B, C), (3, C, D)), 2, C, [3]),
        (((1, A, B), (2, B, C), (3, C, D)), 3, D, []),
        (((1, A, B), (2, B, A)), 1, B, []),
        (((1, A, B), (2, B, A)), 2, A, [1]),
        (((1, A, B), (2, B, C), (3, C, A)), 1, B, []),
        (((1, A, B), (2, B, C), (3, C, A)), 2, C, [3, 1]),
        (((1, A, B), (2, B, C), (3, C, A)), 3, A, [1, 2]),
        (((2, B, C), (3, C, B)), 1, B, [2, 3]),
        (((1, A, B), (2, B, A)), 1, None, []),
    ],
)
def test_who_is_in_the_way(
    steps: tuple[tuple[int, str, str | None], ...], row: int, number: str | None, expected: list[int]
) -> None:
    assert [one.row for one in in_the_way(moves(*steps), row, number)] == expected


def test_a_circle_with_somebody_who_waits_for_a_person_is_none() -> None:
    """Nobody goes first then: all wait for that decision."""
    releases = moves((1, A, B), (2, B, A), for_person=1)
    assert [one.row for one in in_the_way(releases, 2, A)] == [1]
    assert waiting_text(in_the_way(releases, 2, A)) == (
        "row 1 holds this number, and its new number waits for a person: decide on change 10 first"
    )


def test_what_a_waiting_change_says() -> None:
    chain = in_the_way(moves((2, B, C), (3, C, None)), 1, B)
    assert waiting_text(chain) == "row 2, whose new number (change 20) is not upstream yet, holds this number"
    chain = in_the_way(moves((2, B, C), (3, C, None), for_person=3), 1, B)
    assert waiting_text(chain).endswith("; that waits for row 3: decide on change 30 first")


def test_what_a_refused_number_says() -> None:
    assert held_text(1, B, 2, {}).startswith("row 2 holds this number; this goes on by itself")
    assert "exchange" not in held_text(1, B, 2, moves((2, B, C))), "it has just been given up"
    text = held_text(1, B, 2, moves((1, A, B), (2, B, A)))
    assert "row 2 holds this number" in text and "change 20" in text and "Give row 1 an unused number" in text
