"""`forget`: a person is gone from every table and from the file itself, and stays out."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from syncer.errors import StoreError, UsageError
from syncer.store.db.connection import Database
from syncer.store.write import forget
from tests.office import Office
from tests.sync.conftest import MakeOffice
from tests.sync.push_bench import person

PHONE = "+919200000003"
AT = "2026-11-21T12:00:00.000Z"


def dump(path: Path) -> str:
    """All that the database says."""
    conn = sqlite3.connect(path)
    try:
        return "\n".join(conn.iterdump())
    finally:
        conn.close()


def in_the_file(office: Office, *words: str) -> list[str]:
    """Which of these are in the file or the files next to it, including free pages."""
    data = b"".join(path.read_bytes() for path in office.path.parent.glob("mirror.db*") if path.is_file())
    return [word for word in words if word.encode() in data]


def test_a_forgotten_person_is_nowhere_and_stays_out(office: Office) -> None:
    office.sql("UPDATE telecmi_contacts SET company = 'Secret Affairs' WHERE phone_e164 = ?", PHONE)
    gone = forget.forget(office.db, PHONE, AT).rows
    assert gone["telecmi_contacts"] == 1
    assert gone["change_queue"] == 1
    for _ in range(3):
        runs = office.run()
        assert [run.outcome for run in runs] == ["ok"] * 3, [run.problem for run in runs]
    assert not re.search("9200000003|Secret Affairs|Rao3", dump(office.path))
    assert office.one("SELECT count(*) FROM telecmi_contacts WHERE deleted_at IS NULL") == 11
    assert len(office.directory()) == 12  # upstream keeps it


def test_every_list_forgets(make_office: MakeOffice) -> None:
    """Contacts, the user's list with its notes, voicemails, Smartflo, holds, what was set aside, the log."""
    office = make_office()
    world = office.world
    world.seed(contacts=10, voicemails=3, smartflo=60, user_contacts=10)
    world.contact_insert({"phone_no": "919200000003", "first_name": "Zyx", "last_name": "Qwertz"})
    world.user_contact_upsert("9200000003", {"name": "Zyx Qwertz"})
    world.user().contacts[-1]["notes"] = [{"msg": "Qwertz called", "date": 1, "agent": "a"}]
    world.smartflo_upsert(77, {"phone_number": "+919200000003", "name": "Zyx Qwertz"})
    world.voicemail_insert(round(world.now() * 1000) - 60_000, 919_200_000_003)
    world.user().contacts.append({"mobile": None, "name": "Zyx Qwertz", "info": "92000-00003", "time": 1})
    office.run()
    assert office.one("SELECT count(*) FROM set_aside") == 1
    office.db.pragma("PRAGMA secure_delete = OFF")  # as most builds of SQLite have it, and Debian's has not
    for size in (100, 300, 20):  # older versions of a row lie about in the file's free space
        office.own(
            "UPDATE smartflo_contacts SET raw = json_object('a', 'Qwertz' || hex(zeroblob(?))) "
            "WHERE smartflo_id = '77'",
            size,
        )
    done = forget.forget(office.db, PHONE, AT)
    assert set(done.rows) >= {
        "telecmi_contacts", "telecmi_user_contacts", "telecmi_notes", "telecmi_voicemails",
        "smartflo_contacts", "set_aside", "change_log",
    }  # fmt: skip
    assert (done.traces, done.mentioned) == (False, {})
    assert in_the_file(office, "Qwertz", "9200000003", "92000-00003") == []
    for _ in range(2):
        assert "failed" not in [run.outcome for run in office.run(full=True)]
    assert in_the_file(office, "Qwertz", "9200000003", "92000-00003") == []


def test_what_a_person_typed_and_nobody_read_yet_is_forgotten_too(office: Office) -> None:
    """`phone_e164` of a local edit is filled in by the daemon, which need not be running."""
    office.sql(
        "INSERT INTO telecmi_contacts (account, phone_no, first_name, last_name) "
        "VALUES ('main', '092000 00003', 'Asha', 'Handmade')"
    )
    forget.forget(office.db, PHONE, AT)
    assert "Handmade" not in dump(office.path)
    assert office.states() == []


def test_an_entry_of_the_log_that_names_the_number_goes(make_office: MakeOffice) -> None:
    office = make_office(only=("smartflo-contacts",))
    office.world.smartflo_upsert(1, {"phone_number": "+919200000003", "name": "Asha Rao"})
    office.run()
    office.clock.pass_(minutes=10)
    office.world.smartflo_upsert(1, {"phone_number": "+919200000099"})
    office.run()
    forget.forget(office.db, PHONE, AT)
    assert "9200000003" not in dump(office.path)
    assert office.one("SELECT count(*) FROM smartflo_contacts") == 1, "the row is somebody else's now"


def test_rows_of_others_that_name_the_number_are_reported(make_office: MakeOffice) -> None:
    office = make_office(only=("telecmi-user-contacts",))
    office.world.user_contact_upsert("9200000055", {"name": "Ravi Iyer", "info": "sister: +91 92000 00003"})
    office.run()
    assert forget.forget(office.db, PHONE, AT).mentioned == {"telecmi_user_contacts": [1]}


