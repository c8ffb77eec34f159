"""Voicemails: windows that leave no gap, late arrivals, outages, stamps in the future."""

from __future__ import annotations

import random
from typing import Any

import httpx
import pytest

from syncer.core import windows
from syncer.core.windows import DAY, HOUR
from syncer.store.read import coverage
from syncer.sync.run import Run
from tests.office import Office, VirtualClock
from tests.sync.conftest import MakeOffice

MINUTE = 60_000

#: Nobody has written this many windows for so long a time, joined as they are.
FEW = 90


def open_office(make_office: MakeOffice, **job: Any) -> Office:
    return make_office(only=("telecmi-voicemails",), telecmi={"voicemails": job})


def now_ms(office: Office) -> int:
    return round(office.world.now() * 1000)


def leave(office: Office, ago: int = 0, **more: Any) -> str:
    """Somebody leaves a voicemail, `ago` milliseconds ago."""
    return office.world.voicemail_insert(now_ms(office) - ago, 919_200_000_001, **more)


def pull(office: Office) -> Run:
    """One pull that has to be fine."""
    run = office.run()[0]
    assert run.outcome == "ok", run.problem
    return run


def have(office: Office, name: str) -> bool:
    return bool(office.one("SELECT 1 FROM telecmi_voicemails WHERE voicename = ?", name))


def verified(office: Office) -> list[tuple[int, int]]:
    """The spans that were read whole, merged."""
    spans = office.read(coverage.load_windows, "main", "telecmi_voicemails")
    assert len(spans) <= FEW, "spans of one day are joined"
    assert all(span.start < span.end for span in spans)
    return windows.union((span.start, span.end) for span in spans)


def asked(office: Office, after: int) -> list[tuple[int, int]]:
    """The windows that were asked for since, in order."""
    out: list[tuple[int, int]] = []
    for request in office.world.requests(after):
        if request.path == "/v2/voicemail" and request.body["page"] == 1:
            out.append((request.body["start_date"], request.body["end_date"]))
    return out


def check_coverage(office: Office, since_ms: int) -> None:
    """The verified windows are everything from `since` to now less a minute."""
    merged = verified(office)
    assert len(merged) == 1, merged
    assert merged[0][0] <= since_ms + 1000
    assert merged[0][1] >= now_ms(office) - MINUTE


# -- coverage


@pytest.mark.parametrize(
    "job", [{}, {"window": "6h", "overlap": "6h"}, {"window": "3d", "overlap": "48h"}], ids=str
)
def test_the_windows_leave_no_gap(make_office: MakeOffice, job: dict[str, Any]) -> None:
    office = open_office(make_office, since="10d", **job)
    chance = random.Random(4)
    start = now_ms(office) - 10 * DAY
    for _ in range(25):
        pull(office)
        check_coverage(office, start)
        office.clock.pass_(minutes=chance.choice([5, 5, 60, 400, 3000]))


