"""Pages are asked for ahead of their turn: as many at once as the account may, and none for nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from syncer.core.model import Content, Page
from syncer.cycle import jobs
from syncer.cycle.env import Store
from syncer.remote.telecmi import Telecmi
from tests.office import Office

USER_LIST = "/v2/user/contact/get"
DIRECTORY = "/v3/contact/get"


class Line(httpx.AsyncBaseTransport):
    """A network on which every answer takes its time, and that knows what is under way."""

    def __init__(self, inner: httpx.AsyncBaseTransport, events: list[str]) -> None:
        self.inner = inner
        self.events = events
        self.flying = self.most = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0)  # as aiohttp hands what it writes to a task
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


class TellingStore(Store):
    """A store that notes each write."""

    def __init__(self, inner: Store, events: list[str]) -> None:
        super().__init__(inner.db)
        self.events = events

    async def judged(self, judge: Any, write: Any, *, large: bool) -> float:
        held = await super().judged(judge, write, large=large)
        self.events.append(f"wrote {write.__name__}")
        return held


class TellingClient(Telecmi):
    """A client whose pages note when they are read."""

    def __init__(self, inner: Telecmi, events: list[str]) -> None:
        self.inner = inner
        self.events = events

    async def fetch_directory_page(self, cursor: str | None, limit: int = 100) -> Page:
        return self.telling(await self.inner.fetch_directory_page(cursor, limit))

    async def fetch_user_contacts_page(self, page: int) -> Page:
        return self.telling(await self.inner.fetch_user_contacts_page(page))

    def telling(self, page: Page) -> Page:
        def read() -> Content:
            self.events.append("read")
            return Content(page.rows, page.set_aside, page.digest)

        return Page(read, page.size, total=page.total, cursor=page.cursor)


def pull(office: Office, job: str) -> tuple[Line, list[str], Any]:
    """Run one job over such a line."""
    events: list[str] = []
    line: list[Line] = []

    async def work() -> Any:
        env = office.env()
        env.store = TellingStore(env.store, events)
        door = env.telecmi["main"].door
        door.transport = Line(door.transport, events)
        line.append(door.transport)
        source = env.telecmi["main"]
        env.telecmi = {"main": replace(source, client=TellingClient(source.client, events))}
        try:
            spec = next(one for one in jobs.specs(office.settings) if one.job == job)
            return await jobs.run_job(env, spec, person=True)
        finally:
            await env.aclose()

    run = asyncio.run(work())
    return line[0], events, run


@pytest.fixture
def make(tmp_path: Path) -> Any:
    made: list[Office] = []

    def office(people: Callable[[Office], None], **telecmi: Any) -> Office:
        one = Office(tmp_path, telecmi={"token": "sandbox-user-token", **telecmi})
        people(one)
        made.append(one)
        return one

    yield office
    for one in made:
        one.close()


def in_the_list(count: int) -> Callable[[Office], None]:
    def fill(office: Office) -> None:
        for n in range(count):
            office.world.user_contact_upsert(9200000000 + n, {"name": f"Asha Rao{n}"})

    return fill


def in_the_directory(count: int) -> Callable[[Office], None]:
    def fill(office: Office) -> None:
        for n in range(count):
            office.world.contact_insert(
                {"phone_no": f"9192{n:08d}", "first_name": "Asha", "last_name": f"Rao{n}"}
            )

    return fill


@pytest.mark.parametrize("concurrency", [1, 4, 16])
def test_as_many_pages_at_once_as_the_account_may_have(make: Any, concurrency: int) -> None:
    office = make(in_the_list(95), concurrency=concurrency)
    line, events, run = pull(office, "telecmi-user-contacts")
    assert (run.outcome, run.seen) == ("ok", 95)
    assert line.most == min(
        concurrency, 10
    )  # ten pages are left when the first one has told how many there are
    # ten pages, the empty one after them, the first one again: nothing was asked for in vain
    assert events.count(f"asked {USER_LIST}") == 12


def test_the_next_page_of_a_cursor_is_under_way_while_rows_are_written(make: Any) -> None:
    office = make(in_the_directory(900))
    _, events, run = pull(office, "telecmi-contacts")
    assert (run.outcome, run.seen) == ("ok", 900)
    written = events.index("wrote absorb_batch")
    before = events[:written]
    assert before.count(f"asked {DIRECTORY}") > before.count(f"answered {DIRECTORY}")
    assert events.count(f"asked {DIRECTORY}") == 10  # nine pages, and the first one again


@pytest.mark.parametrize(
    ("job", "people", "path"),
    [
        ("telecmi-contacts", in_the_directory(900), DIRECTORY),
        ("telecmi-user-contacts", in_the_list(95), USER_LIST),
    ],
)
def test_the_next_request_goes_out_before_a_page_is_read(make: Any, job: str, people: Any, path: str) -> None:
    _, events, run = pull(make(people, concurrency=1), job)
    assert (run.outcome, run.seen) == ("ok", 900 if path == DIRECTORY else 95)
    reads = [at for at, what in enumerate(events) if what == "read"]
    # Of a numbered list only the first page tells how many there are; nothing follows the last, nor a second look.
    for number in range(0 if path == DIRECTORY else 1, len(reads) - 2):
        assert events[: reads[number]].count(f"asked {path}") == number + 2


def test_what_came_before_a_page_that_fails_is_kept_and_what_came_after_it_is_not(make: Any) -> None:
    office = make(in_the_list(95), concurrency=8)
    office.fault(USER_LIST, "html502", match={"page": 4}, times=None)
    _, _, run = pull(office, "telecmi-user-contacts")
    assert run.outcome == "incomplete" and run.seen == 30
    assert office.one("SELECT count(*) FROM telecmi_user_contacts") == 30
    office.world.faults.clear()
    _, _, run = pull(office, "telecmi-user-contacts")
    assert (run.outcome, run.added) == ("ok", 65)


def test_a_listing_that_ends_early_lets_go_of_what_it_asked_for(make: Any) -> None:
    office = make(in_the_list(95), concurrency=8)
    office.world.settings.change({"telecmi.count_mode": "off_by_one"})
    line, _, run = pull(office, "telecmi-user-contacts")
    assert run.seen == 95 and line.flying == 0