def test_a_hold_counts_what_is_left_of_it(make_office: MakeOffice) -> None:
    office = make_office(only=("smartflo-contacts",))
    for n in range(3):
        office.world.smartflo_upsert(n + 1, {"phone_number": f"+91920000000{n + 1}", "name": f"Asha {n}"})
    office.run()
    office.world.smartflo.contacts.clear()
    office.run(full=True)
    assert office.sql("SELECT rows FROM held") == [(3,)]
    forget.forget(office.db, PHONE, AT)
    assert office.sql("SELECT rows, decision FROM held") == [(2, None)]
    for number in ("+919200000001", "+919200000002"):
        forget.forget(office.db, number, AT)
    assert office.sql("SELECT rows, decision FROM held") == [(0, "superseded")]
    assert office.run(full=True)[0].outcome == "ok"


@pytest.mark.parametrize(
    "job",
    [
        "telecmi-contacts",
        "telecmi-user-contacts",
        "telecmi-voicemails",
        "telecmi-calls",
        "smartflo-contacts",
        "smartflo-calls",
    ],
)
def test_nobody_comes_back_with_a_run_that_began_before(make_office: MakeOffice, job: str) -> None:
    calls = {"calls": {"enabled": True}}
    office = make_office(only=(job,), telecmi=calls, smartflo={"token": "sandbox-token", **calls})
    world, now = office.world, round(office.world.now() * 1000) - 60_000
    world.contact_insert({"phone_no": "919200000003", "first_name": "Zyx", "last_name": "Qwertz"})
    world.user_contact_upsert("9200000003", {"name": "Zyx Qwertz"})
    world.user().contacts.append({"mobile": None, "name": "Zyx Qwertz", "info": "92000-00003", "time": 1})
    world.smartflo_upsert(77, {"phone_number": "+919200000003", "name": "Zyx Qwertz"})
    world.voicemail_insert(now, 919_200_000_003)
    world.call_insert("missed", 919_200_000_003, now)
    world.smartflo_call_insert("+919200000003", now)

    left = [PHONE]

    def forgets(path: str, asked: dict[str, Any], answer: Any) -> Any:
        if left and PHONE[3:] in str(answer):
            with Database(office.path) as db:
                forget.forget(db, left.pop(), AT)
        return answer

    office.rewrite = forgets
    [run] = office.run(full=True)
    assert run.outcome == "ok" and not left, run.problem
    assert not re.search("9200000003|92000-00003|Qwertz", dump(office.path))


def test_nobody_comes_back_who_was_compared_before(office: Office) -> None:
    """A row that differs waits to be written until there are enough, or until the listing ends."""
    for n in range(50, 200):
        office.world.contact_insert(person(n))
    answers = iter((False, True))

    def forgets(path: str, asked: dict[str, Any], answer: Any) -> Any:
        if next(answers, False):
            with Database(office.path) as db:
                forget.forget(db, "+919200000050", AT)
        return answer

    office.rewrite = forgets
    assert office.contacts().outcome == "ok"
    assert "Rao50" not in dump(office.path)


def test_a_reader_in_the_way_is_reported(office: Office) -> None:
    """Somebody reads an older snapshot, so the WAL cannot be emptied yet."""
    reader = sqlite3.connect(office.path)
    try:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM telecmi_contacts").fetchone()
        office.db.pragma("PRAGMA busy_timeout = 50")
        assert forget.forget(office.db, PHONE, AT).traces is True
    finally:
        reader.close()
    assert forget.forget(office.db, PHONE, AT).traces is False
    assert in_the_file(office, "9200000003") == []


def test_nobody_is_forgotten_while_a_change_of_theirs_is_being_sent(office: Office) -> None:
    office.sql("UPDATE telecmi_contacts SET company = 'New' WHERE phone_e164 = ?", PHONE)
    office.own("UPDATE change_queue SET state = 'sending', fields = '{}'")
    with pytest.raises(UsageError, match="being sent right now"):
        forget.forget(office.db, PHONE, AT)
    assert office.one("SELECT count(*) FROM telecmi_contacts WHERE phone_e164 = ?", PHONE) == 1


def test_a_quiet_cycle_with_a_forgotten_person_writes_nothing(office: Office) -> None:
    forget.forget(office.db, PHONE, AT)
    office.run()
    with office.unchanged():
        office.run()


def test_a_lost_key_stops_the_pulls_instead_of_bringing_people_back(office: Office) -> None:
    forget.forget(office.db, PHONE, AT)
    forget.key_path(office.path).unlink()
    run = office.contacts()
    assert run.outcome == "failed"
    assert isinstance(run.error, StoreError)
    assert "forget-key" in run.problem
    assert office.one("SELECT count(*) FROM telecmi_contacts WHERE phone_e164 = ?", PHONE) == 0
