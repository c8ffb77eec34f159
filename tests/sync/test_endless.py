"""Listings without end: they are ended, with a reason, before they fill the disk or the memory."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from syncer.core import limits
from syncer.sync import jobs
from syncer.sync.run import Run
from tests.office import Office
from tests.sync.conftest import MakeOffice

#: Job -> its call, the key of its rows, its table.
LISTS = {
    "telecmi-contacts": ("/v3/contact/get", "contacts", "telecmi_contacts"),
    "telecmi-user-contacts": ("/v2/user/contact/get", "contacts", "telecmi_user_contacts"),
    "telecmi-voicemails": ("/v2/voicemail", "voicemail", "telecmi_voicemails"),
    "smartflo-contacts": ("/v1/contacts", "results", "smartflo_contacts"),
}


class Endless(httpx.AsyncBaseTransport):
    """A vendor whose list never ends, and always has new rows."""

    def __init__(
        self, path: str, key: str, *, count: int | None, page: int = 500, weight: int = 0, cursor: int = 0
    ) -> None:
        self.path, self.key, self.count, self.page, self.weight = path, key, count, page, weight
        self.cursor = cursor  #: how long each cursor is
        self.rows = self.calls = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/login"):
            return httpx.Response(200, json={"code": 200, "token": "t", "success": True, "access_token": "t"})
        listed: list[Any] = []
        if request.url.path == self.path:
            self.calls += 1
            listed = [self.row(self.rows + n) for n in range(self.page)]
            self.rows += self.page
        body = {
            "code": 200,
            self.key: listed,
            "size": len(listed),
            "page_state": f"{self.rows:0{self.cursor}}",
        }
        if self.count is not None:
            body["count"] = self.count if listed else 0
        return httpx.Response(200, content=json.dumps(body).encode())

    def row(self, n: int) -> dict[str, Any]:
        """A row that came never before, with ids for every list."""
        return {
            "contact_id": f"c-{n}", "phone_no": str(919_200_000_000 + n), "first_name": "Asha", "last_name": "Example",
            "mobile": 9_200_000_000 + n, "time": 1_795_000_000_000, "voicename": f"v-{n}.wav", "from": 919_200_000_001,
            "id": n, "phone_number": str(919_200_000_000 + n), "name": "x" * self.weight,
        }  # fmt: skip


def run(office: Office, vendor: Endless, job: str) -> Run:
    office.network = vendor
    return office.run(job)[0]


@pytest.mark.parametrize(
    ("job", "counts"),
    [
        ("telecmi-contacts", True), ("telecmi-user-contacts", True), ("telecmi-voicemails", True),
        pytest.param("smartflo-contacts", False, marks=pytest.mark.soak),
    ],
)  # fmt: skip
def test_a_list_that_goes_on_for_ever_is_ended(make_office: MakeOffice, job: str, counts: bool) -> None:
    path, key, table = LISTS[job]
    office = make_office()
    vendor = Endless(path, key, count=600 if counts else None, page=500 if counts else 5000)
    most = 2 * 600 if counts else limits.MANY
    done = run(office, vendor, job)
    assert done.outcome == "incomplete" and jobs.exit_code([done]) == 1
    assert "the listing does not end" in done.problem and "the next runs read on" in done.problem
    assert most - vendor.page <= office.one(f"SELECT count(*) FROM {table}") <= most
    assert vendor.rows <= most + 10 * vendor.page
    assert office.one(f"SELECT count(*) FROM {table} WHERE deleted_at IS NOT NULL") == 0


@pytest.mark.parametrize("counts", [True, False])
def test_the_same_rows_at_ever_new_cursors_end_after_one_request_more_than_needed(
    make_office: MakeOffice, counts: bool
) -> None:
    office = make_office(telecmi={"token": "a-token"})

    class Repeating(Endless):
        def row(self, n: int) -> dict[str, Any]:
            return super().row(n % 500)

    vendor = Repeating("/v3/contact/get", "contacts", count=500 if counts else None)
    done = run(office, vendor, "telecmi-contacts")
    assert done.outcome == "ok" and office.one("SELECT count(*) FROM telecmi_contacts") == 500
    # One page, two that repeat it, the first one again, and at most one that was asked for ahead.
    assert vendor.calls in (4, 5) and done.requests == vendor.calls


def test_a_list_that_really_is_so_long_is_read_within_a_few_runs(make_office: MakeOffice) -> None:
    office = make_office()

    class Long(Endless):
        def row(self, n: int) -> dict[str, Any]:
            return super().row(n % 2_500)

    for _ in range(3):
        vendor = Long("/v2/user/contact/get", "contacts", count=600, page=100)
        run(office, vendor, "telecmi-user-contacts")
    assert office.one("SELECT count(*) FROM telecmi_user_contacts") == 2_500


@pytest.mark.parametrize("job", LISTS)
def test_a_page_past_any_size_is_not_taken_over(make_office: MakeOffice, job: str) -> None:
    path, key, table = LISTS[job]
    office = make_office()
    vendor = Endless(path, key, count=100_000, page=100, weight=100_000)
    done = run(office, vendor, job)
    assert done.outcome == "incomplete" and "a page of 10.0 MB, more than 8.0 MB" in done.problem
    assert vendor.calls <= 2 and office.one(f"SELECT count(*) FROM {table}") == 0


def test_heavy_rows_end_a_list_long_before_it_is_long(make_office: MakeOffice) -> None:
    office = make_office()
    vendor = Endless("/v1/contacts", "results", count=None, page=10, weight=300_000)
    done = run(office, vendor, "smartflo-contacts")
    assert "the listing does not end" in done.problem
    assert vendor.rows * vendor.weight < 1.2 * limits.LONG
    assert office.path.stat().st_size < 200_000_000


@pytest.mark.parametrize(
    ("cursor", "calls", "rows", "reason"),
    [
        (3_000_000, 15, 1300, "the listing does not end: 1,400 rows (42."),
        (9_000_000, 2, 0, "a page of 9.0 MB, more than 8.0 MB"),
    ],
)
def test_cursors_of_megabytes_end_a_list(
    make_office: MakeOffice, cursor: int, calls: int, rows: int, reason: str
) -> None:
    office = make_office()
    vendor = Endless("/v3/contact/get", "contacts", count=100_000, page=100, cursor=cursor)
    done = run(office, vendor, "telecmi-contacts")
    assert done.outcome == "incomplete" and reason in done.problem
    assert vendor.calls <= calls and office.one("SELECT count(*) FROM telecmi_contacts") == rows


def test_a_disk_that_is_nearly_full_takes_no_more_rows_and_edits_go_on(make_office: MakeOffice) -> None:
    office = make_office(only=("telecmi-contacts", "telecmi-push"))
    office.world.seed(contacts=20, voicemails=0, smartflo=0, user_contacts=0)
    office.run()
    office.disk = lambda folder: (100_000_000_000, 199_000_000)
    assert all(run.outcome == "ok" for run in office.run()), "a quiet listing writes nothing"
    office.world.contact_insert({"phone_no": "919200000099", "first_name": "Asha", "last_name": "Example"})
    office.sql("UPDATE telecmi_contacts SET company = 'Acme Example' WHERE id = 1")
    pull, push = office.run()
    assert pull.outcome == "failed" and jobs.exit_code([pull]) == 1
    assert pull.problem.startswith(
        "the disk of the database is nearly full (199.0 MB free, 200.0 MB are kept"
    )
    assert push.outcome == "ok" and office.states() == ["done"]
    assert office.one("SELECT count(*) FROM telecmi_contacts") == 20
    office.disk = lambda folder: (100_000_000_000, 201_000_000)
    assert all(run.outcome == "ok" for run in office.run())
    assert office.one("SELECT count(*) FROM telecmi_contacts") == 21
