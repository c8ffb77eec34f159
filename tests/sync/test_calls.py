"""Calls of both vendors: pulled by windows, kept for good, and never believed gone by an empty or failing list."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from syncer.cli.evidence import proof_sentence
from syncer.sync.proof import CallbackProof, callback_proof
from tests.grid import sample
from tests.office import Office
from tests.sync.conftest import MakeOffice

ON = {"enabled": True, "since": "3d"}
JOBS = ("telecmi-calls", "smartflo-calls")
PHONE = "+919200000777"


@pytest.fixture
def office(make_office: MakeOffice) -> Office:
    off = {"enabled": False}
    return make_office(
        telecmi={"calls": ON, "voicemails": off}, smartflo={"token": "sandbox-token", "calls": ON}, only=JOBS
    )


def settings_of(office: Office, **telecmi: Any) -> None:
    for name, value in telecmi.items():
        setattr(office.world.settings.telecmi, name, value)


def state(office: Office, phone: str = PHONE) -> list[tuple[Any, ...]]:
    return office.sql("SELECT state, missed, closed_by FROM callbacks WHERE phone_e164 = ?", phone)


def proof(office: Office) -> CallbackProof:
    found = office.read(callback_proof, office.settings, office.clock.now())
    assert found is not None
    return found


def test_calls_are_off_until_the_config_asks_for_them(make_office: MakeOffice) -> None:
    office = make_office()
    office.world.calls_seed(telecmi=5, smartflo=5, days=2)
    assert not {run.job for run in office.run()} & set(JOBS)
    assert office.sql("SELECT count(*) FROM calls") == [(0,)]


@pytest.mark.parametrize("calls_as", ["documented", "strings", "numbers"])
@pytest.mark.parametrize("calls_limit", ["ignored", "honoured"])
def test_all_calls_arrive_once_and_a_second_pull_writes_nothing(
    office: Office, calls_as: str, calls_limit: str
) -> None:
    settings_of(office, calls_as=calls_as, calls_limit=calls_limit)
    office.world.settings.smartflo.calls_as = "strings" if calls_as == "strings" else "numbers"
    office.world.calls_seed(telecmi=120, smartflo=60, days=2.9)
    assert [(run.outcome, run.added) for run in office.run()] == [("ok", 120), ("ok", 60)]
    shown = office.sql(
        "SELECT source_table, source_id, direction, outcome, started_at, phone_e164 FROM calls"
    )
    size = office.log_size()
    office.clock.pass_(minutes=10)
    assert [(run.outcome, run.added, run.changed) for run in office.run()] == [("ok", 0, 0)] * 2
    assert office.log_size() == size == 180, "calls are logged as inserts only"
    assert (
        office.sql("SELECT source_table, source_id, direction, outcome, started_at, phone_e164 FROM calls")
        == shown
    )
    assert all(row[5].startswith("+9192") for row in shown)
    assert office.sql("SELECT count(*) FROM smartflo_calls WHERE raw LIKE '%?%' OR raw LIKE '%token%'") == [
        (0,)
    ]


def test_a_pull_of_one_new_call_is_cheap(office: Office) -> None:
    office.world.calls_seed(telecmi=600, smartflo=300, days=2.9)
    office.run()
    for _ in range(3):
        office.clock.pass_(minutes=10)
        office.world.call_insert("missed", PHONE)
        office.world.smartflo_call_insert(PHONE)
        telecmi, smartflo = office.run()
        assert (telecmi.added, smartflo.added) == (1, 1)
        assert telecmi.requests <= 8 and smartflo.requests <= 2


def test_windows_of_ten_minutes_cost_no_more(make_office: MakeOffice) -> None:
    small = {"enabled": True, "window": "10m", "since": "6h"}
    office = make_office(
        telecmi={"calls": small}, smartflo={"token": "sandbox-token", "calls": small}, only=JOBS
    )
    office.world.calls_seed(telecmi=60, smartflo=30, days=0.25)
    office.run()
    office.world.call_insert("missed", PHONE)
    office.world.smartflo_call_insert(PHONE)
    telecmi, smartflo = office.run()
    assert (telecmi.added, smartflo.added) == (1, 1)
    assert telecmi.requests <= 8 and smartflo.requests <= 2


def test_a_missed_call_waits_until_the_other_vendor_answers(office: Office) -> None:
    office.world.call_insert("missed", PHONE)
    office.run()
    assert state(office) == [("open", 1, None)]
    office.clock.pass_(minutes=5)
    office.world.smartflo_call_insert(PHONE, direction="clicktocall", status="answered")
    office.run()
    assert state(office) == [("done", 0, "call")]
    assert office.sql("SELECT direction FROM calls WHERE provider = 'smartflo'") == [("out",)]


def test_a_late_record_is_found_by_the_next_pull(office: Office) -> None:
    office.run()
    began = int(office.clock.now().timestamp() * 1000)
    office.clock.pass_(hours=3)
    office.run()
    office.world.call_insert("missed", PHONE, time=began)
    office.world.smartflo_call_insert("+919200000778", time=began)
    office.clock.pass_(minutes=5)
    office.run()
    assert state(office) == state(office, "+919200000778") == [("open", 1, None)]


def test_one_id_in_two_lists_is_an_answered_call(office: Office) -> None:
    settings_of(office, calls_missed_too=True)
    office.world.call_insert("answered", PHONE)
    office.world.call_insert("missed", "+919200000778")
    assert office.run()[0].outcome == "ok"
    assert office.sql("SELECT kind FROM telecmi_calls WHERE phone_e164 = ? ORDER BY kind", PHONE) == [
        ("answered",),
        ("missed",),
    ]
    assert office.sql("SELECT outcome FROM calls WHERE phone_e164 = ?", PHONE) == [("answered",)]
    assert (state(office), state(office, "+919200000778")) == ([], [("open", 1, None)])


def test_a_failing_list_keeps_no_other_out_and_its_end_is_named(office: Office) -> None:
    office.run()
    assert proof(office).doubts == ()
    verified = proof(office).verified_to
    office.clock.pass_(minutes=5)
    office.world.call_insert("missed", PHONE)
    office.fault("/v2/answered", kind="http", status=400, times=None)
    telecmi, _ = office.run()
    assert telecmi.outcome != "ok" and "/v2/answered" in telecmi.problem
    assert state(office) == [("open", 1, None)], "the other lists were read"
    found = proof(office)
    assert found.verified_to == verified
    assert "telecmi-calls of telecmi.main" in found.doubts[0]
    assert "cannot be trusted past" in proof_sentence(found, 1, office.clock.now())


BAD = ("html200", "junk", "half_json", "list", "null", "code_only", "zero_rows", "drop")


@pytest.mark.parametrize("path, bad", sample(3, ["/v2/missed", "/v2/answered", "/v1/call/records"], BAD))
def test_a_bad_answer_closes_nothing_and_is_not_believed(
    make_office: MakeOffice, path: str, bad: str
) -> None:
    calls, off = {"calls": {"enabled": True, "since": "6h"}}, {"voicemails": {"enabled": False}}
    office = make_office(telecmi=calls | off, smartflo={"token": "sandbox-token", **calls}, only=JOBS)
    office.world.call_insert("missed", PHONE)
    office.world.call_insert("answered", "+919200000778")
    office.world.smartflo_call_insert("+919200000779")
    office.run()
    before = office.sql("SELECT * FROM callbacks ORDER BY 1")
    office.fault(path, kind=bad, times=None)
    office.clock.pass_(minutes=5)
    runs = office.run()
    assert [run.outcome for run in runs] != ["ok", "ok"], (path, bad)
    assert office.sql("SELECT * FROM callbacks ORDER BY 1") == before
    assert proof(office).doubts
    office.world.faults.clear()
    office.clock.pass_(minutes=20)  # past any pause
    assert [run.outcome for run in office.run()] == ["ok", "ok"]
    assert proof(office).doubts == ()


@pytest.mark.parametrize("known", [1, 12])
def test_an_empty_list_closes_nothing_and_is_not_believed(office: Office, known: int) -> None:
    for n in range(known):
        office.world.call_insert("missed", f"+9192000007{n:02d}")
    office.run()
    settings_of(office, calls_empty=["missed", "answered"])
    for _ in range(3):
        office.clock.pass_(minutes=5)
        telecmi, _ = office.run()
        assert telecmi.outcome == "incomplete" and "lists no missed calls" in telecmi.problem
    assert office.sql("SELECT count(*) FROM callbacks WHERE state = 'open'") == [(known,)]
    assert "Somebody may wait" in proof_sentence(proof(office), 0, office.clock.now())
    assert office.sql("SELECT count(*) FROM telecmi_calls WHERE deleted_at IS NOT NULL") == [(0,)]
    settings_of(office, calls_empty=[])
    assert office.run()[0].outcome == "ok" and proof(office).doubts == ()


def test_calls_that_the_vendor_clears_away_are_kept(office: Office) -> None:
    office.world.calls_seed(telecmi=40, smartflo=20, days=2.9)
    office.run()
    office.world.calls_expire(int((office.clock.now() - timedelta(days=1)).timestamp() * 1000))
    office.clock.pass_(hours=1)
    office.run(full=True)
    assert office.sql("SELECT count(*) FROM calls") == [(60,)]


def test_a_record_without_a_time_is_set_aside(office: Office) -> None:
    office.world.call_insert("missed", PHONE, sent="yesterday")
    office.run()
    assert office.sql("SELECT reason FROM set_aside") == [("time cannot be read",)]
    assert office.sql("SELECT count(*) FROM telecmi_calls") == [(0,)]


def test_a_link_to_a_recording_loses_its_token_wherever_it_is_kept(office: Office) -> None:
    secret = "https://recordings.example.com/file/1.mp3?token=very-secret-token"
    office.world.smartflo_call_insert(PHONE, fields={"recording_url": secret, "call_flow": [{"url": secret}]})
    office.world.smartflo_call_insert(PHONE, fields={"recording_url": secret, "date": "not a date"})
    office.run()
    for table in ("smartflo_calls", "set_aside"):
        (raw,) = office.sql(f"SELECT raw FROM {table}")[0]
        assert "file/1.mp3" in raw and "very-secret-token" not in raw
    assert b"very-secret-token" not in office.path.read_bytes()
