"""Smartflo's increments: cursors by the server's stamps, tombstones, full listings."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from syncer.sync import jobs
from syncer.sync.run import Run
from tests.office import Office
from tests.sync.conftest import MakeOffice


@pytest.fixture
def office(make_office: MakeOffice) -> Office:
    """An office with twenty Smartflo contacts, an hour old, pulled once."""
    made = make_office(only=("smartflo-contacts",))
    made.world.group_upsert(1, {"name": "Customers"})
    for n in range(20):
        add(made, n + 1, updated_at=made.world.now() - 3600)
    assert made.run()[0].outcome == "ok"
    return made


def add(office: Office, number: int, **stamps: Any) -> int:
    return office.world.smartflo_upsert(
        number,
        {"phone_number": f"+9194000{number:05d}", "name": f"Ravi Iyer {number}", "contact_group_id": 1},
        **stamps,
    )


def pull(office: Office, *, full: bool = False) -> Run:
    """One pull that has to be fine."""
    run = office.run(full=full)[0]
    assert run.outcome == "ok", run.problem
    return run


def living(office: Office) -> int:
    return int(office.one("SELECT count(*) FROM smartflo_contacts WHERE deleted_at IS NULL"))


def cursor(office: Office) -> str:
    return str(office.one("SELECT cursor FROM sync_jobs WHERE job = 'smartflo-contacts'"))


def asked_after(office: Office, after: int) -> list[str]:
    """The `updated_after` of each listing of contacts since."""
    return [
        request.query["updated_after"]
        for request in office.world.requests(after)
        if request.path == "/v1/contacts" and request.query and "updated_after" in request.query
    ]


def text(epoch: float) -> str:
    """Epoch seconds in the form of the database, in whole seconds like the vendor's."""
    return datetime.fromtimestamp(int(epoch), UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


# -- one list that fails


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "http", "status": 404, "message": "Not found"},
        {"kind": "http", "status": 422, "message": "The selected list is invalid."},
        {"kind": "http", "status": 500, "message": "Server error"},
        {"kind": "http", "status": 403, "message": "This action is unauthorized."},
        {"kind": "http", "status": 401, "message": "Unauthenticated."},
        {"kind": "code", "code": 403, "message": "This action is unauthorized."},
        {"kind": "html502"},
        {"kind": "html200"},
        {"kind": "empty_body"},
        {"kind": "object"},
        {"kind": "null"},
        {"kind": "half_json"},
    ],
)
@pytest.mark.parametrize("credentials", ["token", "login"])
def test_groups_that_an_account_may_not_use_do_not_keep_its_contacts_out(
    make_office: MakeOffice, fault: dict[str, Any], credentials: str
) -> None:
    login = {"email": "ops@example.com", "password": "sandbox-password"}
    office = make_office(only=("smartflo-contacts",), smartflo=login if credentials == "login" else {})
    office.world.group_upsert(1, {"name": "Customers"})
    for n in range(20):
        add(office, n + 1)
    office.fault("/v1/contact/groups", times=None, **fault)
    mark = office.mark()
    for _ in range(3):
        run = office.run()[0]
        assert run.outcome == "incomplete" and run.error is None and jobs.exit_code([run]) == 1
        assert run.problem.startswith("smartflo.main /v1/contact/groups: "), run.problem
    assert living(office) == 20 and cursor(office)
    assert office.calls(mark).count("/v1/auth/login") == (credentials == "login"), "one login for three runs"
    office.world.faults.clear()
    assert office.run()[0].outcome == "ok"
    assert office.one("SELECT count(*) FROM smartflo_contact_groups") == 1


def test_contacts_that_an_account_may_not_use_fail_alone(office: Office) -> None:
    office.world.group_upsert(2, {"name": "Suppliers"})
    office.fault("/v1/contacts", "http", status=403, message="This action is unauthorized.", times=None)
    run = office.run()[0]
    assert run.outcome == "incomplete" and jobs.exit_code([run]) == 1
    assert run.problem.startswith("smartflo.main /v1/contacts: the token lacks the permission for this call")
    assert office.one("SELECT count(*) FROM smartflo_contact_groups") == 2 and living(office) == 20


def test_credentials_that_no_call_accepts_are_tried_once(make_office: MakeOffice) -> None:
    login = {"email": "ops@example.com", "password": "sandbox-password"}
    office = make_office(only=("smartflo-contacts",), smartflo=login)
    for path in ("/v1/contacts", "/v1/contact/groups"):
        office.fault(path, "http", status=403, message="This action is unauthorized.", times=None)
    mark = office.mark()
    assert jobs.exit_code(office.run()) == 77
    assert office.calls(mark).count("/v1/auth/login") == 1


