"""Edits that people write into the copy: each becomes an edit here once, or is refused with its reason."""

from __future__ import annotations

import asyncio
import random
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from syncer.errors import StoreError, TransientError
from syncer.store.publish import listening
from syncer.store.publish.copy import CopyAddress
from syncer.store.write import copy_edits
from syncer.store.write.forget import forget
from syncer.sync import registry
from syncer.sync.env import Env
from tests.postgres import SKIPPED, Server, programs, serving
from tests.publish.conftest import Published
from tests.publish.equality import assert_equal
from tests.publish.test_kills import kill, killed_publisher


@pytest.fixture
def office(tmp_path: Path, server: Server) -> Iterator[Published]:
    made = Published(tmp_path, server, target={"edits": True})
    made.world.seed(contacts=10, user_contacts=2, seed=3)
    made.run()
    yield made
    made.close()


def ask(office: Published, action: str, **values: Any) -> int:
    """Write one edit there; its id."""
    given = {"site": "main", "action": action, **values}
    names, places = ", ".join(given), ", ".join(["%s"] * len(given))
    [(number,)] = office.there(
        f"INSERT INTO contact_edits ({names}) VALUES ({places}) RETURNING id", *given.values()
    )
    return int(number)


def answer(office: Published, number: int) -> tuple[str, int | None, int | None, str | None]:
    [row] = office.there(
        "SELECT state, contact_row, change_id, note FROM contact_edits WHERE id = %s", number
    )
    return row


def test_each_kind_goes_upstream(office: Published) -> None:
    directory = list(office.directory())
    added = ask(office, "add", phone_no="92000 77001", first_name="Asha", last_name="Example")
    edited = ask(office, "edit", contact_id=directory[0], company="Acme Example")
    cleared = ask(office, "edit", contact_row=office.row_of(directory[1]), company="", job_title="Buyer")
    deleted = ask(office, "delete", contact_row=office.row_of(directory[2]))
    [run] = office.run("publish", person=False)
    assert run.outcome == "ok", run.problem
    for number in (added, edited, cleared, deleted):
        state, row, change, note = answer(office, number)
        assert (state, note) == ("taken", None) and row and change, number
    actors = office.sql("SELECT DISTINCT actor FROM change_log WHERE origin = 'local'")
    assert actors == [("publish.central",)]
    assert_equal(office)
    office.run("telecmi-push", "telecmi-contacts", "publish")
    now = office.directory()
    assert now[directory[0]]["company"] == "Acme Example"
    assert (now[directory[1]]["company"], now[directory[1]]["job_title"]) == ("", "Buyer")
    assert any(str(one["phone_no"]) == "919200077001" for one in now.values())
    assert office.change(answer(office, deleted)[2] or 0)["state"] == "held"  # push.deletes is off
    assert_equal(office)


def test_refusals_are_in_the_row(office: Published) -> None:
    there = next(iter(office.directory().values()))["phone_no"]
    cases = {
        ask(
            office, "add", phone_no="9200077001", first_name="Asha"
        ): "upstream takes no contact without last_name",
        ask(
            office, "add", phone_no="+91xxxxxx2999", first_name="Dev", last_name="Sen"
        ): "the phone number is masked",
        ask(
            office, "add", phone_no=str(there), first_name="Dev", last_name="Sen"
        ): "holds this number already",
        ask(office, "edit", contact_row=999, company="Acme"): "no contact has this contact_row",
        ask(
            office, "edit", contact_row=1, company="a\x85b"
        ): "telecmi_contacts.company: the value is not UTF-8 text",
        ask(
            office, "add", account="elsewhere", first_name="Dev", last_name="Sen"
        ): "there is no account 'elsewhere'",
    }
    same = ask(office, "edit", contact_row=1)
    office.run("publish", person=False)
    for number, words in cases.items():
        state, _, change, note = answer(office, number)
        assert state == "refused" and change is None and words in (note or ""), (number, note)
    assert answer(office, same) == ("taken", 1, None, "it has these values already")
    assert office.states() == []
    assert office.run("publish", person=False)[0].seen == 0


