"""Edits that differ from the old value in spelling only, at vendors that store their own spelling."""

from __future__ import annotations

from typing import Any

import pytest

from tests.grid import sample
from tests.sync.push_bench import UPDATE, Bench, newcomer

TEXT_FIELDS = ("first_name", "last_name", "email_id", "company", "job_title")

#: The vendor's habit -> what it shows, and what a person types over that.
HABITS = {
    "trim": ("Acme", " Acme "),
    "blanks": ("Acme Tools", "Acme \t Tools"),
    "case": ("Acme Tools", "ACME tools"),
    "upper": ("ACME", "Acme"),
    "unicode": ("Jos\u00e9", "Jose\u0301"),
    "accents": ("Jose", "Jos\u00e9"),
    "punctuation": ("Acme Inc", "Acme, Inc."),
}
#: `case` writes e-mail addresses in lower case.
LOWER = {("case", "email_id"): ("acme tools", "Acme TOOLS")}


def spellings(habit: str, name: str) -> tuple[str, str]:
    return LOWER.get((habit, name), HABITS[habit])


@pytest.fixture
def make_bench(make_bench: Any) -> Any:
    def make(habit: str, **fields: str) -> Bench:
        bench: Bench = make_bench()
        bench.switch(respell=[habit])
        bench.world.contact_update(bench.ids[0], fields)
        bench.run()
        return bench

    return make


@pytest.mark.parametrize("habit, name", sample(3, HABITS, TEXT_FIELDS))
def test_it_is_sent_once_and_agreed(make_bench: Any, habit: str, name: str) -> None:
    shown, typed = spellings(habit, name)
    bench = make_bench(habit, **{name: shown})
    bench.edit(1, **{name: typed})
    assert bench.pushed() == [("update", {"contacts": [{"contact_id": bench.ids[0], name: typed}]})]
    assert bench.states() == ["done"]
    assert bench.row(1)[name] == bench.upstream(1)[name] == shown
    assert typed in bench.logged(1), "what a person typed stays on record"
    bench.quiet(times=2)


@pytest.mark.parametrize("how", ["sync", "daemon"])
def test_it_goes_along_with_another_edit(make_bench: Any, how: str) -> None:
    bench = make_bench("trim", company="Acme")
    mark = bench.mark()
    bench.edit(1, company="Acme ", job_title="Owner")
    bench.run() if how == "sync" else bench.push(person=False)
    assert len(bench.writes(mark)) == 1 and bench.states() == ["done"]
    assert (bench.row(1)["company"], bench.row(1)["job_title"]) == ("Acme", "Owner")
    bench.quiet()


def test_an_edit_in_spelling_made_while_another_is_under_way_is_sent_too(make_bench: Any) -> None:
    """The second one is not taken for the first that came back."""
    bench = make_bench("trim", company="Acme")
    bench.edit(1, company="Acme ")
    bench.after_call.append(
        lambda path, _: bench.edit(1, company="ACME") if bench.row(1)["company"] == "Acme " else None
    )
    bench.push()
    bench.after_call.clear()
    bench.push()
    assert bench.upstream(1)["company"] == bench.row(1)["company"] == "ACME"
    assert set(bench.states()) == {"done"}
    bench.quiet()


@pytest.mark.parametrize("applied", ["before", "after"])
def test_its_answer_is_lost(make_bench: Any, applied: str) -> None:
    bench = make_bench("trim", company="Acme")
    mark = bench.mark()
    bench.edit(1, company="Acme ")
    bench.fault(UPDATE, "drop", applied=applied)
    bench.push()
    bench.clock.pass_(hours=1)
    bench.push()
    assert len(bench.writes(mark)) <= 2 and bench.states() == ["done"]
    assert bench.row(1)["company"] == bench.upstream(1)["company"] == "Acme"
    bench.quiet()


def test_a_vendor_that_keeps_it_and_shows_it_late(make_bench: Any) -> None:
    bench = make_bench("upper", job_title="BUYER")
    bench.switch(respell=[], read_lag_s=300)
    bench.edit(1, company="EXAMPLE TRADERS")
    for _ in range(4):
        bench.run()
        bench.clock.pass_(minutes=10)
    assert bench.row(1)["company"] == bench.upstream(1)["company"] == "EXAMPLE TRADERS"
    assert set(bench.states()) == {"done"}
    bench.quiet()


def test_the_same_spelling_again_and_again_is_never_rejected(make_bench: Any) -> None:
    """Like an hourly import of a spreadsheet: after a few times it is no longer sent."""
    bench = make_bench("trim", company="Acme")
    mark = bench.mark()
    for _ in range(8):
        bench.edit(1, company="Acme ")
        bench.push()
        assert bench.row(1)["company"] == bench.upstream(1)["company"] == "Acme"
        bench.quiet()
    assert len(bench.writes(mark)) == 3
    assert bench.states() == ["done"] * 3 + ["discarded"] * 5
    assert "company" in bench.change(8)["last_error"] and "spelling" in bench.change(8)["last_error"]
    bench.edit(1, company="Acme ", job_title="Owner")
    bench.push()
    assert bench.upstream(1)["job_title"] == bench.row(1)["job_title"] == "Owner"
    assert bench.row(1)["company"] == "Acme"
    bench.quiet()


def test_a_new_contact_in_another_spelling_is_adopted_without_a_conflict(make_bench: Any) -> None:
    bench = make_bench("punctuation", company="Acme")
    row = bench.insert(**newcomer(1, company="Acme, Inc.", first_name="D'Arcy"))
    assert [kind for kind, _ in bench.pushed()] == ["add"] and bench.states() == ["done"]
    assert (bench.row(row)["company"], bench.row(row)["first_name"]) == ("Acme Inc", "DArcy")
    bench.quiet()


def test_an_edit_that_says_something_else_is_not_agreed_though_the_vendor_accepts_it(make_bench: Any) -> None:
    """Accepted, and the old words are shown for good: a person has to know."""
    bench = make_bench("trim", company="Acme")
    bench.switch(read_lag_s=10_000_000)
    bench.edit(1, company="Acme Tools")
    for _ in range(6):
        bench.push()
        bench.clock.pass_(hours=1)
    assert "company" in bench.reason("rejected")
