"""What the vendors do not document about their lists, in each interpretation: ends, caps, totals, order, noise."""

from __future__ import annotations

import json
from typing import Any

import pytest

from syncer.sync.run import Run
from tests.office import Office
from tests.sync.conftest import MakeOffice

ROWS = 15

TABLES = {
    (DIRECTORY := "telecmi-contacts"): "telecmi_contacts",
    (USERS := "telecmi-user-contacts"): "telecmi_user_contacts",
    (FLO := "smartflo-contacts"): "smartflo_contacts",
    (VOICEMAILS := "telecmi-voicemails"): "telecmi_voicemails",
}


def fill(office: Office, rows: int = ROWS) -> None:
    """The same number of rows in each list."""
    world = office.world
    now = round(world.now() * 1000)
    for n in range(rows):
        world.contact_insert(
            {"phone_no": f"91920000{n:04d}", "first_name": "Asha", "last_name": f"Rao {n}", "company": "X"}
        )
        world.user_contact_upsert(f"920000{n:04d}", {"name": f"Asha Rao {n}"})
        world.voicemail_insert(now - (n + 1) * 60_000, 919_300_000_000 + n)
        world.smartflo_upsert(n + 1, {"phone_number": f"+91940000{n:04d}", "name": f"Ravi Iyer {n}"})
    for n in range(3):
        world.group_upsert(n + 1)


@pytest.fixture
def office(make_office: MakeOffice) -> Office:
    """An office with filled lists and small pages; nothing is pulled yet."""
    made = make_office(telecmi={"voicemails": {"since": "1d"}}, only=tuple(TABLES))
    made.world.settings.change({"telecmi.page_cap": 4, "smartflo.page_cap": 4})
    fill(made)
    return made


def pull(office: Office, job: str) -> Run:
    return office.run(job, full=True)[0]


def living(office: Office, job: str) -> int:
    return int(office.one(f"SELECT count(*) FROM {TABLES[job]} WHERE deleted_at IS NULL"))


def take_one(office: Office, job: str) -> None:
    """Somebody upstream removes the last row of a list."""
    world = office.world
    if job == DIRECTORY:
        world.contact_delete(list(world.org().contacts)[-1])
    elif job == USERS:
        world.user_contact_delete(world.user().contacts[-1]["mobile"])
    else:
        world.smartflo_delete(ROWS, hard=True)


def check(office: Office, job: str, *, deletions: bool = True, first: tuple[str, ...] = ("ok",)) -> list[Run]:
    """All rows arrive, quiet pulls write nothing, and a real deletion is found within three listings."""
    runs = [pull(office, job)]
    assert runs[0].outcome in first, runs[0].problem
    assert living(office, job) == ROWS
    runs += [pull(office, job) for _ in range(2)]
    with office.unchanged():
        runs.append(pull(office, job))
    assert [run.outcome for run in runs[2:]] == ["ok"] * 2, [run.problem for run in runs]
    assert living(office, job) == ROWS
    if job == VOICEMAILS:
        return runs
    take_one(office, job)
    runs += [pull(office, job) for _ in range(3)]
    assert [run.outcome for run in runs[-3:]] == ["ok"] * 3, [run.problem for run in runs]
    assert living(office, job) == ROWS - deletions
    return runs


def notices(runs: list[Run]) -> list[str]:
    return [text for run in runs for text in run.notices]


# -- how `/v3/contact/get` ends


@pytest.mark.parametrize("end", ["absent", "null", "empty", "same"])
@pytest.mark.parametrize("then_empty", [False, True])
def test_each_end_of_the_directory_ends_it(office: Office, end: str, then_empty: bool) -> None:
    office.world.settings.change({"telecmi.cursor_end": end, "telecmi.cursor_then_empty": then_empty})
    runs = check(office, DIRECTORY)
    assert runs[0].certificate is not None and runs[0].certificate.complete
    assert runs[0].requests <= 9


