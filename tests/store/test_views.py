"""What the views show: one row a contact, one row a voicemail, and health as of now."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from syncer.core.normalise import utc_text
from syncer.store.db.read_only import raw
from syncer.store.write import contacts, user_list
from tests.store.conftest import BEFORE, MakeMirror, Mirror

PHONE = "919200000001"


def listed(mirror: Mirror, mobile: str = PHONE, e164: str | None = "", **more: object) -> int:
    """A row of the user's own list."""
    row = {
        "account": "main", "mobile": mobile, "phone_e164": f"+{mobile}" if e164 == "" else e164,
        "name": "Asha of the list", **more,
    }  # fmt: skip
    return mirror.insert("telecmi_user_contacts", **row)


def flo(mirror: Mirror, **more: object) -> int:
    row = {
        "account": "shop", "smartflo_id": str(mirror.one("SELECT count(*) FROM smartflo_contacts")),
        "phone_number": PHONE, "phone_e164": f"+{PHONE}", "name": "Asha of Smartflo", "company_name": "Flo & Co",
        **more,
    }  # fmt: skip
    return mirror.insert("smartflo_contacts", **row)


def voicemail(mirror: Mirror, phone: str | None = f"+{PHONE}", account: str = "main") -> int:
    return mirror.own(
        "INSERT INTO telecmi_voicemails (account, voicename, from_number, phone_e164, received_at) "
        "SELECT ?, count(*), ?, ?, ? FROM telecmi_voicemails",
        account, phone or "+91xxxxxx2999", phone, BEFORE,
    )  # fmt: skip


def shown(mirror: Mirror) -> list[tuple[object, ...]]:
    return mirror.sql("SELECT source_table, source_id, name FROM contacts ORDER BY 1, 2")


# -- contacts ----------------------------------------------------------------------------------------


def test_each_contact_of_any_provider_is_shown_once(mirror: Mirror) -> None:
    both = mirror.contact()
    listed(mirror)  # the same one, in the user's list
    alone = listed(mirror, "919200000002")
    smart = flo(mirror)
    assert shown(mirror) == [
        ("smartflo_contacts", smart, "Asha of Smartflo"),
        ("telecmi_contacts", both, "Asha Rao"),
        ("telecmi_user_contacts", alone, "Asha of the list"),
    ]


def test_a_contact_of_the_list_is_shown_once_whatever_its_number(mirror: Mirror) -> None:
    # A number that cannot be read ties the two rows as it is spelled.
    listed(mirror, "+91xxxxxx2999", None)
    other = listed(mirror, "+91xxxxxx1111", None)
    row_id = mirror.contact("91xxxxxx2999", contact_id=None, source="user_list")
    mirror.own("UPDATE telecmi_contacts SET phone_no = '+91xxxxxx2999', phone_e164 = NULL")
    mirror.own("UPDATE contact_base SET phone_no = '+91xxxxxx2999', phone_e164 = NULL")
    assert [row[:2] for row in shown(mirror)] == [
        ("telecmi_contacts", row_id),
        ("telecmi_user_contacts", other),
    ]


def test_an_edited_number_does_not_show_the_contact_twice(mirror: Mirror) -> None:
    listed(mirror)
    row_id = mirror.contact(contact_id=None, source="user_list")
    mirror.sql("UPDATE telecmi_contacts SET phone_no = '919200000099'")
    assert [row[:2] for row in shown(mirror)] == [("telecmi_contacts", row_id)]


def test_a_number_in_another_account_is_another_contact(make_mirror: MakeMirror) -> None:
    mirror = make_mirror(("main", True, False), ("north", True, False))
    mirror.contact(account="north")
    listed(mirror)
    assert len(shown(mirror)) == 2


def test_tombstones_are_not_shown(mirror: Mirror) -> None:
    mirror.contact(deleted_at=BEFORE)
    flo(mirror, deleted_at=BEFORE)
    here = listed(mirror)
    listed(mirror, "919200000002", deleted_at=BEFORE)
    assert [row[:2] for row in shown(mirror)] == [("telecmi_user_contacts", here)]


# -- voicemails --------------------------------------------------------------------------------------


def callers(mirror: Mirror) -> list[tuple[object, ...]]:
    return mirror.sql("SELECT caller_name, caller_company FROM voicemails ORDER BY id")


def test_the_sources_of_a_name_have_a_fixed_order(make_mirror: MakeMirror) -> None:
    mirror = make_mirror(("main", True, False), ("north", True, False))
    voicemail(mirror)
    assert callers(mirror) == [(None, None)]
    flo(mirror, id=90, name="Later", company_name="Later", smartflo_id="9")
    flo(mirror, id=5)
    assert callers(mirror) == [("Asha of Smartflo", "Flo & Co")]
    listed(mirror, account="north", name="North's list")
    assert callers(mirror) == [("North's list", "Flo & Co")]
    mirror.contact(account="north", first_name="North", last_name="Directory", company="North & Co")
    assert callers(mirror) == [("North Directory", "North & Co")]
    listed(mirror)
    assert callers(mirror) == [("Asha of the list", "North & Co")]
    own = mirror.contact(company="")
    assert callers(mirror) == [("Asha Rao", "North & Co")]
    mirror.own("UPDATE telecmi_contacts SET company = 'Own & Co' WHERE id = ?", own)
    assert callers(mirror) == [("Asha Rao", "Own & Co")]


