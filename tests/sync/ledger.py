"""Who wrote what, on either side, and what must have become of it: the bookkeeping of the search.

Every value that a person writes is unique, so its writer is known. Each word records whether it was written on
clear ground (the other side had no change that the writer could not see): then only a later word may replace it.
What people do, and when the program runs, is left to `test_stateful`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.sync.push_bench import Bench

#: The fields in which people write. A number stays with its person.
FIELDS = ("company", "job_title", "email_id", "last_name")

#: Nothing more happens to these by itself.
SETTLED = ("done", "discarded")


def said(value: object) -> str:
    """What a value says, however it is spelled: vendors may store their own spelling."""
    return "".join(sign for sign in str(value or "") if sign.isalnum()).casefold()


@dataclass
class Word:
    """One value that somebody wrote."""

    tick: int
    value: str
    here: bool  #: in the mirror; else at the vendor
    sure: bool  #: on clear ground


@dataclass
class Ledger:
    """The words of everybody, by person (the number they began with) and field."""

    bench: Bench
    tick: int = 0
    words: dict[tuple[str, str], list[Word]] = field(default_factory=dict)
    people: set[str] = field(default_factory=set)
    alias: dict[str, str] = field(default_factory=dict)  #: a number -> whose it is
    rows: dict[int, str] = field(default_factory=dict)  #: rows whose person was told at their making
    deleted: set[str] = field(default_factory=set)  #: by anybody, at any time
    gone: dict[str, int] = field(default_factory=dict)  #: deleted on clear ground, at this tick
    mixed: set[str] = field(default_factory=set)  #: one number was given to two of them
    given_up: set[str] = field(default_factory=set)  #: somebody discarded a change of theirs
    unwritten: set[str] = field(default_factory=set)  #: overwritten or deleted by hand with no trigger there
    wanted: set[str] = field(default_factory=set)  #: brought back, and nobody deleted them since
    restored: bool = False

    # -- who is who

    def person(self, phone: str) -> str:
        """Whose number it is."""
        digits = phone.lstrip("+")
        return self.alias.get(digits, digits)

    def of_row(self, row: int) -> str:
        """Whose row it is."""
        if row not in self.rows:
            self.rows[row] = self.person(
                self.bench.one(
                    "SELECT coalesce(phone_e164, phone_no) FROM telecmi_contacts WHERE id = ?", row
                )
            )
        return self.rows[row]

    def born(self, phone: str, row: int | None = None) -> str:
        """Somebody new, or a further row or contact of somebody known."""
        person = self.person(phone)
        self.people.add(person)
        self.gone.pop(person, None)
        if row is not None:
            self.rows[row] = person
        return person

    # -- words

    def new_value(self, side: str) -> str:
        """A value that nobody has written yet: L here, R at the vendor."""
        self.tick += 1
        return f"{side}{self.tick}"

    def note(self, person: str, name: str, value: str, *, here: bool, sure: bool) -> None:
        """Somebody wrote."""
        self.tick += 1
        self.gone.pop(person, None)
        self.words.setdefault((person, name), []).append(Word(self.tick, value, here, sure))

    def introduce(self, person: str, contact: Mapping[str, str], *, here: bool, sure: bool) -> None:
        """The words that a new contact begins with."""
        for name in FIELDS:
            self.note(person, name, contact.get(name, ""), here=here, sure=sure)

    def doubt(self, person: str, *names: str) -> None:
        """A decision, a delete: what was written so far may yield."""
        for name in names or FIELDS:
            for word in self.words.get((person, name), ()):
                word.sure = False

    def deletes(self, person: str, *, sure: bool) -> None:
        """Somebody deleted the contact; `sure`: nobody on the other side had anything to say to it."""
        self.deleted.add(person)
        self.wanted.discard(person)
        self.doubt(person)
        if sure:
            self.gone[person] = self.tick

    def brings_back(self, person: str) -> None:
        """Somebody here wants the contact to be there, whatever became of its delete."""
        self.gone.pop(person, None)
        self.wanted.add(person)

    def clear_ground(self, row: int, name: str) -> bool:
        """Whether what the vendor shows in this field is known here, or our own."""
        there, base, own = self.standing(row, name)
        return there is not None and (there == base or said(there) in {said(value) for value in own})

    def untouched(self, row: int, name: str) -> bool:
        """Whether all three copies are alike and nothing is on its way."""
        there, base, own = self.standing(row, name)
        here = self.bench.one(f"SELECT {name} FROM telecmi_contacts WHERE id = ? AND deleted_at IS NULL", row)
        return (
            there == base == (here or "")
            and not own
            and not self.bench.one(
                f"SELECT count(*) FROM change_queue WHERE contact_row = ? AND state NOT IN {SETTLED}", row
            )
        )

    def standing(self, row: int, name: str) -> tuple[str | None, str | None, set[str]]:
        """What the vendor has, what we agreed on, and what we may have sent since."""
        contact = self.bench.directory().get(self.bench.row(row).get("contact_id") or "")
        sent = self.bench.sql("SELECT fields FROM push_intents WHERE row_id = ?", row)
        own = {json.loads(fields).get(name) for (fields,) in sent} - {None}
        base = self.bench.one(
            f"SELECT {name} FROM contact_base WHERE row_id = ? AND source = 'directory'", row
        )
        return None if contact is None else contact.get(name) or "", base, own

    # -- what must hold

    def on_record(self) -> set[str]:
        """All that is current, in the queue, in a conflict or in the log."""
        sql = self.bench.sql
        found = {v for row in sql(f"SELECT phone_no, {', '.join(FIELDS)} FROM telecmi_contacts") for v in row}
        for fields, clashes in sql("SELECT fields, clashes FROM change_queue"):
            found |= set(json.loads(fields or "{}").values())
            for clash in json.loads(clashes or "{}").values():
                found |= set(clash.values())
        return found | {v for pair in sql("SELECT old, new FROM change_log") for v in pair}

    def every_word_is_on_record(self) -> None:
        """Whatever a person wrote here."""
        words = [word for words in self.words.values() for word in words if word.here and word.value]
        missing = {said(word.value) for word in words} - {said(value) for value in self.unwritten}
        missing -= {said(value) for value in self.on_record()}
        assert not missing, missing

    def nothing_was_overwritten_unseen(
        self, before: Mapping[str, dict[str, Any]], after: Mapping[str, dict[str, Any]], raced: set[str]
    ) -> None:
        """What a run replaced or deleted at the vendor it had seen, and somebody here had asked for it."""
        found = {said(value) for value in self.on_record()}
        theirs = {word.value for words in self.words.values() for word in words if not word.here}
        for contact_id, old in before.items():
            if contact_id in raced:
                continue
            new = after.get(contact_id)
            person = self.person(old["phone_no"])
            assert new is not None or person in self.deleted | self.mixed, (
                f"{person} was deleted, and nobody had asked"
            )
            for name in FIELDS:
                if new is not None and new.get(name) == old.get(name):
                    continue
                value = old.get(name) or ""
                assert not value or value not in theirs or said(value) in found, (
                    f"{value} went, and was never seen"
                )

    def nobody_is_there_twice(self) -> None:
        """By number at the vendor, by contact here."""
        phones = [one["phone_no"] for one in self.bench.directory().values()]
        phones = [phone for phone in phones if self.person(phone) not in self.mixed]
        assert len(phones) == len(set(phones)), f"twice upstream: {phones}"
        twice = self.bench.sql(
            "SELECT contact_id FROM telecmi_contacts WHERE contact_id IS NOT NULL GROUP BY contact_id HAVING count(*) > 1"
        )
        assert not twice, f"two rows of {twice}"

    def nobody_is_here_twice(self) -> None:
        """Not as two live rows, except numbers that a person gave to two contacts.

        A row that waits for a person because another one holds its number is shown as that.
        """
        rows = self.bench.sql(
            "SELECT id, coalesce(phone_e164, phone_no) FROM telecmi_contacts c WHERE deleted_at IS NULL "
            "AND NOT EXISTS (SELECT 1 FROM change_queue q WHERE q.contact_row = c.id AND q.state = 'rejected' "
            "AND q.last_error LIKE '%holds this number%')"
        )
        seen: dict[str, int] = {}
        for row, phone in rows:
            if self.person(phone) not in self.mixed:
                assert phone not in seen, f"rows {seen.get(phone)} and {row} are one contact"
            seen[phone] = row

    def both_sides_agree(self, waiting: set[int]) -> None:
        """Except for rows that wait for a person."""
        there = self.bench.directory()
        names = ("phone_no", "first_name", *FIELDS)
        here = {
            contact_id: (row, dict(zip(names, values, strict=True)))
            for row, contact_id, *values in self.bench.sql(
                f"SELECT id, contact_id, {', '.join(names)} FROM telecmi_contacts WHERE deleted_at IS NULL"
            )
        }
        for contact_id, (row, values) in here.items():
            if row in waiting:
                continue
            assert contact_id in there, f"row {row} lives here and not upstream"
            for name, value in values.items():
                assert (value or "") == (there[contact_id].get(name) or ""), (row, name)
        held = {self.bench.row(row)["contact_id"] for row in waiting}
        assert set(there) <= set(here) | held, "upstream has contacts that are missing here"

    def everybody_is_there(self, waiting: set[int]) -> None:
        """Whom nobody deleted; and whom somebody deleted on clear ground is not."""
        there = [self.person(one["phone_no"]) for one in self.bench.directory().values()]
        busy = {self.of_row(row) for row in waiting}
        for person in self.people - busy - self.mixed:
            if person in self.gone:
                assert person not in there, f"{person} was deleted, and is back"
            elif person in self.wanted - self.given_up and not self.restored:
                assert person in there, f"{person} was brought back, and is not there"
            elif person not in self.deleted | self.given_up and not self.restored:
                assert person in there, f"{person} is lost"

    def the_last_word_stands(self, waiting: set[int]) -> None:
        """The last word of one side; if it was written on clear ground, that very one."""
        busy = {self.of_row(row) for row in waiting}
        for one in self.bench.directory().values():
            person = self.person(one["phone_no"])
            if person in busy | self.deleted | self.mixed:
                continue
            for name in FIELDS:
                words = self.words.get((person, name))
                if not words:
                    continue
                value = one.get(name) or ""
                sides = [[w for w in words if w.here is here] for here in (True, False)]
                allowed = {side[-1].value for side in sides if side}
                if self.restored or person in self.given_up:  # an earlier word may have reached upstream
                    allowed |= {w.value for w in words}
                if words[-1].sure:
                    allowed = {words[-1].value}
                assert said(value) in {said(one) for one in allowed}, (person, name, value, words)

    def no_spelling_is_called_flipping(self) -> None:
        """A vendor's own spelling ends with that spelling, and not with a refusal."""
        refused = [one for one in self.bench.queue() if one["state"] == "rejected"]
        assert not [one for one in refused if "flips" in one["last_error"]], refused