# -- what an increment proves


def test_failures_03_an_increment_never_proves_absence(make_office: MakeOffice) -> None:
    office = make_office(only=("smartflo-contacts",))
    for n in range(500):
        add(office, n + 1, updated_at=office.world.now() - 86_400)
    pull(office)
    for n in (3, 4, 5):
        office.world.smartflo_upsert(n, {"name": "Meera Nair"})
    for n in range(100, 200):
        office.world.smartflo_delete(n, hard=True)
    for _ in range(3):
        run = pull(office)
        assert run.removed == 0
        office.clock.pass_(minutes=10)
    assert living(office) == 500
    assert office.one("SELECT count(*) FROM smartflo_contacts WHERE name = 'Meera Nair'") == 3


def test_a_contact_that_the_vendor_calls_deleted_is_gone_at_once(office: Office) -> None:
    office.world.settings.change({"smartflo.list_deleted": True})
    office.world.smartflo_delete(7)
    assert pull(office).removed == 1
    assert living(office) == 19
    seq = office.log_size()
    pull(office)
    pull(office, full=True)
    assert office.log_size() == seq, "it stays listed, and stays gone"
    add(office, 7)
    pull(office)
    assert living(office) == 20


def test_a_contact_that_was_never_here_and_is_called_deleted_is_none(office: Office) -> None:
    office.world.settings.change({"smartflo.list_deleted": True})
    add(office, 50)
    office.world.smartflo_delete(50)
    pull(office)
    assert office.one("SELECT count(*) FROM smartflo_contacts") == 20


def test_a_deletion_in_an_unknown_form_is_noticed_once_and_deletes_nothing(office: Office) -> None:
    contact = {"id": 7, "name": "Asha Example", "phone_number": "+919200000007", "deleted_at": "08/05/2024"}

    def answer(request: httpx.Request) -> httpx.Response:
        first = request.url.path == "/v1/contacts" and request.url.params.get("page", "1") == "1"
        rows = [contact] if first else []
        return httpx.Response(200, json={"page": 1, "size": len(rows), "limit": 100, "results": rows})

    office.network = httpx.MockTransport(answer)
    said = [notice for _ in range(3) for notice in office.run(full=True)[0].notices if "deleted_at" in notice]
    assert said == ["smartflo-contacts: deleted_at is in an unknown form, so the rows count as not deleted"]
    assert office.one("SELECT deleted_at FROM smartflo_contacts WHERE smartflo_id = '7'") is None


@pytest.mark.parametrize("listed", [False, True])
def test_a_deletion_is_found_whether_the_vendor_lists_it_or_not(office: Office, listed: bool) -> None:
    office.world.settings.change({"smartflo.list_deleted": listed})
    office.world.smartflo_delete(7)
    for _ in range(3):
        office.clock.pass_(days=1, minutes=1)
        pull(office)
    assert living(office) == 19


def test_a_full_listing_is_read_daily(office: Office) -> None:
    mark = office.mark()
    pull(office)
    assert asked_after(office, mark)
    office.clock.pass_(hours=24)
    mark = office.mark()
    pull(office)
    assert not asked_after(office, mark)


def test_an_increment_is_no_whole_listing(office: Office) -> None:
    """`last_complete_at` speaks of what is gone, so only a listing of everything moves it."""
    query = "SELECT last_complete_at, last_ok_at FROM sync_jobs WHERE job = 'smartflo-contacts'"
    whole = office.sql(query)[0][0]
    office.clock.pass_(hours=1)
    pull(office)
    ((complete, ok),) = office.sql(query)
    assert complete == whole < ok
    office.clock.pass_(days=1)
    pull(office)
    assert office.sql(query)[0][0] > whole


def test_the_certificates_of_both_lists_are_recorded(office: Office) -> None:
    office.world.settings.change({"smartflo.order": "shuffled", "smartflo.page_cap": 5})
    for n in range(2, 9):
        office.world.group_upsert(n)
    office.clock.pass_(hours=1)
    office.run(full=True)
    listing = json.loads(office.one("SELECT listing FROM sync_runs ORDER BY id DESC LIMIT 1"))
    assert (listing["verdict"], listing["whole"]) == ("drifted", True)
    assert set(listing["lists"]) == {"smartflo_contacts", "smartflo_contact_groups"}
    assert office.one("SELECT last_complete_at < last_ok_at FROM sync_jobs WHERE job = 'smartflo-contacts'")


# -- the cursor


