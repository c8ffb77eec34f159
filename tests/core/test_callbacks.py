"""Who still waits for a call back: the rule, case by case."""

from __future__ import annotations

import pytest

from syncer.core.callbacks import Callback, CallEvent, Doubt, Mark, decide, doubt

CASES = [
    # missed, voicemails, answered, marks -> missed, voicemails, first, last, closed at, by
    (["1"], [], [], [], (1, 0, "1", "1", None, None)),
    ([], ["1"], [], [], (0, 1, "1", "1", None, None)),
    (["1", "3"], ["2"], [], [], (2, 1, "1", "3", None, None)),
    (["1"], [], ["2"], [], (0, 0, None, None, "2", "call")),
    (["1"], [], ["1"], [], (0, 0, None, None, "1", "call")),  # in one millisecond: it was answered
    (["1", "3"], [], ["2"], [], (1, 0, "3", "3", None, None)),
    (["1"], [], [], ["2"], (0, 0, None, None, "2", "person")),
    (["1"], [], [], ["1"], (0, 0, None, None, "1", "person")),
    (["1"], [], [], ["2", "-"], (1, 0, "1", "1", None, None)),  # taken back
    (["1"], [], [], ["2", "3", "-"], (0, 0, None, None, "2", "person")),  # only the last one is
    (["1"], [], [], ["2", "-", "-"], (1, 0, "1", "1", None, None)),
    (["1"], [], [], ["2", "-", "3"], (0, 0, None, None, "3", "person")),
    (["1"], [], ["3"], ["2"], (0, 0, None, None, "3", "call")),
    (["1"], [], ["2"], ["3"], (0, 0, None, None, "3", "person")),
    (["1"], [], ["2"], ["2"], (0, 0, None, None, "2", "call")),
    (["1", "4"], ["5"], ["2"], ["3"], (1, 1, "4", "5", None, None)),
]


@pytest.mark.parametrize(("missed", "voicemails", "answered", "marks", "expected"), CASES)
def test_the_rule(
    missed: list[str],
    voicemails: list[str],
    answered: list[str],
    marks: list[str],
    expected: tuple[object, ...],
) -> None:
    found = decide(
        missed=[CallEvent(at) for at in missed],
        voicemails=voicemails,
        answered=[CallEvent(at) for at in answered],
        marks=[Mark("9", reopens=True) if mark == "-" else Mark(mark) for mark in marks],
    )
    assert found == Callback(*expected)  # type: ignore[arg-type]
    assert found is not None


def test_a_number_that_never_waited_is_none() -> None:
    assert decide(missed=[], voicemails=[], answered=[CallEvent("1")], marks=[Mark("2")]) is None


def test_a_call_that_was_missed_and_answered_under_one_id_is_answered() -> None:
    assert (
        decide(missed=[CallEvent("1", "a")], voicemails=[], answered=[CallEvent("1", "a")], marks=[]) is None
    )
    found = decide(
        missed=[CallEvent("1", "a"), CallEvent("2", "b")],
        voicemails=[],
        answered=[CallEvent("1", "a")],
        marks=[],
    )
    assert found is not None and (found.missed, found.first_at) == (1, "2")


@pytest.mark.parametrize(
    ("outcome", "late_s", "unread_s", "expected"),
    [
        (None, None, 0, Doubt.UNREAD),
        ("failed", None, 9, Doubt.UNREAD),
        ("incomplete", 0.0, 0, Doubt.FAILED),
        ("failed", 901.0, 9, Doubt.FAILED),
        ("ok", 900.0, 0, None),
        ("ok", 901.0, 9, Doubt.LATE),
        ("ok", 0.0, 1, Doubt.GAPS),
        (None, 0.0, 0, None),
    ],
)
def test_what_speaks_against_a_list(
    outcome: str | None, late_s: float | None, unread_s: int, expected: Doubt | None
) -> None:
    assert doubt(outcome=outcome, late_s=late_s, every_s=300.0, unread_s=unread_s) is expected
