"""A search for ways to hand numbers on that get stuck: each contact ends with the number it was given.

In one transaction a person moves numbers along a chain, exchanges them, deletes a contact and gives its
number to another, or to a new one. Meanwhile calls fail before and after they are applied, and the process
dies. Nobody takes a number that nobody gives up, so nothing may be left for a person but an exchange, and
that only until its advice is followed.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.office import MEMORY
from tests.sync.push_bench import READ, WRITE_CALLS, Bench

EXAMPLES = int(os.environ.get("SYNCER_EXAMPLES", "40"))
THEN = st.sampled_from(["", "", "push", "sync"])
CALLS = (READ, *WRITE_CALLS)


class Numbers(RuleBasedStateMachine):
    """One directory whose numbers go round."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="syncer-numbers-", dir=MEMORY))
        self.next_phone = 919300000001
        self.given: dict[int, str | None] = {}  #: by row: the number that it was given last

    @initialize(
        batch=st.sampled_from(["none", "prefix", "others"]),
        duplicates=st.sampled_from(["e164", "e164", "exact", "none"]),
        by_id=st.sampled_from(["works", "works", "ignored"]),
        lag=st.sampled_from([0, 0, 120]),
    )
    def begin(self, batch: str, duplicates: str, by_id: str, lag: int) -> None:
        self.bench = Bench(
            self.folder,
            contacts=6,
            only=("telecmi-contacts", "telecmi-push"),
            telecmi={"push": {"deletes": True}, "max_deletions": "100%"},
        )
        self.bench.switch(batch_on_refusal=batch, duplicate_rule=duplicates, by_id=by_id, read_lag_s=lag)
        self.given = dict(self.bench.sql("SELECT id, phone_no FROM telecmi_contacts"))

    def teardown(self) -> None:
        try:
            self.settle()
        finally:
            self.bench.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    def new_phone(self) -> str:
        self.next_phone += 1
        return str(self.next_phone)

    def program(self, what: str) -> None:
        if what == "push":
            self.bench.push(person=False)
        elif what:
            self.bench.run()

    @rule(
        order=st.permutations(range(6)),
        links=st.integers(1, 4),
        end=st.sampled_from(["new", "new", "delete", "exchange"]),
        insert=st.booleans(),
        turned=st.booleans(),
        then=THEN,
    )
    def hand_on(self, order: list[int], links: int, end: str, insert: bool, turned: bool, then: str) -> None:
        """Rows take each other's numbers along a chain; the first one's may go to a new contact."""
        living = [row for row, phone in self.given.items() if phone is not None]
        rows = [living[place] for place in order if place < len(living)][: links + 1]
        if len(rows) < 2:
            return
        before = {row: self.given[row] for row in rows}
        new: dict[int, str | None] = {one: before[two] for one, two in pairwise(rows)}
        match end:
            case "new":
                new[rows[-1]] = self.new_phone()
            case "delete":
                new[rows[-1]] = None
            case _:
                new[rows[-1]] = before[rows[0]]
        statements: list[tuple[str, tuple[Any, ...]]] = [
            ("UPDATE telecmi_contacts SET phone_no = ? WHERE id = ?", (phone, row))
            if phone is not None
            else ("DELETE FROM telecmi_contacts WHERE id = ?", (row,))
            for row, phone in new.items()
        ]
        freed = before[rows[0]] if end != "exchange" and insert else None
        for statement, values in reversed(statements) if turned else statements:
            self.bench.client().execute(statement, values)
        if freed is not None:
            self.bench.client().execute(
                "INSERT INTO telecmi_contacts (phone_no, first_name, last_name) VALUES (?, 'Ravi', 'Iyer')",
                (freed,),
            )
        self.bench.client().commit()
        self.given |= new
        if freed is not None:
            self.given[self.bench.one("SELECT max(id) FROM telecmi_contacts")] = freed
        self.program(then)

    @rule(pick=st.integers(0, 5), then=THEN)
    def edit(self, pick: int, then: str) -> None:
        """Another field goes along, or goes out while the number waits."""
        living = [row for row, phone in self.given.items() if phone is not None]
        self.next_phone += 1
        self.bench.edit(living[pick % len(living)], company=f"Company {self.next_phone}")
        self.program(then)

    @rule(
        kind=st.sampled_from(["drop", "html502", "empty_body", "too_many", "junk"]),
        call=st.sampled_from(CALLS),
        applied=st.sampled_from(["before", "after"]),
        times=st.sampled_from([1, 2, 8]),
        then=st.sampled_from(["push", "sync"]),
    )
    def fault(self, kind: str, call: str, applied: str, times: int, then: str) -> None:
        if kind == "too_many":
            applied = "before"  # turned away, and applied all the same: no evidence could tell
        self.bench.fault(call, kind, applied=applied, times=times)
        self.program(then)
        self.bench.world.faults.clear()

    @rule(step=st.integers(1, 25), then=THEN)
    def crash(self, step: int, then: str) -> None:
        self.bench.push_killed_at(step, person=False)
        self.program(then)

    @rule(minutes=st.sampled_from([1, 70]), then=THEN)
    def time_passes(self, minutes: int, then: str) -> None:
        self.bench.clock.pass_(minutes=minutes)
        self.program(then)

    def settle(self) -> None:
        """Follow the advice of each refused exchange, and see every contact with its number."""
        bench = self.bench
        bench.world.faults.clear()
        lent: set[int] = set()
        for _ in range(12):
            bench.clock.pass_(hours=3)
            self.program("sync")
            bench.clock.pass_(hours=3)
            self.program("sync")
            refused = [one for one in bench.queue() if one["state"] == "rejected"]
            if set(bench.states()) <= {"done", "discarded"} and not lent:
                break
            for row in sorted(lent):
                bench.edit(row, phone_no=self.given[row])
            lent.clear()
            for change in refused:
                row = change["contact_row"]
                assert f"Give row {row} an unused number" in change["last_error"], change
                bench.edit(row, phone_no=self.new_phone())
                lent.add(row)
        assert set(bench.states()) <= {"done", "discarded"}, bench.queue()
        for row, phone in self.given.items():
            shown = bench.row(row)
            if phone is None:
                assert shown["deleted_at"] and shown["contact_id"] not in bench.directory(), row
            else:
                assert shown["phone_no"] == phone == bench.upstream(row)["phone_no"], row
                assert shown["company"] == bench.upstream(row).get("company"), row
        assert len(bench.phones()) == len(set(bench.phones()))
        bench.quiet()


Numbers.TestCase.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=int(os.environ.get("SYNCER_STEPS", "6")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
    derandomize="SYNCER_EXAMPLES" not in os.environ,
    report_multiple_bugs=False,
)


class TestNumbers(Numbers.TestCase):
    """The search that every test run makes."""