@pytest.mark.parametrize("op", ["ge", "gt"])
def test_failures_09_ties_within_one_second_are_all_read(office: Office, op: str) -> None:
    office.world.settings.change({"smartflo.updated_after_op": op})
    second = office.world.now()
    for n in range(100, 125):
        add(office, n, updated_at=second + n / 1000)
    pull(office)
    for n in range(125, 150):
        add(office, n, updated_at=second + n / 1000)
    pull(office)
    assert living(office) == 70
    assert cursor(office) == text(second)


@pytest.mark.parametrize("op", ["ge", "gt"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_failures_10_rows_that_show_late_are_read(make_office: MakeOffice, seed: int, op: str) -> None:
    """A row shows up to ten minutes after its stamp, the whole ten included."""
    office = make_office(only=("smartflo-contacts",))
    office.world.settings.change({"smartflo.updated_after_op": op})
    chance = random.Random(seed)
    pull(office)
    for n in range(40):
        now = office.world.now()
        add(
            office,
            n + 1,
            updated_at=now,
            visible_at=now + chance.choice([0, 60, 599.9, 600 * chance.random()]),
        )
        office.clock.pass_(seconds=chance.choice([1.3, 61, 200.7]))
        if chance.random() < 0.5:
            pull(office)
    office.clock.pass_(minutes=10)
    pull(office)
    assert living(office) == 40


def test_failures_11_a_stamp_in_the_future_does_not_blind_the_pull(office: Office) -> None:
    add(office, 99, updated_at=datetime(2099, 1, 1, tzinfo=UTC).timestamp())
    pull(office)
    assert office.one("SELECT count(*) FROM smartflo_contacts WHERE smartflo_id = '99'") == 1
    assert cursor(office) < "2026-11-22"
    for day in range(3):
        office.clock.pass_(hours=5)
        add(office, 200 + day)
        pull(office)
        assert living(office) == 22 + day


def test_failures_11_nor_does_one_in_the_first_listing(make_office: MakeOffice) -> None:
    office = make_office(only=("smartflo-contacts",))
    add(office, 1, updated_at=datetime(2099, 1, 1, tzinfo=UTC).timestamp())
    for n in range(3):
        pull(office)
        office.clock.pass_(hours=1)
        add(office, n + 2)
    pull(office)
    assert living(office) == 4


@pytest.mark.parametrize("ahead", [None, 0, -3600, 3600, 86_400 * 365])
def test_the_cursor_is_clamped_to_the_servers_date(office: Office, ahead: float | None) -> None:
    """Our clock and the server's `Date` differ by any amount, or there is no `Date`: no row is lost."""
    office.world.settings.change({"smartflo.date_header": ahead})
    for n in range(6):
        add(office, 100 + n)
        pull(office)
        assert living(office) == 21 + n
        assert cursor(office) <= text(office.world.now())
        office.clock.pass_(minutes=7)


def test_failures_12_a_one_off_full_listing_moves_no_cursor(office: Office) -> None:
    before = cursor(office)
    full_at = office.one("SELECT last_full_at FROM sync_jobs WHERE job = 'smartflo-contacts'")
    office.clock.pass_(minutes=30)
    add(office, 99)
    pull(office, full=True)
    assert living(office) == 21
    assert cursor(office) == before
    assert office.one("SELECT last_full_at FROM sync_jobs WHERE job = 'smartflo-contacts'") == full_at
    pull(office)
    assert cursor(office) > before


def test_failures_12_other_jobs_and_local_edits_move_no_cursor(make_office: MakeOffice) -> None:
    office = make_office()
    office.world.seed(contacts=5, voicemails=3, smartflo=5, user_contacts=3)
    office.run()
    before = cursor(office)
    office.clock.pass_(hours=1)
    add(office, 99)
    office.sql("UPDATE telecmi_contacts SET company = 'Example Traders'")
    office.run("telecmi-contacts", "telecmi-user-contacts", "telecmi-voicemails", "telecmi-push")
    assert cursor(office) == before


def test_the_cursor_moves_only_after_the_last_page(office: Office) -> None:
    office.world.settings.change({"smartflo.page_cap": 5})
    before = cursor(office)
    office.clock.pass_(minutes=5)
    for n in range(100, 120):
        add(office, n)
    office.fault("/v1/contacts", "html502", times=None, match={"page": 6})
    assert office.run()[0].outcome != "ok"
    assert cursor(office) == before
    assert living(office) > 20, "what came is kept"
    office.world.faults.clear()
    pull(office)
    assert (living(office), cursor(office)) == (40, "2026-11-21T12:05:00.000Z")


def test_failures_13_rows_that_move_while_an_increment_is_read_are_asked_for_again(
    make_office: MakeOffice,
) -> None:
    """Rows are sorted by timestamp: one that is edited during the listing moves to the end, and others move up."""
    office = make_office(only=("smartflo-contacts",))
    office.world.settings.change({"smartflo.page_cap": 5, "smartflo.order": "updated"})
    pull(office)
    start = office.world.now()
    for n in range(20):
        add(office, n + 1, updated_at=start + 60 * n)
    office.clock.pass_(hours=2)
    moving = iter([1, 2, 3, 4])

    def move(*_: Any) -> None:
        if (number := next(moving, None)) is not None:
            add(office, number)

    office.at_start = lambda env: setattr(env, "progress", move)
    office.run()
    assert living(office) < 20, "some were passed over"
    pull(office)
    assert living(office) == 20
    assert cursor(office) == text(office.world.now())


def test_a_vendor_whose_lists_never_hold_still_moves_the_cursor_in_the_end(office: Office) -> None:
    office.world.settings.change({"smartflo.page_cap": 5, "smartflo.order": "shuffled"})
    office.clock.pass_(hours=1)
    for n in range(100, 120):
        add(office, n)
    for _ in range(8):
        pull(office)
    assert cursor(office) == text(office.world.now())
    assert living(office) >= 38


# -- how `updated_after` is read


@pytest.mark.parametrize("zone", ["utc", "ist"])
def test_updated_after_in_each_zone(office: Office, zone: str) -> None:
    office.world.settings.change({"smartflo.updated_after_zone": zone})
    told: list[str] = []
    for n in range(6):
        add(office, 100 + n)
        mark = office.mark()
        told += pull(office).notices
        assert asked_after(office, mark)
        assert living(office) == 21 + n
        office.clock.pass_(hours=2)
    assert not told, "five and a half hours too many do not mean that the filter is ignored"


def test_a_filter_that_is_ignored_is_said_once(office: Office) -> None:
    office.world.settings.change({"smartflo.updated_after_honoured": False})
    told: list[str] = []
    office.clock.pass_(hours=8)
    add(office, 99)
    pull(office)
    seq = office.log_size()
    for _ in range(8):
        office.clock.pass_(hours=8)
        told += pull(office).notices
    assert [text for text in told if "ignores updated_after" in text] == told
    assert len(told) == 1
    assert office.log_size() == seq, "rows that did not change cost no write"
    office.world.smartflo_delete(7, hard=True)
    pull(office)
    assert living(office) == 21, "and it does not count as a whole listing"


@pytest.mark.parametrize("reading", ["ignored", "refused"])
def test_a_form_of_updated_after_that_the_vendor_does_not_read(make_office: MakeOffice, reading: str) -> None:
    office = make_office(
        only=("smartflo-contacts",),
        smartflo={"token": "sandbox-token", "updated_after_format": "%d/%m/%Y %H:%M:%S"},
    )
    office.world.settings.change({"smartflo.bad_updated_after": reading})
    add(office, 1)
    pull(office)
    before = cursor(office)
    office.clock.pass_(hours=1)
    add(office, 2)
    run = office.run()[0]
    if reading == "ignored":
        assert (run.outcome, living(office)) == ("ok", 2)
        return
    assert run.outcome != "ok" and "/v1/contacts" in run.problem
    assert (cursor(office), living(office)) == (before, 1)


@pytest.mark.parametrize("offset", ["+0000", "+0530"])
def test_stamps_with_each_offset(make_office: MakeOffice, offset: str) -> None:
    office = make_office(only=("smartflo-contacts",))
    office.world.settings.change({"smartflo.stamp_offset": offset, "smartflo.group_stamp_offset": offset})
    add(office, 1)
    pull(office)
    assert cursor(office) == text(office.world.now())


@pytest.mark.parametrize("over", ["clamped", "refused"])
def test_a_limit_of_a_hundred_that_is_too_many(make_office: MakeOffice, over: str) -> None:
    office = make_office(only=("smartflo-contacts",))
    office.world.settings.change(
        {"smartflo.max_limit": 7, "smartflo.default_limit": 5, "smartflo.over_limit": over}
    )
    for n in range(20):
        add(office, n + 1)
    run = pull(office)
    assert (living(office), len(run.notices)) == (20, int(over == "refused"))
    office.clock.pass_(hours=1)
    add(office, 30)
    mark = office.mark()
    assert (pull(office).notices, living(office)) == ([], 21)
    assert all(request.status == 200 for request in office.world.requests(mark)), "it is not tried again"