@pytest.mark.parametrize("kind", ["keyset", "offset"])
def test_failures_14_a_cursor_that_leads_back_ends_the_directory(office: Office, kind: str) -> None:
    office.world.settings.change({"telecmi.cursor_loop": True, "telecmi.cursor_kind": kind})
    runs = check(office, DIRECTORY)
    assert max(run.requests for run in runs) <= 14


def test_a_cursor_that_expires_breaks_the_listing_off_and_removes_nothing(office: Office) -> None:
    pull(office, DIRECTORY)
    office.world.settings.change({"telecmi.cursor_ttl_s": 0.1})
    office.fault("/v3/contact/get", "html502", match={"page": 3})  # its retry takes longer than that
    run = pull(office, DIRECTORY)
    assert run.outcome == "incomplete" and living(office, DIRECTORY) == ROWS


# -- pages


@pytest.mark.parametrize("job", TABLES)
def test_failures_14_pages_that_are_cut_short_end_nothing(office: Office, job: str) -> None:
    office.world.settings.change({"telecmi.short_page": 2, "smartflo.short_page": 2})
    check(office, job)


@pytest.mark.parametrize("job", TABLES)
def test_failures_14_a_page_that_is_served_twice(office: Office, job: str) -> None:
    office.world.settings.change({"telecmi.repeat_page": 2, "smartflo.repeat_page": 2})
    runs = check(office, job)
    assert max(run.requests for run in runs) <= 20


@pytest.mark.parametrize("past", ["empty", "repeat_last", "error400"])
@pytest.mark.parametrize(
    "job, count",
    [
        (USERS, "exact"),
        (USERS, "absent"),
        (USERS, "off_by_one"),
        (FLO, "exact"),
        (VOICEMAILS, "exact"),
        (VOICEMAILS, "absent"),
    ],
)
def test_what_a_page_past_the_end_answers(office: Office, job: str, past: str, count: str) -> None:
    office.world.settings.change(
        {
            "telecmi.past_end": past,
            "smartflo.past_end": past,
            "telecmi.count_mode": count,
            "telecmi.voicemail_count_mode": count,
        }
    )
    # Without a total only an empty page proves the end of a list that cannot be asked by id.
    proven = past == "empty" or job == FLO or count == "exact"
    runs = check(office, job, deletions=proven)
    assert max(run.requests for run in runs) <= 30


@pytest.mark.parametrize("past", ["repeat_last", "error400"])
def test_a_page_past_the_end_of_a_single_page(make_office: MakeOffice, past: str) -> None:
    office = make_office(telecmi={"voicemails": {"since": "1d"}})
    office.world.settings.change({"telecmi.past_end": past, "smartflo.past_end": past})
    fill(office, 4)
    for _ in range(2):
        assert [run.outcome for run in office.run(full=True)] == ["ok"] * 5
    assert [living(office, job) for job in TABLES] == [4] * 4


# -- totals and order


@pytest.mark.parametrize("mode", ["exact", "off_by_one", "page", "zero", "absent", "string"])
@pytest.mark.parametrize("job", [DIRECTORY, USERS, VOICEMAILS])
def test_a_count_in_each_reading(office: Office, job: str, mode: str) -> None:
    office.world.settings.change({"telecmi.count_mode": mode, "telecmi.voicemail_count_mode": mode})
    runs = check(office, job, first=("ok", "incomplete"))
    assert runs[0].outcome == "ok" or job == VOICEMAILS
    told = [text for text in notices(runs) if "count" in text]
    if mode == "off_by_one":
        assert len(told) == 1, "said once"
    elif mode != "zero":
        assert not told


@pytest.mark.parametrize("order", ["reverse", "shuffled"])
@pytest.mark.parametrize("job", TABLES)
def test_the_order_of_rows_in_each_reading(office: Office, job: str, order: str) -> None:
    voicemails = "oldest" if order == "reverse" else order
    office.world.settings.change(
        {"telecmi.order": order, "smartflo.order": order, "telecmi.voicemail_order": voicemails}
    )
    if order == "reverse":
        check(office, job)
        return
    # Voicemails: a still list takes 46 calls (31 windows, some of them in halves); this one is read again.
    most = 46 + 4 * 3 if job == VOICEMAILS else 40
    for _ in range(8):  # a shuffled listing proves nothing, but everything comes in time
        run = pull(office, job)
        assert run.requests <= most
    assert living(office, job) == ROWS
    if job in (USERS, VOICEMAILS):
        return  # there is no call that asks for one of them
    take_one(office, job)
    for _ in range(6):
        pull(office, job)
    assert living(office, job) == ROWS - 1, "asked for by its id"


