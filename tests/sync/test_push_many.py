"""What becomes of a push when somebody writes between its look and its call, and of one of many changes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from syncer.core.queue import Event
from syncer.store.write import queue
from syncer.store.write.push_statements import BLOCK
from syncer.sync.push import IN_FLIGHT
from tests.sync.conftest import MakeBench
from tests.sync.push_bench import READ, UPDATE, Bench


@pytest.fixture
def bench(make_bench: MakeBench) -> Bench:
    return make_bench(contacts=BLOCK * 2 + 2)


def test_an_edit_made_while_the_directory_is_looked_at_is_what_goes_out(bench: Bench) -> None:
    bench.sql("UPDATE telecmi_contacts SET company = 'New'")
    pages = 0

    def on_the_last_page(path: str, body: Any) -> None:
        nonlocal pages
        pages += path == READ
        if path == READ and pages == 3:
            bench.edit(1, company="Newer")
            bench.edit(2, company="Example Traders")
            bench.before_call.remove(on_the_last_page)

    bench.before_call.append(on_the_last_page)
    mark = bench.mark()
    run = bench.push()
    assert run.outcome == "ok", run.problem
    sent = [one for _, body in bench.writes(mark) for one in body["contacts"]]
    assert [len(body["contacts"]) for _, body in bench.writes(mark)] == [100, 100, 1]
    assert {one["contact_id"]: one["company"] for one in sent} == {
        contact_id: "Newer" if row == 1 else "New"
        for row, contact_id in enumerate(bench.ids, start=1)
        if row != 2
    }
    bench.quiet("done", "discarded", *["done"] * (BLOCK * 2))


def test_an_edit_made_between_two_calls_is_what_goes_out(bench: Bench) -> None:
    bench.sql("UPDATE telecmi_contacts SET company = 'New' WHERE id <= 200")
    answers = 0

    def after_the_first(name: str) -> None:
        nonlocal answers
        answers += name == "push: answered"
        if name == "push: answered" and answers == 1:
            bench.edit(150, company="Newer")
            bench.edit(151, company="Example Traders")

    bench.at_step = after_the_first
    mark = bench.mark()
    assert bench.push().outcome == "ok"
    calls = [
        {one["contact_id"]: one["company"] for one in body["contacts"]} for _, body in bench.writes(mark)
    ]
    assert [len(call) for call in calls] == [100, 98, 1]
    assert calls[2] == {bench.ids[149]: "Newer"} and bench.ids[150] not in calls[1]
    bench.quiet()


def test_a_change_that_was_settled_after_it_was_decided_on_does_not_go_out(make_bench: MakeBench) -> None:
    """As if a parallel pull had settled it: upstream already shows the value."""
    bench = make_bench()
    bench.edit(1, company="New")
    bench.edit(2, company="New")

    def settle() -> None:
        bench.write(queue.move, 1, Event.SHOWN, bench.env().stamp())

    bench.at_next("push: decided", settle)
    mark = bench.mark()
    assert bench.push().outcome == "ok"
    assert [[one["contact_id"] for one in body["contacts"]] for _, body in bench.writes(mark)] == [
        [bench.ids[1]]
    ]
    assert bench.change(1)["attempts"] == 0
    assert bench.states() == ["done", "done"]


@pytest.mark.parametrize("readable", [True, False])
def test_reading_back_keeps_pace_with_sending(make_bench: MakeBench, readable: bool) -> None:
    """At most `IN_FLIGHT` changes wait to be read back, and all end `done`. The next reading finds what one misses."""
    bench = make_bench(contacts=2 * IN_FLIGHT + 150)
    bench.sql("UPDATE telecmi_contacts SET company = 'New'")
    most = 0

    def count(name: str) -> None:
        nonlocal most
        if name in ("push: intent", "push: settled"):
            most = max(most, bench.states().count("sending"))
        if name == "push: noted" and not readable and not bench.steps.count("push: settled"):
            bench.fault(READ, "drop", times=4)
        if name == "push: settled" and bench.steps.count(name) == 1:
            assert bench.states().count("done") == (IN_FLIGHT if readable else 0)

    bench.at_step = count
    run = bench.push()
    assert run.outcome == "ok", run.problem
    assert most == IN_FLIGHT
    assert bench.steps.count("push: settled") == 3
    assert set(bench.states()) == {"done"}


def test_a_run_that_is_stopped_reads_nothing_back(make_bench: MakeBench) -> None:
    """What was answered is put on record, and the next run looks it up; the end of the program waits for no listing."""
    bench = make_bench(contacts=BLOCK * 2 + 2)
    bench.sql("UPDATE telecmi_contacts SET company = 'New'")

    def stop(name: str) -> None:
        if bench.steps.count("push: answered") == 2:
            raise asyncio.CancelledError

    bench.at_step = stop
    mark = bench.mark()
    assert bench.run("telecmi-push") == [], "it was stopped"
    calls = bench.calls(mark)
    assert calls[-1] == UPDATE, "no listing after the last call"
    assert bench.one("SELECT count(*) FROM push_intents WHERE answer = 'accepted'") == BLOCK * 2
    bench.at_step = lambda _: None
    mark = bench.mark()
    assert bench.push().outcome == "ok"
    assert set(bench.states()) == {"done"}
    assert sum(len(body["contacts"]) for _, body in bench.writes(mark)) == 2, "nothing is sent twice"
