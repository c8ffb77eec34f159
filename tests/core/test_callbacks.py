"""Who still waits for a call back: the rule, case by case."""

from __future__ import annotations

import pytest

from syncer.core.callbacks import Callback, Mark, Missed, decide

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
        missed=[Missed(at) for at in missed],
        voicemails=voicemails,
        answered=[Missed(at) for at in answered],
        marks=[Mark("9", reopens=True) if mark == "-" else Mark(mark) for mark in marks],
    )
    assert found == Callback(*expected)  # type: ignore[arg-type]
    assert found is not None and found.is_open == (expected[2] is not None)


def test_a_number_that_never_called_in_vain_is_none() -> None:
    assert decide(missed=[], voicemails=[], answered=[Missed("1")], marks=[Mark("2")]) is None


def test_a_call_that_was_missed_and_answered_under_one_id_is_answered() -> None:
    assert decide(missed=[Missed("1", "a")], voicemails=[], answered=[Missed("1", "a")], marks=[]) is None
    found = decide(
        missed=[Missed("1", "a"), Missed("2", "b")], voicemails=[], answered=[Missed("1", "a")], marks=[]
    )
    assert found is not None and (found.missed, found.first_at) == (1, "2")