def test_smartflo_rows_by_their_stamp(office: Office) -> None:
    office.world.settings.change({"smartflo.order": "updated"})
    check(office, FLO)


# -- asking for one row


@pytest.mark.parametrize("by_id", ["works", "ignored", "404", "500"])
def test_asking_by_id_in_each_reading(office: Office, by_id: str) -> None:
    office.world.settings.change({"telecmi.by_id": by_id})
    check(office, DIRECTORY)


@pytest.mark.parametrize("by_id", ["works", "404"])
def test_a_row_that_is_there_when_asked_for_is_kept(office: Office, by_id: str) -> None:
    """The listing and its total leave it out: only a request by its id shows that it is live."""
    office.world.settings.change({"telecmi.by_id": by_id})
    pull(office, DIRECTORY)
    contact = list(office.world.org().contacts.values())[4]
    for _ in range(3):
        office.world.org().hold_back(contact, 0.0, 50)
        assert pull(office, DIRECTORY).outcome == "incomplete"
    assert living(office, DIRECTORY) == ROWS


# -- rows that cannot be understood, and noise


def test_rows_that_cannot_be_understood_are_set_aside_and_remove_nothing(office: Office) -> None:
    pull(office, USERS)
    office.world.user().contacts[5]["mobile"] = None
    for _ in range(3):
        run = pull(office, USERS)
        assert (run.outcome, run.removed) == ("ok", 0)
    assert living(office, USERS) == ROWS
    assert office.sql("SELECT job, reason FROM set_aside") == [(USERS, "mobile is missing")]


def test_rows_set_aside_are_those_of_the_last_whole_listing(office: Office) -> None:
    """A row that was fixed upstream is removed, and one that differs on each read is kept once."""
    pull(office, USERS)
    row = office.world.user().contacts[5]
    mobile, row["mobile"] = row["mobile"], None
    for n in range(4):
        row["info"] = f"read {n}"
        pull(office, USERS)
    assert office.one("SELECT count(*) FROM set_aside") <= 4, "a listing with such a row proves less"
    row["mobile"] = mobile
    assert pull(office, USERS).outcome == "ok"
    assert office.one("SELECT count(*) FROM set_aside") == 0


@pytest.mark.parametrize("job", [DIRECTORY, USERS, FLO])
def test_failures_08_a_field_that_changes_on_every_read_is_no_change(office: Office, job: str) -> None:
    pull(office, job)
    office.world.settings.change(
        {"telecmi.volatile_field": "fetched_at", "smartflo.volatile_field": "fetched_at"}
    )
    pull(office, job)  # the field appears: that alone is one of the three reads
    seq = office.log_size()
    stamps = office.sql(f"SELECT id, last_changed_at FROM {TABLES[job]}")
    told: list[str] = []
    written: list[bool] = []
    for _ in range(10):
        before = office.everything()
        told += pull(office, job).notices
        written.append(office.everything() != before)
        office.clock.pass_(minutes=10)
    assert office.log_size() == seq
    assert office.sql(f"SELECT id, last_changed_at FROM {TABLES[job]}") == stamps
    names = [text for text in told if "fetched_at" in text]
    assert len(names) == (2 if job == FLO else 1), "once a list"
    assert written[3:] == [False] * 7


def test_failures_08_voicemails_too(make_office: MakeOffice) -> None:
    office = make_office(only=(VOICEMAILS,))

    def stamp(path: str, asked: dict[str, Any], body: Any) -> Any:
        for row in body.get("voicemail", ()):
            row["fetched_at"] = office.world.tick()
        return body

    office.rewrite = stamp
    for n in range(12):
        office.world.voicemail_insert(round(office.world.now() * 1000) - n * 60_000, 919_300_000_000 + n)
    office.run()
    seq = office.log_size()
    told: list[str] = []
    written: list[bool] = []
    for _ in range(10):
        before = office.everything()
        told += office.run()[0].notices
        written.append(office.everything() != before)
    assert (office.log_size(), len(told), written[3:]) == (seq, 1, [False] * 7)


