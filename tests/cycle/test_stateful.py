"""A search for sequences that lose an edit, apply one twice, or never settle.

People edit, insert, delete and undo on both sides, calls fail before and after they are applied,
triggers get lost, old backups come back. A ledger knows every value that a person wrote, on either
side; when the dust has settled each of them must be accounted for. Real SQLite, the sandbox's
semantics, virtual time.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.office import Office

FIELDS = ("company", "job_title", "email_id")
EXAMPLES = int(os.environ.get("SYNCER_EXAMPLES", "60"))
STEPS = int(os.environ.get("SYNCER_STEPS", "10"))

#: Shrinking a sequence takes minutes: `SYNCER_SHRINK=1` asks for it.
PHASES = tuple(p for p in Phase if p is not Phase.shrink or os.environ.get("SYNCER_SHRINK"))

KINDS = ("drop", "drop_after", "html502", "html200", "empty_body", "half_json", "junk")


@dataclass
class Written:
    """What people did to one field of one person's contact, told by its phone number."""

    local: list[tuple[int, str]] = field(default_factory=list)  #: (tick, value)
    remote: list[tuple[int, str]] = field(default_factory=list)


class Both(RuleBasedStateMachine):
    """Two sides that people edit at once."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="syncer-search-"))
        self.office = Office(
            self.folder,
            only=("telecmi-contacts", "telecmi-push"),
            telecmi={"push": {"deletes": True}, "max_deletions": "100%"},
        )
        self.tick = 0
        self.ledger: dict[tuple[str, str], Written] = {}
        self.backup: Path | None = None
        self.backup_tick = 0
        self.restored_from: int | None = None
        self.discarded: set[tuple[str, str]] = set()
        self.deleted_anywhere: set[str] = set()
        self.undone: set[tuple[str, str]] = set()
        self.next_phone = 50

    def teardown(self) -> None:
        try:
            self.settle()
        finally:
            self.office.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    # -- helpers

    def value(self, side: str) -> str:
        self.tick += 1
        return f"{side}{self.tick}"

    def note(self, phone: str, name: str, value: str, *, local: bool) -> None:
        self.undone.discard((phone, name))
        written = self.ledger.setdefault((phone, name), Written())
        (written.local if local else written.remote).append((self.tick, value))

    def live(self) -> list[tuple[int, str]]:
        return [
            (row, e164)
            for row, e164 in self.office.sql(
                "SELECT id, coalesce(phone_e164, '+' || phone_no) FROM telecmi_contacts "
                "WHERE deleted_at IS NULL ORDER BY id"
            )
        ]

    def upstream(self) -> list[dict[str, Any]]:
        return sorted(self.office.directory().values(), key=lambda c: c["contact_id"])

    # -- the world

    @initialize(
        batch=st.sampled_from(["none", "prefix", "others"]),
        end=st.sampled_from(["absent", "null", "empty", "same"]),
        conflict=st.just("ask"),
    )
    def begin(self, batch: str, end: str, conflict: str) -> None:
        del conflict
        self.office.world.settings.change({"telecmi.batch_on_refusal": batch, "telecmi.cursor_end": end})
        for n in range(1, 5):
            phone = f"91920000000{n}"
            self.office.world.contact_insert(
                {"phone_no": phone, "first_name": "Asha", "last_name": f"Rao{n}", "company": f"c{n}",
                 "email_id": "", "job_title": ""}
            )  # fmt: skip
            self.ledger[("+" + phone, "company")] = Written(remote=[(0, f"c{n}")])
        self.sync()

    # -- people here

    @rule(pick=st.integers(0, 9), name=st.sampled_from(FIELDS))
    def edit(self, pick: int, name: str) -> None:
        rows = self.live()
        if rows:
            row, phone = rows[pick % len(rows)]
            value = self.value("L")
            self.office.sql(f"UPDATE telecmi_contacts SET {name} = ? WHERE id = ?", value, row)
            self.note(phone, name, value, local=True)

    @rule(pick=st.integers(0, 9), name=st.sampled_from(FIELDS))
    def undo(self, pick: int, name: str) -> None:
        rows = self.live()
        if rows:
            row, phone = rows[pick % len(rows)]
            value = self.office.one(f"SELECT {name} FROM contact_base WHERE row_id = ?", row)
            now = self.office.one(f"SELECT {name} FROM telecmi_contacts WHERE id = ?", row)
            if value is not None and value != (now or ""):
                self.tick += 1
                self.office.sql(f"UPDATE telecmi_contacts SET {name} = ? WHERE id = ?", value, row)
                self.note(phone, name, value, local=True)
                self.undone.add((phone, name))  # no edit any more: upstream's value may stand

    @rule(known=st.booleans(), good=st.booleans())
    def insert(self, known: bool, good: bool) -> None:
        """A new contact; sometimes of a number that upstream has gained meanwhile."""
        phone = f"9192000000{self.next_phone}"
        self.next_phone += 1
        company = self.value("L")
        if known:
            other = self.value("R")
            self.office.world.contact_insert(
                {"phone_no": phone, "first_name": "Ravi", "last_name": "Iyer", "company": other}
            )
            self.note("+" + phone, "company", other, local=False)
        self.office.sql(
            "INSERT INTO telecmi_contacts (phone_no, first_name, last_name, company) VALUES (?, 'Ravi', ?, ?)",
            phone, "Iyer" if good else "", company,
        )  # fmt: skip
        self.note("+" + phone, "company", company, local=True)

    @rule(pick=st.integers(0, 9))
    def delete(self, pick: int) -> None:
        rows = self.live()
        if rows:
            row, phone = rows[pick % len(rows)]
            if phone.endswith("0001"):
                return
            self.office.sql("DELETE FROM telecmi_contacts WHERE id = ?", row)
            self.deleted_anywhere.add(phone)

    @rule(pick=st.integers(0, 9))
    def bring_back(self, pick: int) -> None:
        rows = self.office.sql("SELECT id FROM telecmi_contacts WHERE deleted_at IS NOT NULL ORDER BY id")
        if rows:
            self.office.sql(
                "UPDATE telecmi_contacts SET deleted_at = NULL WHERE id = ?", rows[pick % len(rows)][0]
            )

    @rule(pick=st.integers(0, 9), keep=st.sampled_from(["local", "remote"]))
    def resolve(self, pick: int, keep: str) -> None:
        from syncer.store import decisions

        rows = self.office.sql("SELECT id FROM change_queue WHERE state = 'conflict' ORDER BY id")
        if rows:
            number = rows[pick % len(rows)][0]
            clashes = json.loads(self.office.one("SELECT clashes FROM change_queue WHERE id = ?", number))
            phone = self.office.one(
                "SELECT coalesce(phone_e164, '+' || phone_no) FROM telecmi_contacts WHERE id = "
                "(SELECT contact_row FROM change_queue WHERE id = ?)", number,
            )  # fmt: skip
            self.tick += 1
            with self.office.db.write() as conn:
                decisions.resolve(conn, number, keep, self.office.env().stamp(), "IN")  # type: ignore[arg-type]
            for name, clash in clashes.items():
                value = clash["local" if keep == "local" else "remote"]
                self.note(phone, name, value, local=True)

    # -- people there

    @rule(pick=st.integers(0, 9), name=st.sampled_from(FIELDS))
    def edit_upstream(self, pick: int, name: str) -> None:
        contacts = self.upstream()
        if contacts:
            one = contacts[pick % len(contacts)]
            value = self.value("R")
            self.office.world.contact_update(one["contact_id"], {name: value})
            self.note("+" + one["phone_no"], name, value, local=False)

    @rule(pick=st.integers(0, 9))
    def delete_upstream(self, pick: int) -> None:
        contacts = [one for one in self.upstream() if one["last_name"] != "Rao1"]
        if contacts:  # one stays: a directory that is suddenly empty is held, which is another test's
            one = contacts[pick % len(contacts)]
            self.office.world.contact_delete(one["contact_id"])
            self.deleted_anywhere.add("+" + one["phone_no"])

    # -- trouble

    @rule(
        kind=st.sampled_from(KINDS),
        call=st.sampled_from(["get", "add", "update", "delete"]),
        applied=st.sampled_from(["before", "after"]),
        times=st.integers(1, 3),
    )
    def fault(self, kind: str, call: str, applied: str, times: int) -> None:
        self.office.fault(f"/v3/contact/{call}", kind, applied=applied, times=times)

    @rule()
    def expire(self) -> None:
        self.office.world.expire_tokens("telecmi")

    @rule(retry_after=st.sampled_from([None, 1]))
    def throttle(self, retry_after: int | None) -> None:
        self.office.fault("/v3/contact/*", "too_many", retry_after=retry_after)

    @rule(seconds=st.sampled_from([1, 60, 4000, 90000]))
    def time_passes(self, seconds: int) -> None:
        self.office.clock.pass_(seconds=seconds)

    @rule()
    def restart(self) -> None:
        self.office.restart()

    @rule()
    def crash_while_sending(self) -> None:
        """The process dies after a request went out: as a killed one leaves it."""
        with self.office.db.write() as conn:
            conn.exec_driver_sql("UPDATE change_queue SET state = 'sending' WHERE state = 'unknown'")
        self.office.restart()

    @rule(
        pick=st.integers(0, 9),
        name=st.sampled_from(FIELDS),
        what=st.sampled_from(["edit", "insert", "delete"]),
    )
    def lose_triggers(self, pick: int, name: str, what: str) -> None:
        conn = sqlite3.connect(self.office.path)
        for (trigger,) in conn.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'telecmi_contacts'"
        ).fetchall():
            conn.execute(f"DROP TRIGGER {trigger}")
        rows = self.live()
        if rows:
            row, phone = rows[pick % len(rows)]
            if what == "edit":
                value = self.value("L")
                written = self.ledger.get((phone, name))
                current = conn.execute(
                    f"SELECT {name} FROM telecmi_contacts WHERE id = ?", (row,)
                ).fetchone()[0]
                if written is not None:  # overwritten by the same hand, with nobody there to see it
                    written.local = [entry for entry in written.local if entry[1] != current]
                conn.execute(f"UPDATE telecmi_contacts SET {name} = ? WHERE id = ?", (value, row))
                self.note(phone, name, value, local=True)
            elif what == "delete" and not phone.endswith("0001"):
                conn.execute("DELETE FROM telecmi_contacts WHERE id = ?", (row,))
                self.deleted_anywhere.add(phone)
        if what == "insert":
            phone = f"9192000000{self.next_phone}"
            self.next_phone += 1
            value = self.value("L")
            conn.execute(
                "INSERT INTO telecmi_contacts (phone_no, first_name, last_name, company) VALUES (?, 'A', 'B', ?)",
                (phone, value),
            )
            self.note("+" + phone, "company", value, local=True)
        conn.commit()
        conn.close()
        self.office.restart()
        self.office.scan()  # as every start does

    @precondition(lambda self: self.backup is None)
    @rule()
    def back_up(self) -> None:
        from syncer.store import schema

        self.backup = self.folder / "backup.db"
        self.backup_tick = self.tick
        schema.backup(self.office.db, self.backup)

    @precondition(lambda self: self.backup is not None and self.restored_from is None)
    @rule()
    def restore(self) -> None:
        assert self.backup is not None
        self.office.db.close()
        for ending in ("", "-wal", "-shm"):
            Path(str(self.office.path) + ending).unlink(missing_ok=True)
        shutil.copy(self.backup, self.office.path)
        self.restored_from = self.backup_tick
        self.restart_after_restore()

    def restart_after_restore(self) -> None:
        from syncer.cycle import jobs

        self.office.db = jobs.open_database(self.office.settings)

    # -- the program

    @rule()
    def sync(self) -> None:
        self.office.run()

    @rule()
    def push(self) -> None:
        self.office.push(person=False)

    @rule()
    def pull(self) -> None:
        self.office.contacts()

    # -- what must hold

    @invariant()
    def nobody_is_there_twice(self) -> None:
        phones = [one["phone_no"] for one in self.upstream()]
        assert len(phones) == len(set(phones)), f"twice upstream: {phones}"

    @invariant()
    def every_value_is_on_record(self) -> None:
        """Current, or in the queue, or in a conflict, or in the log."""
        if self.restored_from is not None:
            return
        found: set[str] = set()
        for name in FIELDS:
            found |= {row[0] for row in self.office.sql(f"SELECT {name} FROM telecmi_contacts")}
        for fields, clashes in self.office.sql("SELECT fields, clashes FROM change_queue"):
            found |= set(json.loads(fields or "{}").values())
            for clash in json.loads(clashes or "{}").values():
                found |= set(clash.values())
        for old, new in self.office.sql("SELECT old, new FROM change_log"):
            found |= {old, new}
        for (phone, name), written in self.ledger.items():
            for tick, value in written.local:
                if value and phone not in self.deleted_anywhere:
                    inserted = self.office.one(
                        "SELECT count(*) FROM telecmi_contacts WHERE coalesce(phone_e164, '+' || phone_no) = ?",
                        phone,
                    )
                    assert value in found or not inserted, (phone, name, tick, value)

    def settle(self) -> None:
        """No more trouble: everything must come to rest, and be accounted for."""
        office = self.office
        office.world.faults.clear()
        for _ in range(6):
            office.clock.pass_(days=1, minutes=5)
            office.run()
        mark, log, before = office.mark(), office.log_size(), office.everything()
        runs = office.run()
        assert [run.outcome for run in runs] == ["ok", "ok"], [run.problem for run in runs]
        assert not office.writes(mark), "pushed after all had settled"
        assert office.log_size() == log, "written after all had settled"
        assert office.everything() == before, "changed after all had settled"
        self.nobody_is_there_twice()
        self.every_value_is_on_record()
        open_rows = dict(
            office.sql("SELECT contact_row, state FROM change_queue WHERE state NOT IN ('done', 'discarded')")
        )
        queue = office.sql("SELECT id, contact_row, operation, state, last_error, fields FROM change_queue")
        assert not set(open_rows.values()) & {"queued", "sending", "unknown"}, queue
        self.both_sides_agree(set(open_rows))
        self.no_value_is_lost(set(open_rows))

    def both_sides_agree(self, waiting: set[int]) -> None:
        there = self.office.directory()
        here = {
            contact_id: (row, dict(zip(FIELDS, values, strict=True)))
            for row, contact_id, *values in self.office.sql(
                f"SELECT id, contact_id, {', '.join(FIELDS)} FROM telecmi_contacts WHERE deleted_at IS NULL"
            )
        }
        for contact_id, (row, values) in here.items():
            if row in waiting:
                continue
            assert contact_id in there, f"row {row} lives here and not upstream"
            for name, value in values.items():
                assert (value or "") == (there[contact_id].get(name) or ""), (row, name)
        held = {
            row[0]
            for row in self.office.sql(
                "SELECT c.contact_id FROM telecmi_contacts c JOIN change_queue q ON q.contact_row = c.id "
                "WHERE q.state NOT IN ('done', 'discarded')"
            )
        }
        assert set(there) <= set(here) | held, "upstream has contacts that are missing here"

    def no_value_is_lost(self, waiting: set[int]) -> None:
        """The last word of either side stands upstream; an older one never comes back."""
        rows = {
            phone: row
            for row, phone in self.office.sql(
                "SELECT id, coalesce(phone_e164, '+' || phone_no) FROM telecmi_contacts ORDER BY id"
            )
        }
        for one in self.office.directory().values():
            phone = "+" + one["phone_no"]
            if rows.get(phone) in waiting or phone in self.deleted_anywhere:
                continue
            for name in FIELDS:
                written = self.ledger.get((phone, name))
                if written is None:
                    continue
                value = one.get(name) or ""
                since = self.restored_from
                local = [w for w in written.local if since is None or w[0] > since]
                before = [w for w in written.local if since is not None]
                last_remote = written.remote[-1][1] if written.remote else ""
                allowed = {last_remote} | ({local[-1][1]} if local else set())
                if since is not None:  # what reached upstream before the backup came back stays there
                    allowed |= {w[1] for w in before}
                assert value in allowed, (phone, name, value, allowed)
                if (
                    local
                    and (phone, name) not in self.undone
                    and since is None
                    and local[-1][0] > (written.remote[-1][0] if written.remote else -1)
                ):
                    resolved_or_newer = {local[-1][1]}
                    conflict_words = self.office.sql(
                        "SELECT count(*) FROM change_queue WHERE contact_row = ? AND state = 'discarded' "
                        "AND last_error LIKE 'resolved%'", rows[phone],
                    )[0][0]  # fmt: skip
                    assert value in resolved_or_newer or conflict_words, (phone, name, value, local[-1])


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
    run_state_machine_as_test(
        Both,
        settings=settings(
            max_examples=many, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
