"""The life of a change: every state with every event."""

from __future__ import annotations

import pytest

from syncer.core.model import State
from syncer.core.queue import OPEN, SETTLED, WAITING, Event, ForbiddenMoveError, advance

#: Rows: states. Columns: events. A dot is a move that must never happen.
LIFE = """
                edit   hold approve send    shown lost    restart turned_away not_there refused  clash    keep_local give_up   retry
    queued      queued held .       sending done  .       .       queued      .         rejected conflict .          discarded queued
    sending     .      .    .       .       done  unknown unknown queued      queued    rejected conflict .          .         .
    unknown     .      .    .       .       done  unknown .       .           queued    rejected conflict .          discarded unknown
    rejected    queued .    .       .       done  .       .       .           .         .        conflict .          discarded queued
    conflict    .      .    .       .       done  .       .       .           .         .        conflict queued     discarded .
    held        .      held queued  .       done  .       .       .           .         rejected conflict .          discarded .
    done        .      .    .       .       .     .       .       .           .         .        .        .          .         .
    discarded   .      .    .       .       .     .       .       .           .         .        .        .          .         .
"""
HEAD, *STATES = [line.split() for line in LIFE.strip().splitlines()]
PAIRS = [
    (state, event, leads_to) for state, *row in STATES for event, leads_to in zip(HEAD, row, strict=True)
]


def test_the_table_is_complete() -> None:
    assert {(state, event) for state, event, _ in PAIRS} == {
        (state.value, event.name.lower()) for state in State for event in Event
    }


@pytest.mark.parametrize(("state", "event", "leads_to"), PAIRS)
def test_where_an_event_leads(state: str, event: str, leads_to: str) -> None:
    before, happened = State(state), Event[event.upper()]
    if leads_to == ".":
        with pytest.raises(ForbiddenMoveError, match=f"cannot go from {state} by '{happened}'$"):
            advance(before, happened)
    else:
        assert advance(before, happened) is State(leads_to)


def test_groups_of_states() -> None:
    assert {"done", "discarded"} == SETTLED
    assert {"queued", "sending", "unknown", "rejected", "conflict", "held"} == OPEN
    assert {"rejected", "conflict", "held"} == WAITING
