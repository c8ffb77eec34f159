"""A search for sequences that lose an edit, apply one twice, or never settle.

People edit, insert, delete and undo on both sides, also during a call; they retry, discard, approve and resolve.
Calls fail before and after they are applied, the process is killed, triggers are dropped, an old backup is restored.
`Ledger` has every value that a person wrote, and in the end each must be accounted for. Real SQLite, the sandbox's
semantics, virtual time.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from syncer.store.db import copies
from tests.office import MEMORY
from tests.sync.ledger import FIELDS, SETTLED, Ledger
from tests.sync.push_bench import READ, WRITE_CALLS, Bench, KilledError, die, person

EXAMPLES = int(os.environ.get("SYNCER_EXAMPLES", "100"))
STEPS = int(os.environ.get("SYNCER_STEPS", "6"))

#: Shrinking a sequence takes minutes: `SYNCER_SHRINK=1` asks for it.
PHASES = tuple(p for p in Phase if p is not Phase.shrink or os.environ.get("SYNCER_SHRINK"))

KINDS = ("drop", "drop_after", "html502", "html200", "empty_body", "half_json", "junk")
CALLS = (READ, *WRITE_CALLS)

PICK = st.sampled_from([1, 1, 1, 0, 2, 3, -1, -1])  #: which row: often the same one, or the newest
NAME = st.sampled_from(FIELDS)
THEN = st.sampled_from(["", "", "", "push", "sync"])  #: what the program does next


def waits_for_a_word(change: dict[str, Any], queue: list[dict[str, Any]]) -> bool:
    """Whether a change waits for a number, and a person has to decide whether that is freed."""
    told = re.search(r"holds this number.*: decide on change (\d+) first$", change["last_error"] or "")
    if told is None or change["operation"] == "delete" or change["state"] != "queued":
        return False
    other = next(one for one in queue if one["id"] == int(told[1]))
    return other["state"] in ("held", "conflict", "rejected")


class Both(RuleBasedStateMachine):
    """Two sides that people edit at once."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="syncer-search-", dir=MEMORY))
        self.backup: tuple[Path, dict[int, str], int] | None = None
        self.next_phone = 919300000001
        self.raced: set[str] = set()

    @initialize(
        batch=st.sampled_from(["none", "prefix", "others"]),
        end=st.sampled_from(["absent", "null", "empty", "same"]),
        conflict=st.sampled_from(["ask", "ask", "local", "remote"]),
        deletes=st.sampled_from([True, True, False]),
        page_cap=st.sampled_from([None, None, None, 4]),
        duplicates=st.sampled_from(["e164", "none"]),
        respell=st.sampled_from([[], [], ["trim"], ["blanks", "case"], ["upper"], ["punctuation"]]),
        lag=st.sampled_from([0, 0, 0, 120]),
    )
    def begin(
        self,
        batch: str,
        end: str,
        conflict: str,
        deletes: bool,
        page_cap: int | None,
        duplicates: str,
        respell: list[str],
        lag: int,
    ) -> None:
        push = {"deletes": deletes, "on_conflict": conflict}
        self.bench = Bench(
            self.folder,
            contacts=4,
            only=("telecmi-contacts", "telecmi-push"),
            telecmi={"push": push, "max_deletions": "100%"},
        )
        self.ledger = Ledger(self.bench)
        self.bench.switch(
            batch_on_refusal=batch,
            cursor_end=end,
            page_cap=page_cap,
            duplicate_rule=duplicates,
            respell=respell,
            delete_lag_s=lag,
        )
        for n in range(1, 5):
            one = person(n)
            self.ledger.introduce(self.ledger.born(one["phone_no"]), one, here=False, sure=True)

    def teardown(self) -> None:
        try:
            self.settle()
        finally:
            self.bench.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    # -- helpers

    def choose(self, pick: int, query: str = "deleted_at IS NULL") -> int | None:
        rows = self.bench.sql(f"SELECT id FROM telecmi_contacts WHERE {query} ORDER BY id")
        return rows[pick % len(rows)][0] if rows else None

    def choose_upstream(self, pick: int) -> dict[str, Any]:
        contacts = sorted(self.bench.directory().values(), key=lambda c: c["contact_id"])
        return contacts[pick % len(contacts)]

    def row_of(self, contact_id: str) -> int | None:
        return self.bench.one("SELECT id FROM telecmi_contacts WHERE contact_id = ?", contact_id)

    def new_phone(self) -> str:
        self.next_phone += 1
        return str(self.next_phone)

    def write_here(self, row: int | None, name: str) -> None:
        if row is not None:
            sure = self.ledger.clear_ground(row, name)
            value = self.ledger.new_value("L")
            self.bench.edit(row, **{name: value})
            self.ledger.note(self.ledger.of_row(row), name, value, here=True, sure=sure)

    def delete_here(self, row: int | None) -> None:
        if row is None or row == 1:  # one stays: an emptied directory is held, which is another test's
            return
        deletes = self.bench.settings.telecmi[0].push.deletes
        sure = deletes and all(self.ledger.untouched(row, name) for name in FIELDS)
        self.bench.delete(row)
        self.ledger.deletes(self.ledger.of_row(row), sure=sure)

    def write_there(self, pick: int, name: str, *, raced: bool = False) -> None:
        one = self.choose_upstream(pick)
        row = self.row_of(one["contact_id"])
        sure = not raced and row is not None and self.ledger.untouched(row, name)
        value = self.ledger.new_value("R")
        self.bench.world.contact_update(one["contact_id"], {name: value})
        self.ledger.note(self.ledger.person(one["phone_no"]), name, value, here=False, sure=sure)
        if raced:
            self.raced.add(one["contact_id"])

    def delete_there(self, pick: int, *, raced: bool = False) -> None:
        one = self.choose_upstream(pick)
        if one["contact_id"] == self.bench.ids[0]:
            return
        row = self.row_of(one["contact_id"])
        sure = not raced and row is not None and all(self.ledger.untouched(row, name) for name in FIELDS)
        self.bench.world.contact_delete(one["contact_id"])
        self.ledger.deletes(self.ledger.person(one["phone_no"]), sure=sure)
        self.raced.add(one["contact_id"])

    def program(self, what: str) -> None:
        """Push, pull or sync, or nothing."""
        if not what:
            return
        run: dict[str, Callable[[], object]] = {
            "push": lambda: self.bench.push(person=False),
            "pull": self.bench.contacts,
            "sync": self.bench.run,
        }
        self.watched(run[what])

    def watched(self, run: Callable[[], object]) -> None:
        """Let the program run, and look at what it did to the vendor."""
        before = self.bench.directory()
        self.raced = set()
        try:
            run()
        except* KilledError:
            self.bench.restart()
        self.ledger.nothing_was_overwritten_unseen(before, self.bench.directory(), self.raced)
        self.forget_raced()

    def forget_raced(self) -> None:
        """What was written upstream between a look and a write may be lost: the API leaves that open."""
        there = self.bench.directory()
        for contact_id in self.raced & set(there):
            person_ = self.ledger.person(there[contact_id]["phone_no"])
            for name in FIELDS:
                words = self.ledger.words.get((person_, name), [])
                standing = there[contact_id].get(name) or ""
                words[:] = [w for w in words if w.here or w.value == standing or w is not words[-1]]

    # -- people here

    @rule(pick=PICK, name=NAME, then=THEN)
    def edit(self, pick: int, name: str, then: str) -> None:
        self.write_here(self.choose(pick), name)
        self.program(then)

    @rule(pick=PICK, what=st.sampled_from(["new number", "taken number", "no last name"]), then=THEN)
    def edit_required(self, pick: int, what: str, then: str) -> None:
        """A new number, or one that somebody else upstream has; or no last name, which upstream does not take."""
        if (row := self.choose(pick)) is not None:
            person_ = self.ledger.of_row(row)
            if what == "no last name":
                name, value = "last_name", ""
            elif what == "new number":
                name, value = "phone_no", self.new_phone()
                self.ledger.alias[value] = person_
            else:
                name, value = "phone_no", self.choose_upstream(pick + 1)["phone_no"]
                self.ledger.mixed |= {person_, self.ledger.person(value)}
            self.bench.edit(row, **{name: value})
            self.ledger.note(person_, name, value, here=True, sure=False)
        self.program(then)

    @rule(pick=PICK, then=THEN)
    def undo(self, pick: int, then: str) -> None:
        """Back to what was agreed on: one of the edits that are not settled."""
        edits = [
            (row, name, value)
            for name in FIELDS
            for row, value in self.bench.sql(
                f"SELECT c.id, b.{name} FROM telecmi_contacts c JOIN contact_base b ON b.row_id = c.id "
                f"WHERE c.deleted_at IS NULL AND coalesce(c.{name}, '') <> b.{name} ORDER BY c.id"
            )
        ]
        if edits:
            row, name, value = edits[pick % len(edits)]
            sure = self.ledger.clear_ground(row, name)
            self.bench.edit(row, **{name: value})
            self.ledger.note(self.ledger.of_row(row), name, value, here=True, sure=sure)
        self.program(then)

    @rule(
        known=st.sampled_from(["", "before", "after", "mirrored"]), good=st.booleans(), pick=PICK, then=THEN
    )
    def insert(self, known: str, good: bool, pick: int, then: str) -> None:
        """A new contact; sometimes of a number that upstream gains too, or that another row holds."""
        phone = self.choose_upstream(pick)["phone_no"] if known == "mirrored" else self.new_phone()
        if known == "before":
            self.insert_there(phone)
        person_ = self.insert_here(phone, "Iyer" if good else "", sure=not known)
        if known == "mirrored":
            self.ledger.mixed.add(person_)
        if known == "after":
            self.insert_there(phone)
        self.program(then)

    def insert_here(self, phone: str, last_name: str, *, sure: bool) -> str:
        value = self.ledger.new_value("L")
        one = {"phone_no": phone, "first_name": "Ravi", "last_name": last_name, "company": value}
        person_ = self.ledger.born(phone, self.bench.insert(**one))
        self.ledger.introduce(person_, one, here=True, sure=sure)
        return person_

    @rule(pick=PICK, then=THEN)
    def delete(self, pick: int, then: str) -> None:
        self.delete_here(self.choose(pick))
        self.program(then)

    @rule(pick=PICK, then=THEN)
    def bring_back(self, pick: int, then: str) -> None:
        self.back_here(self.choose(pick, "deleted_at IS NOT NULL"))
        self.program(then)

    def back_here(self, row: int | None) -> None:
        if row is not None:
            self.ledger.brings_back(self.ledger.of_row(row))
            phone = self.bench.row(row)["phone_e164"]
            if self.bench.sql(
                "SELECT 1 FROM telecmi_contacts WHERE phone_e164 = ? AND id <> ? AND deleted_at IS NULL",
                phone,
                row,
            ):
                self.ledger.mixed.add(self.ledger.of_row(row))  # refused: another row has its number by now
            self.bench.back(row)

    @rule(
        pick=PICK,
        name=st.sampled_from(["", "", *FIELDS]),
        end=st.sampled_from(["lost", "never arrived", "killed", "not read back"]),
        before=st.integers(0, 2),
        after=st.integers(0, 3),
        again=st.sampled_from([False, False, True]),
        then=THEN,
    )
    def bring_back_in_flight(
        self, pick: int, name: str, end: str, before: int, after: int, again: bool, then: str
    ) -> None:
        """A contact is brought back while its delete is on its way; some listings pass, and it may go again."""
        row = self.choose(pick, "deleted_at IS NULL AND contact_id IS NOT NULL")
        self.delete_here(row)
        if row is not None and self.bench.row(row)["deleted_at"]:
            for number, state in self.bench.sql(
                "SELECT id, state FROM change_queue WHERE contact_row = ?", row
            ):
                if state == "held":
                    self.bench.decide("approve", number)
            path = "/v3/contact/delete"
            match end:
                case "killed":
                    self.bench.at_next("push: answered", die)
                case "not read back":
                    self.bench.blind_after(path)
                case _:
                    applied = "after" if end == "lost" else "before"
                    self.bench.fault(path, "drop", applied=applied)
                    self.bench.blind_after(path)
            self.program("push")
            self.bench.at_step = lambda step: None
            self.bench.world.faults.clear()
            self.bench.before_call.clear()
            for _ in range(before):
                self.program("pull")
            if self.bench.row(row)["deleted_at"]:
                self.back_here(row)
            if name:
                self.write_here(row, name)
            for _ in range(after):
                self.program("pull")
            if again:
                self.delete_here(row)
        self.program(then)

    @rule(
        pick=PICK,
        name=NAME,
        how=st.sampled_from(["trailing", "leading", "inner", "lower", "upper"]),
        then=THEN,
    )
    def respell(self, pick: int, name: str, how: str, then: str) -> None:
        """An edit that says what the row says already, in another spelling."""
        row = self.choose(pick)
        value = row and self.bench.row(row)[name]
        if row is not None and value:
            sure = self.ledger.clear_ground(row, name)
            new = {
                "trailing": f"{value} ",
                "leading": f"  {value}",
                "inner": f"{value[:1]} {value[1:]}" if " " in value else f"{value}  ",
                "lower": value.lower(),
                "upper": value.upper(),
            }[how]
            self.bench.edit(row, **{name: new})
            self.ledger.note(self.ledger.of_row(row), name, new, here=True, sure=sure)
        self.program(then)

    @rule(
        pick=PICK,
        what=st.sampled_from(["moved", "deleted", "chain", "exchange", "circle", "inserted"]),
        then=THEN,
    )
    def hand_on(self, pick: int, what: str, then: str) -> None:
        """A number goes from one contact to another, in one transaction."""
        rows = [row for (row,) in self.bench.sql(
            "SELECT id FROM telecmi_contacts WHERE deleted_at IS NULL AND phone_e164 IS NOT NULL ORDER BY id"
        )]  # fmt: skip
        if len(rows) >= 3:
            place = pick % len(rows)
            one, two, three = (rows + rows)[place : place + 3]
            phone = {row: str(self.bench.row(row)["phone_no"]) for row in (one, two, three)}
            people = {self.ledger.of_row(row) for row in (one, two, three)}
            self.ledger.mixed |= people
            fresh = self.new_phone()
            self.ledger.mixed.add(self.ledger.person(fresh))
            moves: dict[int, str] = {
                "moved": {one: phone[two], two: fresh},
                "deleted": {one: phone[two]},
                "chain": {one: phone[two], two: phone[three], three: fresh},
                "exchange": {one: phone[two], two: phone[one]},
                "circle": {one: phone[two], two: phone[three], three: phone[one]},
                "inserted": {two: fresh},
            }[what]
            with self.bench.client() as conn:
                if what == "deleted" and two != 1:
                    conn.execute("DELETE FROM telecmi_contacts WHERE id = ?", (two,))
                for row, new in moves.items():
                    conn.execute("UPDATE telecmi_contacts SET phone_no = ? WHERE id = ?", (new, row))
                if what == "inserted":
                    conn.execute(
                        "INSERT INTO telecmi_contacts (phone_no, first_name, last_name) VALUES (?, 'Ravi', 'Iyer')",
                        (phone[two],),
                    )
            self.ledger.deleted |= people
        self.program(then)

    @rule(
        pick=PICK,
        what=st.sampled_from(["retry", "approve", "discard", "resolve local", "resolve remote"]),
        then=THEN,
    )
    def decide(self, pick: int, what: str, then: str) -> None:
        """A person settles a change that waits."""
        verb, _, keep = what.partition(" ")
        states = {"resolve": "'conflict'", "approve": "'held'", "retry": "'rejected', 'queued', 'unknown'"}
        wanted = states.get(verb, "'conflict', 'held', 'rejected', 'queued', 'unknown'")
        rows = self.bench.sql(
            f"SELECT id, contact_row FROM change_queue WHERE state IN ({wanted}) ORDER BY id"
        )
        if rows:
            number, row = rows[pick % len(rows)]
            person_ = self.ledger.of_row(row)
            self.ledger.gone.pop(person_, None)
            if verb != "retry":
                self.ledger.doubt(person_)
            if verb == "discard":
                self.ledger.given_up.add(person_)
            self.bench.decide(verb, number, keep or "local")  # type: ignore[arg-type]
        self.program(then)

    # -- people there

    @rule(pick=PICK, name=NAME, then=THEN)
    def edit_upstream(self, pick: int, name: str, then: str) -> None:
        self.write_there(pick, name)
        self.program(then)

    @rule(pick=PICK, then=THEN)
    def delete_upstream(self, pick: int, then: str) -> None:
        self.delete_there(pick)
        self.program(then)

    @rule(
        pick=PICK,
        here=st.sampled_from(["edit", "delete"]),
        there=st.sampled_from(["edit", "delete"]),
        names=st.tuples(NAME, NAME),
        first=st.booleans(),
        then=THEN,
    )
    def both_at_once(
        self, pick: int, here: str, there: str, names: tuple[str, str], first: bool, then: str
    ) -> None:
        """Each side does something to one contact, and the other has not seen it."""
        row = self.choose(pick, "deleted_at IS NULL AND contact_id IS NOT NULL")
        contacts = sorted(self.bench.directory())
        contact_id = row and self.bench.row(row)["contact_id"]
        if row is not None and contact_id in contacts:
            place = contacts.index(contact_id)
            doings = [
                lambda: self.write_here(row, names[0]) if here == "edit" else self.delete_here(row),
                lambda: self.write_there(place, names[1]) if there == "edit" else self.delete_there(place),
            ]
            for do in doings if first else reversed(doings):
                do()
        self.program(then)

    @rule(pick=PICK, waiting=st.booleans(), then=THEN)
    def insert_upstream(self, pick: int, waiting: bool, then: str) -> None:
        """A new contact upstream, sometimes with a number that is about to be added."""
        row = self.choose(pick, "contact_id IS NULL AND deleted_at IS NULL") if waiting else None
        phone = self.bench.row(row)["phone_no"] if row is not None else self.new_phone()
        if phone not in self.bench.phones():
            self.insert_there(phone)
        self.program(then)

    def insert_there(self, phone: str) -> None:
        value = self.ledger.new_value("R")
        one = {"phone_no": phone, "first_name": "Ravi", "last_name": "Iyer", "company": value}
        self.bench.world.contact_insert(one)
        person_ = self.ledger.born(phone)
        self.ledger.introduce(person_, one, here=False, sure=False)
        self.ledger.doubt(person_)

    # -- trouble

    @rule(
        kind=st.sampled_from(KINDS),
        call=st.sampled_from(CALLS),
        applied=st.sampled_from(["before", "after"]),
        times=st.sampled_from([1, 2, 3, 8]),
        page=st.sampled_from([None, 2]),
        then=THEN,
    )
    def fault(self, kind: str, call: str, applied: str, times: int, page: int | None, then: str) -> None:
        match = {"page": page} if page and call.endswith("get") else {}
        self.bench.fault(call, kind, applied=applied, times=times, match=match)
        self.program(then)

    @rule(
        pick=PICK,
        name=NAME,
        what=st.sampled_from(["add", "update", "delete"]),
        applied=st.sampled_from(["before", "after"]),
        blind=st.sampled_from([True, True, False]),
        then=THEN,
    )
    def lost(self, pick: int, name: str, what: str, applied: str, blind: bool, then: str) -> None:
        """A change whose answer does not come; mostly the vendor is gone altogether from then on."""
        if what == "add":
            self.insert_here(self.new_phone(), "Iyer", sure=True)
        elif what == "update":
            self.write_here(self.choose(pick), name)
        else:
            self.delete_here(self.choose(pick))
        path = f"/v3/contact/{what}"
        self.bench.fault(path, "drop", applied=applied)
        if blind:
            self.bench.blind_after(path)
        self.program("push")
        self.bench.world.faults.clear()
        self.bench.before_call.clear()
        self.program(then)

    @rule(
        what=st.sampled_from(["expiry", "429", "429 with a wait", "restart", "minute", "hour", "day"]),
        then=THEN,
    )
    def trouble(self, what: str, then: str) -> None:
        match what:
            case "expiry":
                self.bench.world.expire_tokens("telecmi")
            case "429" | "429 with a wait":
                self.bench.fault("/v3/contact/*", "too_many", retry_after=None if what == "429" else 1)
            case "restart":
                self.bench.restart()
            case _:
                self.bench.clock.pass_(minutes={"minute": 1, "hour": 70, "day": 1500}[what])
        self.program(then)

    @rule(
        pick=PICK,
        name=NAME,
        what=st.sampled_from(["edit", "delete", "turned away", "lost"]),
        hours=st.sampled_from([5.5, 1440.0]),
        program=st.sampled_from(["push", "pull", "sync"]),
        then=THEN,
    )
    def clock_ahead(self, pick: int, name: str, what: str, hours: float, program: str, then: str) -> None:
        """The clock is ahead for a while, and what is written down meanwhile lies far ahead afterwards."""
        self.bench.clock.pass_(hours=hours)
        self.bench.world.skew_s -= 3600 * hours  # the vendor's clock is right
        if what == "delete":
            self.delete_here(self.choose(pick))
        else:
            self.write_here(self.choose(pick), name)
        if what == "turned away":
            self.bench.fault("/v3/contact/*", "too_many", times=2)
        elif what == "lost":
            self.bench.fault("/v3/contact/*", "drop", applied="after", times=8)
        self.program(program)
        self.bench.world.faults.clear()
        self.bench.clock.pass_(hours=-hours)
        self.bench.world.skew_s += 3600 * hours
        self.program(then)

    @rule(step=st.integers(1, 12), then=THEN)
    def crash(self, step: int, then: str) -> None:
        """The process dies at some step of a push."""
        self.watched(lambda: self.bench.push_killed_at(step, person=False))
        self.program(then)

    @rule(
        call=st.sampled_from(CALLS),
        edge=st.sampled_from(["before", "after"]),
        what=st.sampled_from(["edit", "delete", "edit upstream", "delete upstream"]),
        pick=PICK,
        name=NAME,
        then=THEN,
    )
    def meanwhile(self, call: str, edge: str, what: str, pick: int, name: str, then: str) -> None:
        """Somebody acts right before a call arrives, or right after it was answered."""
        watchers = self.bench.before_call if edge == "before" else self.bench.after_call

        def act(path: str, _: Any) -> None:
            if path != call or act not in watchers:
                return
            watchers.remove(act)
            doings: dict[str, Callable[[], None]] = {
                "edit": lambda: self.write_here(self.choose(pick), name),
                "delete": lambda: self.delete_here(self.choose(pick)),
                "edit upstream": lambda: self.write_there(pick, name, raced=True),
                "delete upstream": lambda: self.delete_there(pick, raced=True),
            }
            doings[what]()

        watchers.append(act)
        self.program("push")
        watchers.clear()
        self.program(then)

    @rule(pick=PICK, name=NAME, what=st.sampled_from(["edit", "insert", "delete"]), then=THEN)
    def lose_triggers(self, pick: int, name: str, what: str, then: str) -> None:
        row = self.choose(pick)
        self.bench.drop_triggers("telecmi_contacts")
        ledger = self.ledger
        if what == "insert":
            self.insert_here(self.new_phone(), "Iyer", sure=True)
        elif row is not None and what == "edit":
            ledger.unwritten.add(self.bench.row(row)[name])
            self.write_here(row, name)
        elif row is not None and row != 1:
            ledger.unwritten |= set(self.bench.row(row).values())
            ledger.deletes(ledger.of_row(row), sure=False)
            self.bench.delete(row)
        self.bench.restart()
        self.bench.scan()  # as every start does
        self.program(then)

    @precondition(lambda self: self.backup is None)
    @rule()
    def back_up(self) -> None:
        target = self.folder / "backup.db"
        copies.backup(self.bench.db, target)
        rows = {row: self.ledger.of_row(row) for (row,) in self.bench.sql("SELECT id FROM telecmi_contacts")}
        self.backup = (target, rows, self.ledger.tick)

    @precondition(lambda self: self.backup is not None and not self.ledger.restored)
    @rule(then=THEN)
    def restore(self, then: str) -> None:
        assert self.backup is not None
        target, rows, tick = self.backup
        self.bench.restore(target)
        ledger = self.ledger
        ledger.restored = True
        ledger.rows = rows
        ledger.gone.clear()
        for words in ledger.words.values():
            for word in words:
                word.sure = False
                if word.tick > tick:  # it may have gone with the file
                    ledger.unwritten.add(word.value)
        self.program(then)

    # -- the program

    @rule(what=st.sampled_from(["push", "pull", "sync"]))
    def run(self, what: str) -> None:
        self.program(what)

    # -- what must hold

    @invariant()
    def nothing_is_lost_or_doubled(self) -> None:
        if hasattr(self, "bench"):
            self.ledger.nobody_is_there_twice()
            self.ledger.every_word_is_on_record()

    def settle(self) -> None:
        """Without further trouble, everything must settle and be accounted for."""
        bench, ledger = self.bench, self.ledger
        bench.world.faults.clear()

        def everything() -> Any:
            tables, queue = bench.everything(), bench.queue()
            # An add that waits for a person's word on a delete is looked at once in a while.
            tables["change_queue"] = [
                tuple((one | {"next_attempt_at": None} if waits_for_a_word(one, queue) else one).values())
                for one in queue
            ]
            return tables, bench.sql("SELECT * FROM absences")

        def at_rest() -> bool:
            """Whether all open changes wait for a person."""
            queue = bench.queue()
            under_way = [one for one in queue if one["state"] in ("queued", "sending", "unknown")]
            return all(waits_for_a_word(one, queue) for one in under_way)

        seen = everything()
        for _ in range(8):
            bench.clock.pass_(days=1, minutes=5)
            self.program("sync")
            now = everything()
            well = bench.sql("SELECT outcome FROM sync_runs ORDER BY id DESC LIMIT 2") == [("ok",)] * 2
            if well and now == seen and at_rest():
                break
            seen = now
        else:
            raise AssertionError(f"it never came to rest: {bench.queue()}")
        mark = bench.mark()
        bench.clock.pass_(days=2)
        runs = bench.run()
        assert [run.outcome for run in runs] == ["ok", "ok"], [run.problem for run in runs]
        assert not bench.writes(mark), "pushed after all had settled"
        assert everything()[0] == now[0], "changed after all had settled"
        ledger.nobody_is_there_twice()
        ledger.every_word_is_on_record()
        waiting = {
            row for (row,) in bench.sql(f"SELECT contact_row FROM change_queue WHERE state NOT IN {SETTLED}")
        }
        ledger.nobody_is_here_twice()
        ledger.both_sides_agree(waiting)
        ledger.everybody_is_there(waiting)
        ledger.the_last_word_stands(waiting)
        ledger.no_spelling_is_called_flipping()


Both.TestCase.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=STEPS,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
    derandomize="SYNCER_EXAMPLES" not in os.environ,
    report_multiple_bugs=False,
    phases=PHASES,
)


class TestBoth(Both.TestCase):
    """The search that every test run makes."""


@pytest.mark.soak
def test_long_search() -> None:
    """The long search, by `make soak`."""
    from hypothesis.stateful import run_state_machine_as_test

    many = int(os.environ.get("SYNCER_SOAK_EXAMPLES", "10000"))
    longer = settings(
        Both.TestCase.settings, max_examples=many, stateful_step_count=STEPS + 6, derandomize=False
    )
    run_state_machine_as_test(Both, settings=longer)
