"""`received_at` by evidence: what a pull learns of the vendor's clocks, and what becomes of the rows."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from syncer.core.normalise import utc_text
from syncer.store.write import received
from tests.office import Office
from tests.sync.conftest import MakeOffice

MINUTE = 60_000
SHIFT = 330 * MINUTE


@pytest.fixture
def office(make_office: MakeOffice) -> Office:
    return make_office(only=("telecmi-voicemails",), telecmi={"voicemails": {"since": "3d"}})


def now_ms(office: Office) -> int:
    return round(office.world.now() * 1000)


def leave(office: Office, ago: int = MINUTE, *, name_shift: int = 0, **more: Any) -> str:
    """A voicemail that was left `ago`; its name says `name_shift` later."""
    at = now_ms(office) - ago
    name = f"{(at + name_shift) // 1000}_1111113_{office.world.now():.0f}-{ago}.mp3"
    return office.world.voicemail_insert(at, 919_200_000_001, name, **more)


def pull(office: Office) -> None:
    [run] = office.run()
    assert run.outcome == "ok", run.problem


def clock(office: Office) -> str:
    with office.db.read() as conn:
        return received.clocks(conn).get("main", "unknown")


def received_at(office: Office, name: str) -> str | None:
    found = office.one("SELECT received_at FROM telecmi_voicemails WHERE voicename = ?", name)
    return None if found is None else str(found)


def logged_updates(office: Office) -> int:
    return int(office.one("SELECT count(*) FROM change_log WHERE kind = 'update'"))


def test_nothing_is_proven_where_both_stamps_agree(office: Office) -> None:
    for _ in range(4):
        name = leave(office)
        pull(office)
        assert received_at(office, name) == utc_text(now_ms(office) - MINUTE)
        office.clock.pass_(minutes=5)
    assert clock(office) == "unknown"


def test_a_time_ahead_of_the_vendors_clock_proves_the_name_right_at_once(office: Office) -> None:
    old = leave(office, 30 * 60 * MINUTE, shift_ms=SHIFT)
    new = leave(office, shift_ms=SHIFT)
    pull(office)
    assert clock(office) == "voicename"
    assert received_at(office, new) == utc_text((now_ms(office) - MINUTE) // 1000 * 1000)
    assert received_at(office, old) == utc_text((now_ms(office) - 30 * 60 * MINUTE) // 1000 * 1000)
    assert logged_updates(office) == 0, "upstream is as it was"


def test_a_name_that_runs_behind_proves_the_time_right_with_the_next_poll(office: Office) -> None:
    pull(office)
    office.clock.pass_(minutes=5)
    name = leave(office, name_shift=-SHIFT)
    pull(office)
    assert clock(office) == "time"
    assert received_at(office, name) == utc_text(now_ms(office) - MINUTE)


def test_a_first_pull_proves_nothing_by_what_came_in_since(office: Office) -> None:
    name = leave(office, name_shift=-SHIFT)
    pull(office)
    assert clock(office) == "unknown"
    assert received_at(office, name) == utc_text(now_ms(office) - MINUTE)


def test_a_poll_after_more_than_an_hour_proves_nothing(office: Office) -> None:
    pull(office)
    office.clock.pass_(minutes=61)
    leave(office, name_shift=-SHIFT)
    pull(office)
    assert clock(office) == "unknown"


def test_a_window_that_was_not_read_whole_is_no_verification(office: Office) -> None:
    pull(office)
    office.clock.pass_(minutes=40)
    leave(office, 30 * MINUTE)
    office.fault("/v2/voicemail", "html502", times=None, match={"page": 1})
    assert office.run()[0].outcome != "ok"
    office.world.faults.clear()
    office.clock.pass_(minutes=30)
    leave(office, name_shift=-SHIFT)
    pull(office)
    assert clock(office) == "unknown", "what was verified last was verified 70 minutes ago"


def test_a_clock_of_ours_that_is_wrong_proves_nothing_wrong(make_office: MakeOffice) -> None:
    """A hardware clock in local time, read as UTC: what came in a minute ago seems hours old."""
    office = make_office(only=("telecmi-voicemails",), telecmi={"voicemails": {"since": "3d"}})
    true = office.world.now
    office.world.now = lambda: true() - 5.5 * 3600  # type: ignore[method-assign]
    for _ in range(3):
        at = office.world.voicemail_insert(now_ms(office) - MINUTE, 919_200_000_001, shift_ms=SHIFT)
        pull(office)
        office.clock.pass_(minutes=5)
    assert clock(office) == "voicename"
    assert received_at(office, at) == utc_text((now_ms(office) - 6 * MINUTE) // 1000 * 1000)


def test_what_was_proven_is_overturned_by_three_newer_proofs_in_a_row(office: Office) -> None:
    pull(office)
    office.clock.pass_(minutes=5)
    first = leave(office, name_shift=-SHIFT)
    pull(office)
    assert clock(office) == "time"
    for n in range(3):
        office.clock.pass_(minutes=5)
        leave(office, shift_ms=SHIFT)
        pull(office)
        pull(office)  # the same voicemail proves nothing again
        assert clock(office) == ("voicename" if n == 2 else "time")
    assert received_at(office, first) == utc_text((now_ms(office) - 16 * MINUTE - SHIFT) // 1000 * 1000)
    assert logged_updates(office) == 0


def test_what_was_proven_outlives_a_restart(office: Office) -> None:
    leave(office, shift_ms=SHIFT)
    pull(office)
    office.restart()
    office.clock.pass_(minutes=400)
    name = leave(office, 380 * MINUTE, shift_ms=SHIFT)
    pull(office)
    assert received_at(office, name) == utc_text((now_ms(office) - 380 * MINUTE) // 1000 * 1000)


@pytest.mark.parametrize(
    "form",
    ["milliseconds", "seconds", "seconds as text", "fraction", "ISO in UTC", "ISO with an offset"],
)
def test_a_time_in_another_form_is_read(office: Office, form: str) -> None:
    at = now_ms(office) - 60 * MINUTE
    moment = datetime.fromtimestamp(at / 1000, UTC)
    sent: Any = {
        "milliseconds": at,
        "seconds": at // 1000,
        "seconds as text": str(at // 1000),
        "fraction": at / 1000,
        "ISO in UTC": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "ISO with an offset": (moment + timedelta(hours=5.5)).strftime("%Y-%m-%d %H:%M:%S+05:30"),
    }[form]
    name = office.world.voicemail_insert(at, 919_200_000_001, "greeting.mp3", sent=sent)
    pull(office)
    assert received_at(office, name) == utc_text(at)
    assert office.one("SELECT time FROM telecmi_voicemails") == at
    assert json.loads(office.one("SELECT raw FROM telecmi_voicemails"))["time"] == sent, "kept as it came"


@pytest.mark.parametrize("sent", ["soon", "2026-11-21 10:00:00", 0, 4_070_908_800_000, 4_070_908_800])
def test_what_cannot_be_a_time_is_undated(office: Office, sent: Any) -> None:
    """Not even by a stamp of the year 2099, which would keep it on top of every list."""
    name = office.world.voicemail_insert(now_ms(office) - MINUTE, 919_200_000_001, "greeting.mp3", sent=sent)
    pull(office)
    assert received_at(office, name) is None
    office.clock.pass_(days=1)
    pull(office)
    assert received_at(office, name) is None


@pytest.mark.parametrize("sent", ["soon", 4_070_908_800_000])
def test_the_name_dates_what_has_no_time_that_can_be_read(office: Office, sent: Any) -> None:
    name = leave(office, sent=sent)
    pull(office)
    assert received_at(office, name) == utc_text((now_ms(office) - MINUTE) // 1000 * 1000)


def test_rows_of_an_older_version_follow(office: Office) -> None:
    """It dated by the names, kept seconds as they came, and no text."""
    at = now_ms(office) - 600 * MINUTE
    rows = [
        ("greeting.mp3", at // 1000, at // 1000, None),
        ("hello.mp3", None, "2026-11-20T12:00:00Z", None),
        (f"{(at - SHIFT) // 1000}_x.mp3", at, at, utc_text(at - SHIFT)),
        ("future.mp3", 4_070_908_800_000, 4_070_908_800_000, "2099-01-01T00:00:00.000Z"),
        ("odd.mp3", None, "soon", None),
    ]
    with office.db.write() as conn:
        for voicename, time, sent, dated in rows:
            conn.exec_driver_sql(
                "INSERT INTO telecmi_voicemails "
                "(account, voicename, time, received_at, first_seen_at, last_changed_at, raw) "
                "VALUES ('main', ?, ?, ?, ?, ?, ?)",
                (voicename, time, dated, *(utc_text(at + MINUTE),) * 2, json.dumps({"time": sent})),
            )
    before = office.one("SELECT max(seq) FROM change_log")
    pull(office)
    stamps = office.sql("SELECT time, received_at FROM telecmi_voicemails ORDER BY id")
    assert stamps == [
        (at, utc_text(at)),
        (1_795_176_000_000, "2026-11-20T12:00:00.000Z"),
        (at, utc_text(at)),
        (4_070_908_800_000, None),
        (None, None),
    ]
    assert office.one("SELECT max(seq) FROM change_log") == before


def test_many_older_rows_follow_block_by_block(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(received, "BLOCK", 3)
    names = [leave(office, n * 61 * MINUTE, shift_ms=SHIFT) for n in range(7, 20)]
    pull(office)
    assert clock(office) == "unknown"
    leave(office, shift_ms=SHIFT)
    pull(office)
    for n, name in zip(range(7, 20), names, strict=True):
        assert received_at(office, name) == utc_text((now_ms(office) - n * 61 * MINUTE) // 1000 * 1000)


def test_a_kill_while_older_rows_follow_is_made_up_for(office: Office) -> None:
    name = leave(office, 600 * MINUTE, shift_ms=SHIFT)
    pull(office)
    office.own(
        "UPDATE voicemail_clocks SET clock = 'voicename', follows = 0"
    )  # the verdict is on record, the rows are not written yet
    pull(office)
    assert received_at(office, name) == utc_text((now_ms(office) - 600 * MINUTE) // 1000 * 1000)


def test_a_time_that_the_vendor_corrects_is_followed(office: Office) -> None:
    name = leave(office, 60 * MINUTE)
    pull(office)
    office.world.voicemail_delete(name)
    office.world.voicemail_insert(now_ms(office) - 90 * MINUTE, 919_200_000_001, name)
    pull(office)
    assert received_at(office, name) == utc_text(now_ms(office) - 90 * MINUTE)
    assert office.sql("SELECT field FROM change_log WHERE kind = 'update'") == [("time",)]