def test_a_refused_edit_changes_nothing(office: Published) -> None:
    """Here a trigger of somebody's own refuses the normalized number, which is written after the edit."""
    office.sql(
        "CREATE TRIGGER mine BEFORE UPDATE OF phone_e164 ON telecmi_contacts WHEN new.phone_e164 = '+919200077001' "
        "BEGIN SELECT RAISE(ABORT, 'not this number'); END"
    )
    before = office.row(1)
    edited = ask(office, "edit", contact_row=1, phone_no="9200077001", company="Acme")
    added = ask(office, "add", phone_no="9200077001", first_name="Asha", last_name="Example")
    other = ask(office, "edit", contact_row=2, company="Acme")
    office.run("publish", person=False)
    assert answer(office, edited) == ("refused", 1, None, "not this number")
    assert answer(office, added) == ("refused", None, None, "not this number")
    assert answer(office, other)[0] == "taken"
    assert office.row(1) == before and office.sql("SELECT contact_row FROM change_queue") == [(2,)]
    assert office.one("SELECT count(*) FROM telecmi_contacts WHERE phone_no = '919200077001'") == 0


def test_other_sites_and_switched_off_edits_are_left(
    office: Published, tmp_path: Path, server: Server
) -> None:
    other = ask(office, "edit", site="pune", contact_row=1, company="Acme")
    office.run("publish", person=False)
    assert answer(office, other)[0] == "new"
    (tmp_path / "pune").mkdir()
    pune = Published(tmp_path / "pune", server, schema=office.schema, target={"site": "pune"})
    pune.run("publish")
    assert answer(office, other)[0] == "new"
    pune.close()


def test_a_kill_between_both_commits_applies_an_edit_once(
    office: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = ask(office, "add", phone_no="9200077001", first_name="Asha", last_name="Example")
    real = copy_edits.apply

    def applied_and_cut_off(*args: Any, **how: Any) -> Any:
        with office.server.connect() as conn:
            conn.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'syncer'"
            )
        return real(*args, **how)

    with monkeypatch.context() as patched:
        patched.setattr("syncer.sync.publish.copy_edits.apply", applied_and_cut_off)
        [run] = office.run("publish", person=False)
        assert "the server was stopped" in run.problem
    assert answer(office, number)[0] == "new"
    assert len(office.states()) == 1
    office.run("publish", person=False)
    state, row, change, _ = answer(office, number)
    assert (state, change) == ("taken", 1) and row
    assert len(office.states()) == 1
    assert office.one("SELECT count(*) FROM telecmi_contacts WHERE phone_no = '919200077001'") == 1