def test_many_contacts_of_one_number_make_one_row_by_the_oldest_that_has_a_name(mirror: Mirror) -> None:
    nameless = mirror.contact(first_name="", last_name="", contact_id="c-0")
    mirror.contact(first_name="Asha", last_name="", contact_id="c-1")
    mirror.contact(first_name="Later", contact_id="c-2", company="Later & Co")
    for _ in range(3):
        flo(mirror)
        voicemail(mirror)
    assert nameless == 1
    assert callers(mirror) == [("Asha", "Later & Co")] * 3


def test_a_masked_number_is_nobodys(mirror: Mirror) -> None:
    mirror.contact()
    mirror.own("UPDATE telecmi_contacts SET phone_e164 = NULL, phone_no = '+91xxxxxx2999'")
    listed(mirror, "+91xxxxxx2999", None)
    flo(mirror, phone_e164=None)
    voicemail(mirror, None)
    assert callers(mirror) == [(None, None)]


def test_a_deleted_contact_names_nobody(mirror: Mirror) -> None:
    mirror.contact()
    voicemail(mirror)
    mirror.sql("DELETE FROM telecmi_contacts")
    assert callers(mirror) == [(None, None)]


def test_every_voicemail_is_shown(mirror: Mirror) -> None:
    for _ in range(5):
        voicemail(mirror)
    mirror.own("UPDATE telecmi_voicemails SET deleted_at = ?, phone_e164 = NULL WHERE id = 3", BEFORE)
    assert mirror.sql("SELECT id FROM voicemails ORDER BY 1") == [(n,) for n in range(1, 6)]


# -- health ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ago, stale",
    [
        (timedelta(0), 0),
        (timedelta(seconds=170), 0),
        (timedelta(seconds=190), 1),
        (timedelta(days=400), 1),
        (-timedelta(seconds=30), 0),  # clocks differ a little
        (-timedelta(days=400), 1),  # a stamp from the future proves nothing
        (None, 1),
    ],
)
def test_stale_is_computed_when_it_is_read(mirror: Mirror, ago: timedelta | None, stale: int) -> None:
    last_ok = None if ago is None else utc_text(datetime.now(UTC) - ago)
    mirror.insert("sync_jobs", job="j", account="main", provider="telecmi", every_s=60, last_ok_at=last_ok)
    job, account, at, age, every, told = mirror.sql(
        "SELECT job, account, last_ok_at, age_s, every_s, stale FROM sync_health"
    )[0]
    assert (job, account, at, every, told) == ("j", "main", last_ok, 60, stale)
    assert age is None if ago is None else abs(age - ago.total_seconds()) < 5


def test_a_stamp_that_is_none_is_stale_and_a_job_that_is_off_is_not_shown(mirror: Mirror) -> None:
    insert = "INSERT INTO sync_jobs (job, account, provider, every_s, last_ok_at, enabled) VALUES (?, 'm', 'x', 60, ?, ?)"
    mirror.own(insert, "odd", "yesterday", 1)
    mirror.own(insert, "off", BEFORE, 0)
    assert mirror.sql("SELECT job, stale FROM sync_health") == [("odd", 1)]


# -- how they are found ------------------------------------------------------------------------------


def plan(mirror: Mirror, query: str) -> str:
    return "\n".join(str(row[3]) for row in mirror.sql(f"EXPLAIN QUERY PLAN {query}"))


@pytest.mark.parametrize(
    "query, index",
    [
        ("SELECT * FROM telecmi_contacts WHERE phone_e164 = '+919200000001'", "telecmi_contacts_phone"),
        ("SELECT * FROM telecmi_contacts WHERE last_name = 'Rao'", "telecmi_contacts_last_name"),
        ("SELECT * FROM telecmi_contacts WHERE first_name = 'Asha'", "telecmi_contacts_search"),
        ("SELECT * FROM telecmi_contacts WHERE company = 'X'", "telecmi_contacts_company"),
        ("SELECT * FROM telecmi_user_contacts WHERE phone_e164 = '+91'", "telecmi_user_contacts_phone"),
        ("SELECT * FROM telecmi_user_contacts WHERE name = 'Asha'", "telecmi_user_contacts_name"),
        ("SELECT * FROM smartflo_contacts WHERE phone_e164 = '+91'", "smartflo_contacts_phone"),
        ("SELECT * FROM smartflo_contacts WHERE name = 'Asha'", "smartflo_contacts_name"),
        ("SELECT * FROM telecmi_voicemails WHERE phone_e164 = '+91'", "telecmi_voicemails_phone"),
        ("SELECT * FROM change_log WHERE table_name = 'telecmi_contacts' AND row_id = 1", "change_log_row"),
    ],
)
def test_a_search_uses_its_index(mirror: Mirror, query: str, index: str) -> None:
    assert f"USING INDEX {index}" in plan(mirror, query)


