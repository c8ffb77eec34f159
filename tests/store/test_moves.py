"""Statements about many changes at once: moves, requests that are dropped."""

from __future__ import annotations

from syncer.core.queue import MOVES, SETTLED, Event
from syncer.store.write import queue
from tests.store.conftest import Mirror

NOW = "2026-11-21T12:00:00.000Z"
LATER = "2026-11-21T13:00:00.000Z"


def test_many_moves_at_once_are_what_each_of_them_is_alone(mirror: Mirror) -> None:
    """Every transition. Settled changes stay as they are after any event."""
    row = mirror.contact()
    drawn = [*MOVES, *((state, event) for state in SETTLED for event in Event)]
    more = {"fields": '{"company": "X"}', "clashes": "{}", "last_error": "as it was", "next_attempt_at": NOW}
    twins = [[mirror.change(row, "update", state, **more) for state, _ in drawn] for _ in range(2)]
    notes = [None, "a note"]
    steps = [
        (event, notes[n % 2], {"attempts": 7, "next_attempt_at": LATER} if n % 3 else {})
        for n, (_, event) in enumerate(drawn)
    ]
    with mirror.db.write() as conn:
        for number, (event, note, columns) in zip(twins[0], steps, strict=True):
            queue.move(conn, number, event, NOW, note=note, **columns)
        queue.move_many(conn, [(n, *step) for n, step in zip(twins[1], steps, strict=True)], NOW)
    for one, other in zip(*twins, strict=True):
        alone, together = mirror.row(one, "change_queue"), mirror.row(other, "change_queue")
        assert alone | {"id": 0} == together | {"id": 0}


def test_requests_that_may_be_under_way_are_kept_when_a_base_moves(mirror: Mirror) -> None:
    rows = [mirror.contact(f"91920000000{n}", contact_id=f"c-{n}") for n in (1, 2, 3)]
    states = ("done", "unknown", "sending", "queued")
    for row in rows:
        for state in states:
            change = mirror.change(row, "update", state)
            mirror.insert(
                "push_intents", change_id=change, row_id=row, operation="update", fields="{}", sent_at=NOW
            )
    mirror.write(queue.drop_intents, *rows[:2])
    left = mirror.sql(
        "SELECT i.row_id, q.state FROM push_intents i JOIN change_queue q ON q.id = i.change_id ORDER BY i.id"
    )
    kept = [(row, state) for row in rows[:2] for state in ("unknown", "sending")]
    assert left == kept + [(rows[2], state) for state in states]
