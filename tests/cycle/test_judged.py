"""Blocks of the directory are judged on a snapshot, then written: together as one by one, and nothing lost in between."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from syncer.core.model import DirectoryContact, Fields, Row
from syncer.core.normalise import to_e164
from syncer.cycle import jobs
from syncer.cycle.blocks import DisturbedError
from syncer.cycle.env import JUDGED, Store
from syncer.store import mirror
from syncer.store.absorbing import absorb_batch
from syncer.store.connect import Connection, Database
from syncer.store.contacts import Policy
from syncer.store.judging import Absorbing, sift
from syncer.store.mirror import Tracker
from syncer.store.tables import SMARTFLO_CONTACTS
from tests.office import Office

AT = "2026-11-21T12:00:00.000Z"


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path, only=("telecmi-contacts",), telecmi={"token": "sandbox-user-token"})
    for n in range(12):
        made.world.contact_insert(
            {
                "phone_no": f"9192000000{n:02d}",
                "first_name": "Asha",
                "last_name": f"Rao {n}",
                "company": "Acme",
            }
        )
    made.contacts()
    yield made
    made.close()


class BusyStore(Store):
    """A store beside which people edit just after a block was judged."""

    def __init__(self, inner: Store, edits: list[Any]) -> None:
        super().__init__(inner.db)
        self.edits = edits
        self.judged_so_often = 0

    async def judged(self, judge: Any, write: Any, *, large: bool) -> float:
        def interrupted(conn: Connection) -> Any:
            made = judge(conn)
            self.judged_so_often += 1
            if self.edits:
                self.edits.pop(0)()
            return made

        return await super().judged(interrupted, write, large=large)


@pytest.mark.parametrize("edits", range(1, JUDGED + 1))
def test_an_edit_that_comes_after_the_judging_is_not_written_over(office: Office, edits: int) -> None:
    row = office.one("SELECT id FROM telecmi_contacts WHERE last_name = 'Rao 3'")
    office.world.contact_update(office.row(row)["contact_id"], {"company": "Upstream"})

    def edit() -> None:
        office.sql("UPDATE telecmi_contacts SET company = company || '!' WHERE id = ?", row)

    async def work() -> tuple[BusyStore, Any]:
        env = office.env()
        env.store = store = BusyStore(env.store, [edit] * edits)
        try:
            spec = next(one for one in jobs.specs(office.settings) if one.job == "telecmi-contacts")
            return store, await jobs.run_job(env, spec, person=True)
        finally:
            await env.aclose()

    store, run = asyncio.run(work())
    assert (run.outcome, store.judged_so_often) == ("ok", edits + 1)
    assert office.row(row)["company"] == "Acme" + "!" * edits
    assert office.states() == ["conflict"]
    clashes = json.loads(office.one("SELECT clashes FROM change_queue"))
    assert clashes == {"company": {"base": "Acme", "local": "Acme" + "!" * edits, "remote": "Upstream"}}


def test_nothing_is_kept_of_a_contact_that_was_written(office: Office) -> None:
    """A listing holds no list of what it has shown: a first pull of a million would take 100 MB."""
    work = Absorbing(Policy("main", "IN", "ask"), at=AT)
    rows = [DirectoryContact(f"new-{n}", Fields(first_name="Asha"), None, "{}") for n in range(3)]
    with office.db.write() as conn:
        told = sift(conn, work, rows, lambda c: (c.contact_id, c.phone_e164, c.raw), lambda c: c.fields)
        assert told == rows and len(work.unwritten) == 3
        absorb_batch(conn, work, told)
    assert work.unwritten == set() and work.counts.added == 3


def test_a_large_block_is_not_judged_while_others_wait(office: Office) -> None:
    def edit() -> None:
        office.sql("UPDATE telecmi_contacts SET company = company || '!' WHERE id = 1")

    store, written = BusyStore(office.env().store, [edit] * JUDGED), []

    def judge(conn: Connection) -> str:
        return str(conn.exec_driver_sql("SELECT company FROM telecmi_contacts WHERE id = 1").scalar())

    def write(conn: Connection, made: str) -> None:
        written.append(made)

    with pytest.raises(DisturbedError):
        asyncio.run(store.judged(judge, write, large=True))
    assert (written, store.judged_so_often) == ([], JUDGED)
    asyncio.run(store.judged(judge, write, large=True))  # nobody disturbs
    store.edits = [edit] * JUDGED
    asyncio.run(store.judged(judge, write, large=False))
    assert written == ["Acme" + "!" * JUDGED, "Acme" + "!" * 2 * JUDGED]
    assert office.one("SELECT active FROM sync_guard") == 0


def _listed(office: Office) -> dict[int, DirectoryContact]:
    """The directory as it was pulled, by the number in the last name."""
    out = {}
    columns = "contact_id, phone_e164, phone_no, first_name, last_name, email_id, company, job_title"
    for contact_id, phone, *fields in office.sql(
        f"SELECT {columns} FROM telecmi_contacts WHERE contact_id <> ''"
    ):
        shown = Fields(*[value or "" for value in fields])
        out[int(shown.last_name.split()[1])] = DirectoryContact(contact_id, shown, phone, _raw(shown))
    return out


def _raw(fields: Fields) -> str:
    return json.dumps(fields.asdict())


def _with(one: DirectoryContact, **fields: str) -> DirectoryContact:
    shown = one.fields._replace(**fields)
    return replace(one, fields=shown, phone_e164=to_e164(shown.phone_no, "IN"), raw=_raw(shown))


def _all_kinds(office: Office) -> list[DirectoryContact]:
    """A block in which everything happens that can happen to a contact; what people did beforehand is in the file."""
    there = _listed(office)

    def edit(n: int, column: str, value: str) -> int:
        office.sql(
            f"UPDATE telecmi_contacts SET {column} = ? WHERE contact_id = ?", value, there[n].contact_id
        )
        return int(office.one("SELECT max(id) FROM change_queue"))

    office.sql("INSERT INTO telecmi_contacts (phone_no, last_name) VALUES ('9200000099', 'Mine')")
    requests = {
        edit(3, "company", "Sent"): ("sending", "Sent"),
        edit(4, "company", "Lost"): ("unknown", "Lost"),
        edit(11, "company", "Flying"): ("sending", "Flying"),
    }
    for n, column, value in (
        (5, "job_title", "Waits"), (6, "company", "Clash"), (6, "first_name", "Mine"), (7, "company", "Alike"),
        (10, "company", "Again"),
    ):  # fmt: skip
        edit(n, column, value)
    office.sql("DELETE FROM telecmi_contacts WHERE contact_id = ?", there[8].contact_id)
    office.sql("DELETE FROM telecmi_contacts WHERE contact_id = ?", there[9].contact_id)
    with office.db.write() as conn:
        for number, (state, company) in requests.items():
            fields = json.dumps({"company": company})
            conn.exec_driver_sql(
                "UPDATE change_queue SET state = ?, fields = ?, sent_at = ? WHERE id = ?",
                (state, fields, AT, number),
            )
            conn.exec_driver_sql(
                "INSERT INTO push_intents (change_id, row_id, operation, fields, sent_at) "
                "SELECT id, contact_row, 'update', fields, sent_at FROM change_queue WHERE id = ?",
                (number,),
            )
    new = DirectoryContact("new-1", Fields("919200000777", "Meera", "Nair"), "+919200000777", "{}")
    adopted = DirectoryContact("new-2", Fields("919200000099", "", "Mine"), "+919200000099", "{}")
    return [
        _with(there[0], company="Plain"),
        _with(there[1], phone_no="919200000888", email_id="asha@example.com"),
        there[2],  # nothing but another spelling of its JSON
        _with(there[3], company="Sent"),
        _with(there[4], company="Lost", job_title="Theirs"),
        _with(there[5], first_name="Theirs"),
        _with(there[6], company="Theirs"),
        _with(there[7], company="Alike"),
        there[8],  # deleted here
        _with(there[9], company="Theirs"),  # deleted here, changed there
        _with(there[10], company="Once"),
        _with(there[10], company="Again"),
        _with(there[0], company="Twice"),
        _with(there[11], first_name="Theirs"),  # while our company is on its way
        new,
        adopted,
    ]


TABLES = ("telecmi_contacts", "contact_base", "change_queue", "push_intents", "change_log")


def _content(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """What the tables hold, but for the epochs, of which each block has one."""
    out = {}
    with Database(path, create=False) as db, db.read() as conn:
        for name in TABLES:
            columns = [row[1] for row in conn.exec_driver_sql(f"PRAGMA table_info({name})")]
            wanted = ", ".join(column for column in columns if column != "touched")
            out[name] = [
                tuple(row) for row in conn.exec_driver_sql(f"SELECT {wanted} FROM {name} ORDER BY 1")
            ]
    return out


def _absorb(path: Path, blocks: Sequence[Sequence[DirectoryContact]]) -> Absorbing:
    work = Absorbing(Policy("main", "IN", "ask"), asked_in=10**6, at=AT)
    with Database(path, create=False) as db:
        for block in blocks:
            with db.write() as conn:
                absorb_batch(conn, work, block)
    return work


def test_a_block_comes_to_what_its_rows_come_to_one_by_one(office: Office, tmp_path: Path) -> None:
    rows = _all_kinds(office)
    office.sql("PRAGMA wal_checkpoint(TRUNCATE)")
    single, whole = tmp_path / "single.db", tmp_path / "whole.db"
    for copy in (single, whole):
        shutil.copy(office.path, copy)
    one_by_one = _absorb(single, [[row] for row in rows])
    together = _absorb(whole, [rows])
    expected, found = _content(single), _content(whole)
    states = [row[4] for row in found["change_queue"]]
    assert {"done", "queued", "conflict", "held"} <= set(states), states
    for name in TABLES[:-1]:
        assert found[name] == expected[name], name
    assert len(together.seen) == len(one_by_one.seen) == 14
    for count in ("seen", "added", "changed", "quiet"):
        assert getattr(together.counts, count) == getattr(one_by_one.counts, count), count
    assert [row[3:5] for row in found["push_intents"]] == [("update", '{"company": "Flying"}')]
    # of a contact that came twice the second telling comes last
    told = [row[1:] for row in found["change_log"]]
    assert told != (expected_log := [row[1:] for row in expected["change_log"]])
    assert sorted(map(str, told)) == sorted(map(str, expected_log))


def _many_new(first: int, last: int) -> list[DirectoryContact]:
    """Contacts that nobody has seen yet."""
    out = []
    for n in range(first, last):
        fields = Fields(f"9193000{n:05d}", "Kiran", f"Example {n}")
        out.append(DirectoryContact(f"many-{n}", fields, to_e164(fields.phone_no, "IN"), _raw(fields)))
    return out


def test_what_is_not_sifted_since_all_was_new_comes_to_the_same(office: Office, tmp_path: Path) -> None:
    """A listing that shows hundreds of new contacts, then what is known, and some of them again."""
    rows = _all_kinds(office)
    blocks = [
        _many_new(0, 300),
        [*_many_new(300, 310), *rows[:8], *_many_new(5, 8)],
        [*rows[8:], *(_with(one, company="Twice") for one in _many_new(20, 23))],
        _many_new(320, 620),
        [*_many_new(600, 620), *_many_new(620, 640)],
    ]
    office.sql("PRAGMA wal_checkpoint(TRUNCATE)")
    told, sifted = tmp_path / "told.db", tmp_path / "sifted.db"
    for copy in (told, sifted):
        shutil.copy(office.path, copy)
    expected = _absorb(told, blocks)
    work, fresh = Absorbing(Policy("main", "IN", "ask"), asked_in=10**6, at=AT), []
    with Database(sifted, create=False) as db:
        for block in blocks:
            with db.read() as conn:
                differing = sift(
                    conn, work, block, lambda c: (c.contact_id, c.phone_e164, c.raw), lambda c: c.fields
                )
            fresh.append(work.fresh)
            with db.write() as conn:
                absorb_batch(conn, work, differing)
    assert fresh == [True, True, False, True, True] and not work.fresh
    assert _content(sifted) == _content(told)
    assert work.unwritten == set() and len(work.seen) == len(expected.seen) == 14 + 630
    for count in ("seen", "added", "changed", "quiet"):
        assert getattr(work.counts, count) == getattr(expected.counts, count), count


def _listed_rows(first: int, last: int, name: str = "Kiran", deleted: str | None = None) -> list[Row]:
    """Rows of a plain list."""
    rows = []
    for n in range(first, last):
        values = {"smartflo_id": str(n), "name": name, "phone_number": f"9193000{n:05d}"}
        rows.append(Row(str(n), values, json.dumps(values), deleted))
    return rows


def test_a_plain_list_of_which_all_was_new_comes_to_the_same_unsifted(office: Office, tmp_path: Path) -> None:
    blocks = [
        _listed_rows(0, 300),
        [*_listed_rows(300, 310), *_listed_rows(310, 312, deleted=AT), *_listed_rows(5, 8)],
        [*_listed_rows(5, 9), *_listed_rows(20, 23, "Meera"), *_listed_rows(30, 31, deleted=AT)],
        _listed_rows(320, 620),
        [*_listed_rows(600, 620), *_listed_rows(620, 640)],
        _listed_rows(100, 140),
    ]
    told: list[Any] = []
    office.sql("PRAGMA wal_checkpoint(TRUNCATE)")
    for sifts in (False, True):
        path, fresh = tmp_path / f"{sifts}.db", []
        shutil.copy(office.path, path)
        tracker = Tracker(SMARTFLO_CONTACTS, "main", at=AT, run=1)
        with Database(path, create=False) as db:
            for block in blocks:
                with db.read() as conn:
                    differing = mirror.sift(conn, tracker, block) if sifts else block
                fresh.append(tracker.fresh)
                with db.write() as conn:
                    mirror.take(conn, tracker, mirror.judge(conn, tracker, differing))
            with db.read() as conn:
                columns = "id, smartflo_id, name, phone_number, deleted_at, raw"
                rows = conn.exec_driver_sql(f"SELECT {columns} FROM smartflo_contacts ORDER BY id").all()
        counts = (tracker.rows, tracker.distinct, tracker.added, tracker.changed, tracker.waiting)
        told.append((rows, counts, len(tracker.seen), tracker.vanishing, tracker.unwritten))
        assert fresh == ([True, True, False, True, True, False] if sifts else [False] * 6)
    assert told[0] == told[1] and len(told[0][0]) == 630