def test_since_may_be_a_date(make_office: MakeOffice) -> None:
    office = open_office(make_office, since="2026-11-01")
    kept = leave(office, 20 * DAY)
    older = leave(office, 21 * DAY)
    pull(office)
    assert have(office, kept) and not have(office, older)
    check_coverage(office, now_ms(office) - 20 * DAY - 12 * HOUR)
    mark = office.mark()
    office.clock.pass_(days=2)
    pull(office)
    days = {(start + 1) // DAY for start, _ in asked(office, mark)}
    assert len(days) <= 6, "what was read is not read again"


def test_a_quiet_day_costs_few_calls_and_leaves_one_span_a_day(make_office: MakeOffice) -> None:
    office = open_office(make_office, since="3d")
    pull(office)
    mark = office.mark()
    for _ in range(48):
        office.clock.pass_(minutes=30)
        pull(office)
    assert len(asked(office, mark)) <= 48 * 3 + 10
    with office.db.read() as conn:
        assert len(coverage.load_windows(conn, "main", "telecmi_voicemails")) <= 8


# -- what shows late, or too early


@pytest.mark.parametrize("filtered_by", ["time", "received"])
@pytest.mark.parametrize("shift", [0, 19_800_000])
def test_a_stamp_in_the_future_hides_nothing(make_office: MakeOffice, filtered_by: str, shift: int) -> None:
    office = open_office(make_office, since="10d")
    office.world.settings.change({"telecmi.time_shift_ms": shift, "telecmi.voicemail_filter_by": filtered_by})
    for _ in range(8):
        name = leave(office, 1000)
        pull(office)
        assert have(office, name)
        office.clock.pass_(minutes=197)
    name = leave(office, HOUR)
    office.clock.pass_(days=5)  # nobody was there
    pull(office)
    assert have(office, name)


@pytest.mark.parametrize("bounds", ["inclusive", "end_exclusive", "start_exclusive", "exclusive"])
def test_voicemails_on_the_edge_of_a_window(make_office: MakeOffice, bounds: str) -> None:
    office = open_office(make_office, since="1d", window="1h")
    office.world.settings.change({"telecmi.voicemail_bounds": bounds})
    hour = now_ms(office) // HOUR * HOUR
    names = [
        office.world.voicemail_insert(hour - n * HOUR + ms, 919_200_000_001)
        for n in range(1, 20)
        for ms in (-1, 0, 1)
    ]
    pull(office)
    assert office.one("SELECT count(*) FROM telecmi_voicemails") == len(names)


@pytest.mark.parametrize("hours", [1, 6, 20, 23])
def test_one_that_shows_hours_late_arrives_with_the_next_pull(make_office: MakeOffice, hours: int) -> None:
    office = open_office(make_office, since="3d")
    pull(office)
    name = leave(office, visible_at=office.world.now() + hours * 3600)
    office.clock.pass_(hours=hours, minutes=-5)
    pull(office)
    assert not have(office, name)
    office.clock.pass_(minutes=6)
    pull(office)
    assert have(office, name)


@pytest.mark.parametrize(
    "days, overlap", [(0.5, "6h"), (3, "6h"), (29.9, "6h"), (3, "24h"), (8, "24h"), (29.9, "24h")]
)
def test_one_that_shows_up_to_thirty_days_late_is_found(
    make_office: MakeOffice, days: float, overlap: str
) -> None:
    office = open_office(make_office, since="30d", overlap=overlap)
    pull(office)
    office.clock.pass_(hours=7)
    name = leave(office, visible_at=office.world.now() + days * 86_400)
    requests = runs_made = 0
    while not have(office, name) and runs_made < 18:
        office.clock.pass_(hours=44)
        requests += pull(office).requests
        runs_made += 1
    assert have(office, name)
    assert requests <= runs_made * 24 + 30


def test_a_recheck_is_read_once(make_office: MakeOffice) -> None:
    office = open_office(make_office, since="2d")
    pull(office)
    mark = office.mark()
    for _ in range(40):
        office.clock.pass_(days=1)
        pull(office)
    first_day = (now_ms(office) - 40 * DAY) // DAY * DAY
    again = [window for window in asked(office, mark) if window == (first_day - 1, first_day + DAY)]
    assert 3 <= len(again) <= 6, "the recent readings, then after a day, seven and thirty"


# -- outages


def test_an_outage_of_three_weeks_is_caught_up_newest_first(make_office: MakeOffice) -> None:
    office = open_office(make_office, since="30d")
    pull(office)
    names = []
    for _ in range(21):
        office.clock.pass_(days=1)
        names.append(leave(office, 3 * HOUR))
    mark = office.mark()
    pull(office)
    assert all(have(office, name) for name in names)
    check_coverage(office, now_ms(office) - 30 * DAY)
    days = list(dict.fromkeys((start + 1) // DAY for start, _ in asked(office, mark)))
    recheck = days.index(min(days))
    assert len(days) > 20 and days[:recheck] == sorted(days[:recheck], reverse=True)


def test_a_catch_up_that_was_interrupted_goes_on_where_it_was(make_office: MakeOffice) -> None:
    office = open_office(make_office, since="30d")
    mark = office.mark()
    for n in (10, 12):
        day = (now_ms(office) - n * DAY) // DAY * DAY
        office.fault("/v2/voicemail", "html502", times=4, match={"contains": str(day - 1)})
    assert office.run()[0].outcome != "ok"
    read = {window for window in asked(office, mark)[:-4] if window[1] < now_ms(office) - 2 * DAY}
    office.restart()
    mark = office.mark()
    assert office.run()[0].outcome != "ok", "the twelfth day fails"
    pull(office)
    assert not read & set(asked(office, mark)), "windows that were verified are not read again"
    check_coverage(office, now_ms(office) - 30 * DAY)


def test_what_came_before_an_interruption_is_kept(make_office: MakeOffice) -> None:
    office = open_office(make_office, since="5d")
    names = [leave(office, n * MINUTE) for n in range(1, 41)]
    office.fault("/v2/voicemail", "drop", times=None, match={"page": 3})
    assert office.run()[0].outcome == "incomplete"
    assert sum(have(office, name) for name in names) == 20
    assert not any(start < now_ms(office) - HOUR < end for start, end in verified(office))
    office.world.faults.clear()
    pull(office)
    assert all(have(office, name) for name in names)


# -- what the vendor lists


def test_a_voicemail_is_kept_whatever_upstream_still_lists(make_office: MakeOffice) -> None:
    office = open_office(make_office, since="3d")
    names = [leave(office, n * HOUR) for n in range(1, 6)]
    pull(office)
    office.world.voicemail_delete(names[0])
    with office.unchanged():
        for _ in range(3):
            pull(office)


def test_failures_01_an_empty_answer_is_doubted_for_a_day_and_then_believed(make_office: MakeOffice) -> None:
    office = open_office(make_office, since="3d")
    names = [leave(office, n * HOUR) for n in range(1, 8)]
    pull(office)
    for name in names:
        office.world.voicemail_delete(name)
    outcomes = []
    for _ in range(6):
        office.clock.pass_(hours=5)
        outcomes.append(office.run()[0].outcome)
    assert outcomes[:4] == ["incomplete"] * 4
    assert outcomes[-1] == "ok"
    assert all(have(office, name) for name in names)
    later = leave(office)
    pull(office)
    assert have(office, later)
    check_coverage(office, now_ms(office) - 3 * DAY)


@pytest.mark.parametrize("reading", ["error400", "clamped", "clamped_end"])
@pytest.mark.parametrize("hours", [8, 20])
def test_the_widest_window(make_office: MakeOffice, reading: str, hours: int) -> None:
    """A window that is too wide is refused, or silently cut at either end. The width that works is remembered."""
    office = open_office(make_office, since="4d")
    office.world.settings.change(
        {"telecmi.voicemail_widest_s": hours * 3600 + 1, "telecmi.voicemail_too_wide": reading}
    )
    names = [leave(office, n * HOUR) for n in range(1, 90)]
    run = pull(office)
    assert [name for name in names if not have(office, name)] == []
    assert len(run.notices) == 1
    check_coverage(office, now_ms(office) - 4 * DAY)
    mark = office.mark()
    for _ in range(6):
        later = leave(office)
        assert not pull(office).notices
        assert have(office, later)
        office.clock.pass_(hours=5)
    assert all(
        request.code == 200 for request in office.world.requests(mark) if request.path == "/v2/voicemail"
    )
    assert max(end - start for start, end in asked(office, mark)) <= hours * HOUR + 1


def test_a_window_that_is_answered_for_whole_is_not_doubted_for_long(make_office: MakeOffice) -> None:
    """The look costs a few requests once, and is done with when three windows agreed with their halves."""
    office = open_office(make_office, since="10d")
    for n in range(1, 240, 3):
        leave(office, n * HOUR)
    first = pull(office)
    assert first.requests <= 10 * 3 + 8 * 4
    mark = office.mark()
    for _ in range(4):
        office.clock.pass_(hours=7)
        pull(office)
    assert all(end - start > HOUR for start, end in asked(office, mark))
    assert len(set(asked(office, mark))) <= 4 * 3 + 2
    settled = "SELECT notes LIKE '%whole_ms%' FROM sync_jobs WHERE job = 'telecmi-voicemails'"
    assert office.one(settled)
    assert not first.notices


class Passing(httpx.AsyncBaseTransport):
    """A network on which each call takes a second."""

    def __init__(self, inner: httpx.AsyncBaseTransport, clock: VirtualClock) -> None:
        self.inner, self.clock = inner, clock

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Pass it on, a second later."""
        self.clock.pass_(seconds=1)
        return await self.inner.handle_async_request(request)


def test_a_voicemail_that_comes_in_while_windows_are_compared_is_no_sign_of_a_cut(
    make_office: MakeOffice,
) -> None:
    office = open_office(make_office, since="2d")
    office.network = Passing(office.network, office.clock)
    for n in range(1, 40):  # now and then some more show
        leave(office, n * HOUR, visible_at=office.world.now() + 7 * (n % 9))
    run = office.run()[0]
    assert run.requests > 20
    assert not [text for text in run.notices if "cuts" in text]
    assert office.one("SELECT notes NOT LIKE '%widest_ms%' FROM sync_jobs WHERE job = ?", run.job)


def test_a_request_that_is_refused_for_another_reason_ends_the_run(make_office: MakeOffice) -> None:
    office = open_office(make_office, since="30d")
    office.fault("/v2/voicemail", "code", code=400, times=None)
    run = office.run()[0]
    assert run.outcome != "ok" and run.requests <= 8
    assert verified(office) == []


def test_a_masked_caller_and_an_odd_time_are_taken(make_office: MakeOffice) -> None:
    office = open_office(make_office, since="3d")
    office.world.voicemail_insert(now_ms(office) - HOUR, "+91xxxxxx2999", "1795262400123_a.mp3")
    pull(office)
    assert office.sql("SELECT from_number, phone_e164 FROM telecmi_voicemails") == [("+91xxxxxx2999", None)]
