"""Pages are requested ahead of their turn: as many at once as the account may have, and none needlessly."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import pytest

from syncer.core.model import Page
from syncer.remote import rows as read
from syncer.sandbox import World, running
from syncer.sync.env import Store
from syncer.sync.run import Run
from tests.office import Office
from tests.sync.conftest import MakeOffice

USER_LIST = "/v2/user/contact/get"
DIRECTORY = "/v3/contact/get"


class Line(httpx.AsyncBaseTransport):
    """A network on which every answer takes its time, and that knows what is under way."""

    def __init__(self, inner: httpx.AsyncBaseTransport, events: list[str]) -> None:
        self.inner = inner
        self.events = events
        self.flying = self.most = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.flying += 1
        self.most = max(self.most, self.flying)
        self.events.append(f"asked {request.url.path}")
        try:
            for _ in range(20):
                await asyncio.sleep(0)
            response = await self.inner.handle_async_request(request)
            await response.aread()
        finally:
            self.flying -= 1
        self.events.append(f"answered {request.url.path}")
        return response


class RecordingStore(Store):
    """A store that records each write of listed rows."""

    def __init__(self, inner: Store, events: list[str]) -> None:
        super().__init__(inner.db)
        self.events = events

    async def apply(self, fn: Any, *args: Any, **kw: Any) -> Any:
        made = await super().apply(fn, *args, **kw)
        self.events.append("wrote")
        return made


def pull(office: Office, job: str) -> tuple[Line, list[str], Run]:
    """Run one job over such a line."""
    events: list[str] = []
    line = Line(office.network, events)
    office.network = line
    office.at_start = lambda env: setattr(env, "store", RecordingStore(env.store, events))
    run = office.run(job)[0]
    office.network = line.inner
    return line, events, run


@pytest.fixture
def make(make_office: MakeOffice) -> Any:
    def office(people: Callable[[World, int], object], count: int, **telecmi: Any) -> Office:
        one = make_office(telecmi={"token": "sandbox-user-token", **telecmi})
        for n in range(count):
            people(one.world, n)
        return one

    return office


def in_the_list(world: World, n: int) -> None:
    world.user_contact_upsert(9200000000 + n, {"name": f"Asha Rao{n}"})


def in_the_directory(world: World, n: int) -> None:
    world.contact_insert({"phone_no": f"9192{n:08d}", "first_name": "Asha", "last_name": f"Rao{n}"})


@pytest.mark.parametrize("concurrency", [1, 4, 16])
def test_as_many_pages_at_once_as_the_account_may_have(make: Any, concurrency: int) -> None:
    office = make(in_the_list, 95, concurrency=concurrency)
    line, events, run = pull(office, "telecmi-user-contacts")
    assert (run.outcome, run.seen) == ("ok", 95)
    assert line.most == min(concurrency, 10)  # ten pages are left after the first one has shown the total
    # ten pages, the empty one after them, and the first one again: no unnecessary requests
    assert events.count(f"asked {USER_LIST}") == 12


def test_the_next_page_of_a_cursor_is_under_way_while_rows_are_written(make: Any) -> None:
    office = make(in_the_directory, 900)
    _, events, run = pull(office, "telecmi-contacts")
    assert (run.outcome, run.seen) == ("ok", 900)
    written = events.index("wrote")
    before = events[:written]
    assert before.count(f"asked {DIRECTORY}") > before.count(f"answered {DIRECTORY}")
    assert events.count(f"asked {DIRECTORY}") == 10  # nine pages, and the first one again


class Port(httpx.AsyncHTTPTransport):
    """Real HTTP to a port of this machine, whatever the address says."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.port = httpx.URL(url).port

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.url = request.url.copy_with(port=self.port)
        return await super().handle_async_request(request)


def test_the_page_at_the_next_cursor_is_requested_before_rows_are_parsed(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = make(in_the_directory, 500)
    parse, pages = read.read_page, 0

    def requests() -> int:
        return sum(1 for entry in office.world.requests() if entry.path == DIRECTORY)

    def while_the_vendor_answers(rows: Sequence[Any], *args: Any, **kw: Any) -> Page:
        nonlocal pages
        pages += 1
        give_up = time.monotonic() + 5
        while pages == 1 and requests() == 1 and time.monotonic() < give_up:
            time.sleep(0.001)  # blocks this thread, so only a request that is already sent can arrive
        assert requests() == 2 if pages == 1 else requests() <= pages + 1
        return parse(rows, *args, **kw)

    with running(office.world) as url:
        office.network = Port(url)
        monkeypatch.setattr(read, "read_page", while_the_vendor_answers)
        run = office.contacts()
    assert (run.outcome, run.seen) == ("ok", 500)
    assert pages == requests() == 6  # five pages, and the first one again


def test_what_came_before_a_page_that_fails_is_kept_and_what_came_after_it_is_not(make: Any) -> None:
    office = make(in_the_list, 95, concurrency=8)
    office.fault(USER_LIST, "html502", match={"page": 4}, times=None)
    _, _, run = pull(office, "telecmi-user-contacts")
    assert run.outcome == "incomplete" and run.seen == 30
    assert office.one("SELECT count(*) FROM telecmi_user_contacts") == 30
    office.world.faults.clear()
    _, _, run = pull(office, "telecmi-user-contacts")
    assert (run.outcome, run.added) == ("ok", 65)


def test_a_listing_that_ends_early_lets_go_of_what_it_asked_for(make: Any) -> None:
    office = make(in_the_list, 95, concurrency=8)
    office.world.settings.change({"telecmi.count_mode": "off_by_one"})
    line, _, run = pull(office, "telecmi-user-contacts")
    assert run.seen == 95 and line.flying == 0


def test_refused_credentials_let_go_of_what_was_asked_for_before_rows_are_written(make: Any) -> None:
    office = make(in_the_list, 495, concurrency=2)
    office.fault(USER_LIST, "expire_token", match={"page": 4})
    office.fault(USER_LIST, "hang", match={"page": 5}, seconds=0.05)
    office.fault("/v2/user/login", "bad_token", times=None)

    class SlowStore(RecordingStore):
        async def apply(self, fn: Any, *args: Any, **kw: Any) -> Any:
            self.events.append("writes")
            await asyncio.sleep(0.1)
            return await super().apply(fn, *args, **kw)

    office.at_start = lambda env: setattr(env, "store", SlowStore(env.store, events))
    events: list[str] = []
    office.network = Line(office.network, events)
    run = office.run("telecmi-user-contacts")[0]
    assert run.outcome == "failed" and "the login was refused" in run.problem
    assert office.one("SELECT count(*) FROM telecmi_user_contacts") == 30
    assert events[events.index("writes") :] == ["writes", "wrote"]
