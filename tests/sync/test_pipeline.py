"""One pipeline for all listed rows: compared in blocks, merged with what people do meanwhile, written once."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from syncer.core.model import Fields, Row
from syncer.core.normalise import to_e164
from syncer.store.db.connection import Database
from syncer.store.write.contacts import Policy
from syncer.store.write.directory import DirectoryReconciler
from syncer.store.write.reconciler import BLOCK, Context
from syncer.sync.env import Store
from tests.office import Office
from tests.sync.conftest import MakeOffice

AT = "2026-11-21T12:00:00.000Z"


@pytest.fixture
def office(make_office: MakeOffice) -> Office:
    made = make_office(only=("telecmi-contacts",), telecmi={"token": "sandbox-user-token"})
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
    return made


class BusyStore(Store):
    """A store next to which a person edits between the comparing and the writing of rows."""

    def __init__(self, inner: Store, edit: Callable[[], None]) -> None:
        super().__init__(inner.db)
        self.edit = edit

    async def apply(self, fn: Any, *args: Any, **kw: Any) -> Any:
        self.edit()
        return await super().apply(fn, *args, **kw)


def test_an_edit_between_comparing_and_writing_is_not_overwritten(office: Office) -> None:
    row = office.one("SELECT id FROM telecmi_contacts WHERE last_name = 'Rao 3'")
    office.world.contact_update(office.row(row)["contact_id"], {"company": "Upstream"})

    def edit() -> None:
        office.sql("UPDATE telecmi_contacts SET company = 'Mine' WHERE id = ?", row)

    office.at_start = lambda env: setattr(env, "store", BusyStore(env.store, edit))
    assert office.contacts().outcome == "ok"
    assert office.row(row)["company"] == "Mine"
    assert office.states() == ["conflict"]
    clashes = json.loads(office.one("SELECT clashes FROM change_queue"))
    assert clashes == {"company": {"base": "Acme", "local": "Mine", "remote": "Upstream"}}


def _listed(office: Office) -> dict[int, Row]:
    """The directory as it was pulled, by the number in the last name."""
    out = {}
    columns = "contact_id, phone_no, first_name, last_name, email_id, company, job_title"
    for contact_id, *fields in office.sql(f"SELECT {columns} FROM telecmi_contacts WHERE contact_id <> ''"):
        shown = Fields(*[value or "" for value in fields])
        out[int(shown.last_name.split()[1])] = _row(contact_id, shown)
    return out


def _row(contact_id: str, fields: Fields) -> Row:
    values = {**fields.asdict(), "contact_id": contact_id, "phone_e164": to_e164(fields.phone_no, "IN")}
    return Row(contact_id, values, json.dumps(fields.asdict()))


def _with(one: Row, **fields: str) -> Row:
    return _row(one.key, Fields.of(one.values)._replace(**fields))


def _all_kinds(office: Office) -> list[Row]:
    """A block in which everything happens that can happen to a contact; what people did beforehand is in the file."""
    there = _listed(office)

    def edit(n: int, column: str, value: str) -> int:
        office.sql(f"UPDATE telecmi_contacts SET {column} = ? WHERE contact_id = ?", value, there[n].key)
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
    office.sql("DELETE FROM telecmi_contacts WHERE contact_id = ?", there[8].key)
    office.sql("DELETE FROM telecmi_contacts WHERE contact_id = ?", there[9].key)
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
    new = _row("new-1", Fields("919200000777", "Meera", "Nair"))
    adopted = _row("new-2", Fields("919200000099", "", "Mine"))
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
        _with(there[10], company="Again"),
        _with(there[11], first_name="Theirs"),  # while our company is on its way
        new,
        adopted,
    ]


TABLES = ("telecmi_contacts", "contact_base", "change_queue", "push_intents", "change_log")


def _content(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """What the tables hold, without the epochs: each block has its own."""
    out = {}
    with Database(path, create=False) as db, db.read() as conn:
        for name in TABLES:
            columns = [row[1] for row in conn.exec_driver_sql(f"PRAGMA table_info({name})")]
            wanted = ", ".join(column for column in columns if column != "touched")
            out[name] = [
                tuple(row) for row in conn.exec_driver_sql(f"SELECT {wanted} FROM {name} ORDER BY 1")
            ]
    return out


def _take(path: Path, blocks: Sequence[Sequence[Row]]) -> DirectoryReconciler:
    """Compare and write blocks of one listing."""
    policy = Policy("main", "IN", "ask")
    reconciler = DirectoryReconciler(policy, Context("main", at=AT), asked_in=10**6)
    with Database(path, create=False) as db:
        for block in blocks:
            with db.read() as conn:
                reconciler.compare(conn, block)
            with db.write() as conn:
                reconciler.write(conn)
    return reconciler


def test_rows_written_together_are_written_as_they_are_one_by_one(office: Office, tmp_path: Path) -> None:
    rows = _all_kinds(office)
    office.sql("PRAGMA wal_checkpoint(TRUNCATE)")
    single, whole = tmp_path / "single.db", tmp_path / "whole.db"
    for copy in (single, whole):
        shutil.copy(office.path, copy)
    one_by_one = _take(single, [[row] for row in rows])
    together = _take(whole, [rows])
    expected, found = _content(single), _content(whole)
    states = [row[4] for row in found["change_queue"]]
    assert {"done", "queued", "conflict", "held"} <= set(states), states
    assert found == expected
    assert len(together.seen) == len(one_by_one.seen) == 14
    for count in ("rows", "distinct", "added", "changed", "raw_only"):
        assert getattr(together, count) == getattr(one_by_one, count), count
    assert [row[3:5] for row in found["push_intents"]] == [("update", '{"company": "Flying"}')]


def test_no_row_is_kept_once_it_is_written(office: Office) -> None:
    """Otherwise a first pull of a million contacts would take 100 MB."""
    rows = [_row(f"new-{n}", Fields("", "Asha", f"Example {n}")) for n in range(3)]
    reconciler = _take(office.path, [rows])
    assert reconciler.added == 3
    assert not (reconciler.pending or reconciler.deferred or reconciler.copies)


def test_a_first_pull_is_written_in_short_transactions(office: Office) -> None:
    sizes = []

    class CountingStore(Store):
        async def apply(self, fn: Any, *args: Any, **kw: Any) -> Any:
            before = self.db.pragma("SELECT count(*) FROM telecmi_contacts")[0][0]
            made = await super().apply(fn, *args, **kw)
            sizes.append(self.db.pragma("SELECT count(*) FROM telecmi_contacts")[0][0] - before)
            return made

    for n in range(250):
        office.world.contact_insert(
            {"phone_no": f"9192{n:08d}", "first_name": "Kiran", "last_name": f"No {n}"}
        )

    office.at_start = lambda env: setattr(env, "store", CountingStore(env.store.db))
    assert office.contacts().added == 250
    assert max(sizes) <= BLOCK and sum(sizes) == 250