def test_an_edit_that_could_not_be_written_stays_new(
    office: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = ask(office, "edit", contact_row=1, company="Acme")
    with monkeypatch.context() as patched:

        def full(*_: Any, **how: Any) -> Any:
            raise StoreError("the disk is full")

        patched.setattr("syncer.sync.publish.copy_edits.apply", full)
        [run] = office.run("publish", person=False)
        assert run.problem == "the disk is full"
    assert answer(office, number)[0] == "new"
    office.run("publish", person=False)
    assert answer(office, number)[0] == "taken"


def test_an_edit_that_somebody_still_holds_is_passed_over(office: Published) -> None:
    held = ask(office, "edit", contact_row=1, company="Acme")
    free = ask(office, "edit", contact_row=2, company="Acme")
    with office.server.connect() as conn, conn.transaction():
        conn.execute(f"SELECT * FROM {office.schema}.contact_edits WHERE id = %s FOR UPDATE", (held,))
        office.run("publish", person=False)
        assert answer(office, free)[0] == "taken"
    assert answer(office, held)[0] == "new"
    office.run("publish", person=False)
    assert answer(office, held)[0] == "taken"


@pytest.mark.parametrize("how", ["restored", "taken over"])
def test_an_edit_by_row_is_only_for_the_mirror_that_it_was_written_to(
    office: Published, tmp_path: Path, server: Server, how: str
) -> None:
    """The ids of rows are local: another mirror, or a restored one, may have somebody else under them."""
    office.close()
    shutil.copy(office.path, tmp_path / "saved.db")
    office.restart()
    office.world.contact_insert({"phone_no": "919200077001", "last_name": "Example"})
    office.run()
    [first, second, *_] = office.directory()
    by_row = ask(office, "edit", contact_row=office.row_of(first), company="Acme")
    by_both = ask(office, "edit", contact_row=office.row_of(second), contact_id=second, company="Acme")
    by_id = ask(office, "edit", contact_id=second, job_title="Buyer")
    added = ask(office, "add", phone_no="92000 77002", first_name="Asha", last_name="Example")
    office.close()
    if how == "restored":
        shutil.copy(tmp_path / "saved.db", office.path)
        office.restart()
    else:
        (tmp_path / "other").mkdir()
        office = Published(
            tmp_path / "other", server, schema=office.schema, target={"edits": True}, world=office.world
        )
        office.run("telecmi-contacts")
    [run] = office.run("publish", full=how == "taken over")
    assert run.outcome == "ok", run.problem
    state, _, _, note = answer(office, by_row)
    assert state == "refused" and "may be somebody else" in (note or "")
    assert [answer(office, one)[0] for one in (by_both, by_id, added)] == ["taken"] * 3
    again = ask(office, "edit", contact_row=office.row_of(first), company="Acme")
    office.run("publish")
    assert answer(office, again)[0] == "taken"


def test_a_full_pass_that_broke_off_refuses_no_edit(
    office: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:

        def lost(*_: Any) -> Any:
            raise TransientError("publish.central", "publish", "the connection was lost")

        patched.setattr("syncer.store.publish.publish_pass.publish", lost)
        assert office.run("publish", full=True)[0].outcome == "failed"
    edit = ask(office, "edit", contact_row=1, company="Acme")
    office.run("publish")
    assert answer(office, edit)[0] == "taken"


def test_forget_reaches_edits(office: Published) -> None:
    phone = office.one("SELECT phone_e164 FROM telecmi_contacts WHERE id = 1")
    office.sql("SELECT 1")
    by_row = ask(office, "edit", contact_row=1, company="Acme")
    by_number = ask(office, "add", phone_no=phone, first_name="Asha", last_name="Example")
    other = ask(office, "edit", contact_row=2, company="Acme")
    office.run("publish", person=False)
    office.run("telecmi-push", "telecmi-contacts", "publish")
    forget(office.db, phone, "2026-11-21T12:00:00.000Z")
    office.run("publish", person=False)
    assert office.there("SELECT id FROM contact_edits") == [(other,)] and by_row < by_number
    again = ask(office, "add", phone_no=phone, first_name="Asha", last_name="Example")
    office.run("publish", person=False)
    assert "this person was forgotten" in (answer(office, again)[3] or "")


def test_forget_reaches_edits_though_everything_is_compared(office: Published) -> None:
    phone = office.one("SELECT phone_e164 FROM telecmi_contacts WHERE id = 1")
    ask(office, "edit", contact_row=1, first_name="Asha")
    unknown = ask(office, "edit", contact_row=999, company="Acme")
    office.run("publish", person=False)
    office.run("publish", full=True)
    assert answer(office, unknown)[0] == "refused"  # nobody was forgotten yet
    forget(office.db, phone, "2026-11-21T12:00:00.000Z")
    office.run("publish", full=True)
    assert office.there("SELECT id FROM contact_edits") == []


def test_nobody_listens_at_a_host_that_cannot_exist() -> None:
    """The daemon ends if one of its tasks does."""
    place = CopyAddress(
        "publish.central", "postgresql://syncer@db..example.com/office", None, "syncer", "main"
    )

    async def work() -> bool:
        done, _ = await asyncio.wait({asyncio.create_task(listening.listen(place, print, 60))}, timeout=0.3)
        return bool(done)

    assert not asyncio.run(work())


def test_the_daemon_hears_of_an_edit(office: Published) -> None:
    [spec] = registry.select(registry.specs(office.settings), ["publish"], None)

    async def work(env: Env) -> int:
        rung = asyncio.Event()
        copy = env.sources[spec.label].client
        heard = asyncio.create_task(listening.listen(copy.place, rung.set, 0.05))
        try:
            count = 0
            for _ in range(2):
                await asyncio.wait_for(rung.wait(), 10)  # it is connected
                rung.clear()
                threading.Thread(target=ask, args=(office, "edit"), kwargs={"contact_row": 1}).start()
                await asyncio.wait_for(rung.wait(), 10)
                count += 1
                rung.clear()
                with office.server.connect() as conn:  # the connection is lost, and made again
                    conn.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                        "WHERE pid <> pg_backend_pid() AND application_name = 'syncer'"
                    )
            return count
        finally:
            heard.cancel()

    assert office.within(work) == 2


@pytest.mark.soak
def test_ten_thousand_edits_by_ten_clients(tmp_path: Path) -> None:
    """Ten clients write edits while the publisher is killed and the server loses its power; see also `test_kills`."""
    if programs() is None:
        pytest.skip(SKIPPED)
    with serving() as server:
        with server.connect() as conn:
            conn.execute("ALTER SYSTEM SET fsync = on")
        server.stop("fast")
        server.start()
        office = Published(tmp_path, server, target={"edits": True})
        office.world.seed(contacts=400, seed=9)
        office.run("telecmi-contacts", "publish")
        written = busy_clients(office, clients=10, edits=1000)
        with killed_publisher(office, edits=True) as child:
            kills = 0
            while written.running() or office.there(
                "SELECT 1 FROM contact_edits WHERE state = 'new' LIMIT 1"
            ):
                kill(child, random.Random(kills).random() * 0.3)
                kills += 1
                if kills % 8 == 0:
                    server.stop()
                    server.start()
        committed = written.result()
        assert office.run("publish", person=False)[0].outcome == "ok"
        judge(office, committed)
        assert kills > 10
        for _ in range(3):
            office.run("telecmi-push", "telecmi-contacts")
        upstream = [str(one["phone_no"]) for one in office.directory().values()]
        added = [row[0] for row in office.there("SELECT phone_no FROM contact_edits WHERE action = 'add'")]
        assert len(upstream) == len(set(upstream)) and set(added) <= set(upstream)
        office.close()


class Writers:
    """Threads that write edits, each until it has written its share; what was committed may be more than they know."""

    def __init__(self, office: Published, clients: int, edits: int) -> None:
        self._office = office
        self._edits = edits
        self._threads = [threading.Thread(target=self._write, args=(number,)) for number in range(clients)]
        for one in self._threads:
            one.start()

    def running(self) -> bool:
        return any(one.is_alive() for one in self._threads)

    def result(self) -> int:
        for one in self._threads:
            one.join()
        return len(self._threads) * self._edits

    def _write(self, client: int) -> None:
        import time

        import psycopg

        number = 0
        while number < self._edits:
            try:
                with self._office.server.connect() as conn:
                    while number < self._edits:
                        self._one(conn, client, number)
                        number += 1
            except psycopg.Error:
                time.sleep(0.1)  # the server is down

    def _one(self, conn: Any, client: int, number: int) -> None:
        """Each edit has a value of its own, written once: an edit that was committed unseen is not repeated."""
        value = f"client {client} edit {number}"
        table = f"{self._office.schema}.contact_edits"
        match number % 10:
            case 0:
                action, row, phone, last = "add", None, f"9193{client:02d}{number:06d}", value
            case 1:
                action, row, phone, last = "edit", 1_000_000, None, None  # is refused
            case _:
                action, row, phone, last = "edit", 1 + (client * 37 + number) % 400, None, None
        conn.execute(
            f"INSERT INTO {table} (site, action, contact_row, phone_no, first_name, last_name, company) "
            f"SELECT 'main', %s, %s, %s, %s, %s, %s WHERE NOT EXISTS (SELECT 1 FROM {table} WHERE company = %s)",
            (action, row, phone, last and "Asha", last, value, value),
        )


def busy_clients(office: Published, clients: int, edits: int) -> Writers:
    return Writers(office, clients, edits)


def judge(office: Published, committed: int) -> None:
    """Every edit is answered, and the log shows each that was taken exactly once, or it is in the new row."""
    rows = office.there("SELECT action, state, company, contact_row, note FROM contact_edits")
    assert len(rows) == committed
    logged = [
        value
        for (value,) in office.sql("SELECT new FROM change_log WHERE field = 'company' AND origin = 'local'")
    ]
    companies = [
        value for (value,) in office.sql("SELECT company FROM telecmi_contacts WHERE phone_no LIKE '9193%'")
    ]
    assert len(logged) == len(set(logged)) and len(companies) == len(set(companies))
    for action, state, company, row, note in rows:
        if row == 1_000_000:
            assert state == "refused" and "no contact has this" in note
        elif action == "add":
            assert state == "taken" and company in companies
        else:
            assert state == "taken" and company in logged
    assert len(companies) == sum(action == "add" for action, *_ in rows)
    assert_equal(office, views=False)