def test_a_search_of_all_contacts_by_number_scans_nothing(mirror: Mirror) -> None:
    found = plan(mirror, "SELECT * FROM contacts WHERE phone_e164 = '+919200000001'")
    assert [line for line in found.splitlines() if "SCAN" in line and line != "SCAN contacts"] == []
    for index in ("telecmi_contacts_phone", "telecmi_user_contacts_phone", "smartflo_contacts_phone"):
        assert f"USING INDEX {index}" in found


def test_callers_are_looked_up_by_index(mirror: Mirror) -> None:
    found = plan(mirror, "SELECT * FROM voicemails ORDER BY received_at DESC LIMIT 20")
    assert "SCAN v USING INDEX telecmi_voicemails_received" in found
    assert [line for line in found.splitlines() if "SCAN" in line and not line.startswith("SCAN v")] == []
    for index in ("telecmi_contacts_phone", "telecmi_user_contacts_phone", "smartflo_contacts_phone"):
        assert index in found


def test_an_edit_scans_no_table(mirror: Mirror) -> None:
    for statement in (
        "UPDATE telecmi_contacts SET company = 'X' WHERE id = 1",
        "DELETE FROM telecmi_contacts WHERE id = 1",
    ):
        conn = mirror.client()
        lines = [str(row[3]) for row in conn.execute(f"EXPLAIN QUERY PLAN {statement}")]
        conn.close()
        assert [line for line in lines if line.startswith("SCAN") and "sync_guard" not in line] == []


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (contacts.UNFILLED, "telecmi_contacts USING INDEX telecmi_contacts_phone (phone_e164=?)"),
        (contacts.NOBODY, "c USING INDEX telecmi_contacts_phone (phone_e164=?)"),
        (contacts.BY_ID, "c USING INTEGER PRIMARY KEY (rowid=?)"),
        (contacts.BY_CONTACT_ID, "(account=? AND contact_id=?)"),
    ],
)
def test_what_a_pull_asks_walks_no_account_whole(mirror: Mirror, query: str, index: str) -> None:
    with mirror.db.read() as conn:
        rows = conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}", ("",) * query.count("?")).all()
    found = [str(row[3]) for row in rows]
    assert any(line.endswith(index) for line in found), found
    assert [line for line in found if line.startswith("SCAN") and "json_each" not in line] == []


def test_comparing_the_user_list_with_its_contacts_grows_with_its_length_only(mirror: Mirror) -> None:
    policy = contacts.Policy("main", "IN", "ask")
    work = []
    for count in (200, 400):
        for n in range(len(work) * 200, count):
            listed(mirror, str(919200000000 + n), raw=f'{{"n": {n}}}')
        with mirror.db.write() as conn:
            user_list.add(conn, policy, user_list.to_do(conn, policy).missing, BEFORE)
        steps = [0]

        def step(steps: list[int] = steps) -> None:
            steps[0] += 1

        with mirror.db.read() as conn:
            raw(conn).set_progress_handler(step, 100)
            assert user_list.to_do(conn, policy) == user_list.ToDo((), ())
            raw(conn).set_progress_handler(None, 0)
        work.append(steps[0])
    assert work[1] < 2.5 * work[0], work


def test_the_views_stay_quick_with_many_rows(mirror: Mirror) -> None:
    # No clock here: a missing index would take minutes, and the test run with it.
    many = 20_000
    with mirror.db.write() as conn:
        series = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {many})"
        for statement in (
            "INSERT INTO telecmi_contacts (account, contact_id, phone_no, phone_e164, last_name) "
            f"{series} SELECT 'main', i, '91' || (9200000000 + i), '+91' || (9200000000 + i), 'Rao' FROM n",
            "INSERT INTO contact_base (row_id, account, source, contact_id, phone_no, phone_e164) "
            "SELECT id, account, 'directory', contact_id, phone_no, phone_e164 FROM telecmi_contacts",
            "INSERT INTO telecmi_user_contacts (account, mobile, phone_e164, name) "
            f"{series} SELECT 'main', 9200000000 + i, '+91' || (9200000000 + i), 'Rao' FROM n",
            "INSERT INTO telecmi_voicemails (account, voicename, phone_e164, received_at) "
            f"{series} SELECT 'main', i, '+91' || (9200000000 + i), i FROM n",
        ):
            conn.exec_driver_sql(statement)
    assert mirror.one("SELECT count(*) FROM contacts") == many
    assert mirror.one("SELECT count(caller_name) FROM voicemails") == many
    mirror.sql("UPDATE telecmi_contacts SET company = 'X' WHERE id <= 2000")
    assert mirror.one("SELECT count(*) FROM change_queue WHERE state = 'queued'") == 2000
