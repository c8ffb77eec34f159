"""The life of a change: every state, every event, and where each leads.

            edit                 send                    shown
    (new) ───────▶ queued ───────────────▶ sending ───────────────▶ done
      │             ▲ ▲ │ ▲                  │ │ │
      │ hold        │ │ │ └── turned away ───┘ │ └── refused ──▶ rejected
      ▼    approve  │ │ │                      │ lost                │
     held ──────────┘ │ │ clash                ▼                     │ retry, edit
      ▲               │ └────────▶ conflict  unknown ── shown ─▶ done│
      └── hold ───────┤              │  ▲       │                    │
                      │ keep local   │  └ clash ┤                    │
                      └──────────────┘          │ not there          │
                      └─────────────────────────┴────────────────────┘
    A restart turns `sending` into `unknown`. `give_up` (a person's discard, an edit that was undone,
    a delete that an edit overruled) leads from every open state except `sending` to `discarded`.

There are no other transitions: `advance` refuses them. `push.py` and the store detect the events and apply
them to the row.
"""

from __future__ import annotations

from enum import StrEnum

from syncer.core.model import State


class Event(StrEnum):
    """What can happen to a change."""

    EDIT = "edit"  #: the row was edited again
    HOLD = "hold"  #: a delete that needs approval
    APPROVE = "approve"  #: a person approves a held delete
    SEND = "send"  #: its intent was committed and the request is being sent
    SHOWN = "shown"  #: upstream shows it
    LOST = "lost"  #: sent, without a usable answer, or not shown yet
    RESTART = "restart"  #: found `sending` by a program that did not send it
    TURNED_AWAY = "turned away"  #: never processed: never arrived, 429, credentials refused
    NOT_THERE = "not there"  #: looked up as required and not applied: it is sent again
    REFUSED = "refused"  #: upstream refused this change, or could never accept it
    CLASH = "clash"  #: both sides changed the same field
    KEEP_LOCAL = "keep local"  #: a person settled a conflict in favour of the local value
    GIVE_UP = "give up"  #: discarded, undone, or overtaken
    RETRY = "retry"  #: a person asks for another attempt


_Q, _S, _U, _D = State.QUEUED, State.SENDING, State.UNKNOWN, State.DONE
_R, _C, _H, _X = State.REJECTED, State.CONFLICT, State.HELD, State.DISCARDED

#: All transitions: (state, event) -> state.
MOVES: dict[tuple[State, Event], State] = {
    (_Q, Event.EDIT): _Q,
    (_Q, Event.HOLD): _H,
    (_Q, Event.SEND): _S,
    (_Q, Event.SHOWN): _D,  # adopted, or agreed, before it was sent
    (_Q, Event.REFUSED): _R,  # could never be accepted: no request was made
    (_Q, Event.CLASH): _C,
    (_Q, Event.TURNED_AWAY): _Q,
    (_Q, Event.RETRY): _Q,
    (_Q, Event.GIVE_UP): _X,
    (_S, Event.SHOWN): _D,
    (_S, Event.LOST): _U,
    (_S, Event.RESTART): _U,
    (_S, Event.TURNED_AWAY): _Q,
    (_S, Event.NOT_THERE): _Q,  # one of a refused batch that was read back
    (_S, Event.REFUSED): _R,
    (_S, Event.CLASH): _C,
    (_U, Event.SHOWN): _D,
    (_U, Event.LOST): _U,
    (_U, Event.NOT_THERE): _Q,
    (_U, Event.REFUSED): _R,
    (_U, Event.CLASH): _C,
    (_U, Event.RETRY): _U,
    (_U, Event.GIVE_UP): _X,
    (_R, Event.EDIT): _Q,
    (_R, Event.RETRY): _Q,
    (_R, Event.SHOWN): _D,
    (_R, Event.CLASH): _C,  # refused here, and upstream changed the same field since
    (_R, Event.GIVE_UP): _X,
    (_C, Event.CLASH): _C,
    (_C, Event.SHOWN): _D,
    (_C, Event.KEEP_LOCAL): _Q,
    (_C, Event.GIVE_UP): _X,
    (_H, Event.APPROVE): _Q,
    (_H, Event.HOLD): _H,
    (_H, Event.SHOWN): _D,
    (_H, Event.CLASH): _C,
    (_H, Event.REFUSED): _R,
    (_H, Event.GIVE_UP): _X,
}

#: Nothing more happens to these.
SETTLED = frozenset({State.DONE, State.DISCARDED})

#: These still want something: from us, from upstream, or from a person.
OPEN = frozenset(State) - SETTLED

#: These wait for a person.
WAITING = frozenset({State.REJECTED, State.CONFLICT, State.HELD})


class ForbiddenMoveError(AssertionError):
    """A bug: something tried to move a change in a way that is not drawn above."""


def advance(state: State, event: Event) -> State:
    """The state after `event`. Raises ForbiddenMoveError for a transition that is not drawn above."""
    try:
        return MOVES[state, event]
    except KeyError:
        raise ForbiddenMoveError(f"a change cannot go from {state} by '{event}'") from None