def test_failures_08_an_incremental_pull_learns_it_too(office: Office) -> None:
    office.run(FLO)
    office.world.settings.change({"smartflo.volatile_field": "fetched_at"})
    seq = office.log_size()
    for n in range(8):
        office.world.smartflo_upsert(n + 1, {"name": f"New name {n}"})
        office.run(FLO)
    assert office.log_size() == seq + 8


def test_a_bulk_change_of_one_field_is_no_noise(office: Office) -> None:
    """A field that people see is never left out, however often all rows of it change."""
    pull(office, DIRECTORY)
    for n in range(6):
        for contact_id in list(office.world.org().contacts):
            office.world.contact_update(contact_id, {"company": f"Firm {n}"})
        for row in office.world.user().contacts:
            row["tag"] = f"tag {n}"
        assert pull(office, DIRECTORY).changed == ROWS
        pull(office, USERS)
    assert office.one("SELECT count(*) FROM telecmi_contacts WHERE company = 'Firm 5'") == ROWS
    assert office.one("SELECT count(*) FROM telecmi_user_contacts WHERE tag = 'tag 5'") == ROWS


def test_a_new_field_in_a_row_is_kept_and_no_change(office: Office) -> None:
    for job in TABLES:
        pull(office, job)
    office.world.settings.change(
        {"telecmi.extra_fields": {"vip": True}, "smartflo.extra_fields": {"vip": True}}
    )
    seq = office.log_size()
    for job in (DIRECTORY, USERS, FLO):
        pull(office, job)
        assert office.one(f"SELECT count(*) FROM {TABLES[job]} WHERE raw LIKE '%vip%'") == ROWS
    assert office.log_size() == seq


@pytest.mark.parametrize(
    "switches",
    [
        {"telecmi.code_as_string": True},
        {"telecmi.http_status_real": True},
        {"telecmi.message_key": "message", "telecmi.message_shape": "object"},
        {"telecmi.empty_shown": "absent"},
        {"telecmi.empty_shown": "null"},
        {"telecmi.empty_shown": "empty"},
        {"smartflo.ids_as_strings": True},
        {"smartflo.stamp_offset": "+0530", "smartflo.group_stamp_offset": "+0000"},
    ],
    ids=str,
)
def test_the_same_rows_in_another_envelope_or_spelling_are_the_same(
    office: Office, switches: dict[str, Any]
) -> None:
    office.run(full=True)
    counts = {job: living(office, job) for job in TABLES}
    seq = office.log_size()
    office.world.settings.change(switches)
    for _ in range(2):
        assert [run.outcome for run in office.run(full=True)] == ["ok"] * 4
    assert {job: living(office, job) for job in TABLES} == counts
    assert office.log_size() == seq, office.sql("SELECT * FROM change_log WHERE seq > ?", seq)[:3]


def test_a_quiet_cycle_writes_nothing_but_the_record(make_office: MakeOffice) -> None:
    office = make_office()
    office.world.seed(contacts=40, voicemails=20, smartflo=20, user_contacts=20)
    for _ in range(2):
        office.run()
        office.clock.pass_(minutes=10)
    with office.unchanged():
        for n in range(6):
            runs = office.run(full=n % 2 == 1)
            assert [run.outcome for run in runs] == ["ok"] * 5
            assert not sum(run.added + run.changed + run.removed + run.raw_only for run in runs)
            office.clock.pass_(minutes=10)
            office.restart()


def test_the_certificate_is_recorded(office: Office) -> None:
    pull(office, DIRECTORY)
    listing = office.one("SELECT listing FROM sync_runs ORDER BY id DESC LIMIT 1")
    shown = {"verdict": "complete", "total_first": 15, "distinct": 15, "first_page_same": True}
    assert json.loads(listing).items() >= shown.items()
