"""What fills `outbox`: triggers, in the transaction of what is to be sent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from syncer.core.normalise import utc_text
from syncer.store.read import outbox as reading
from syncer.store.write import forget, outbox
from tests.store.conftest import Mirror

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
EVENTS = ("voicemail", "missed-call", "conflict", "rejected", "held", "stale", "recovered")


def at(**ago: float) -> str:
    return utc_text(NOW - timedelta(**ago))


@pytest.fixture
def told(mirror: Mirror) -> Mirror:
    """A mirror with a target that wants everything of the last day."""
    wants(mirror, *(("desk", event, 86400) for event in EVENTS))
    return mirror


def wants(mirror: Mirror, *wanted: tuple[str, str, int]) -> None:
    mirror.write(outbox.register, wanted)


def queued(mirror: Mirror, target: str = "desk") -> list[tuple[Any, ...]]:
    return mirror.sql(
        "SELECT event, table_name, row_id, state FROM outbox WHERE target = ? ORDER BY id", target
    )


def voicemail(mirror: Mirror, name: str, received: str | None, phone: str = "+919200000001") -> int:
    return mirror.own(
        "INSERT INTO telecmi_voicemails (account, voicename, phone_e164, received_at, first_seen_at) "
        "VALUES ('main', ?, ?, ?, ?)",
        name, phone, received, at(),
    )  # fmt: skip


def call(mirror: Mirror, kind: str, number: str, started: str) -> int:
    return mirror.own(
        "INSERT INTO telecmi_calls (account, kind, cmiuid, phone_e164, started_at, first_seen_at) "
        "VALUES ('main', ?, ?, '+919200000001', ?, ?)",
        kind, number, started, at(),
    )  # fmt: skip


def smartflo(mirror: Mirror, direction: str, status: str | None, number: str) -> int:
    return mirror.own(
        "INSERT INTO smartflo_calls (account, smartflo_id, direction, status, phone_e164, started_at, first_seen_at) "
        "VALUES ('flo', ?, ?, ?, '+919200000001', ?, ?)",
        number, direction, status, at(minutes=1), at(),
    )  # fmt: skip


def test_without_a_target_nothing_is_written(mirror: Mirror) -> None:
    voicemail(mirror, "v1", at(minutes=1))
    call(mirror, "missed", "c1", at(minutes=1))
    assert mirror.sql("SELECT count(*) FROM outbox") == [(0,)]


def test_a_voicemail_of_the_last_day_is_sent_and_history_is_not(told: Mirror) -> None:
    wants(told, ("desk", "voicemail", 86400), ("patient", "voicemail", 7 * 86400), ("other", "held", 60))
    new = voicemail(told, "v1", at(hours=23.9))
    old = voicemail(told, "v2", at(hours=24.1))
    unknown = voicemail(told, "v3", None)
    assert [row for _, _, row, _ in queued(told)] == [new, unknown]
    assert [row for _, _, row, _ in queued(told, "patient")] == [new, old, unknown]
    assert queued(told, "other") == []
    told.own("UPDATE telecmi_voicemails SET received_at = ?", at(hours=1))  # a clock that was learned
    assert len(queued(told)) == 2


def test_an_incoming_call_that_nobody_answered(told: Mirror) -> None:
    missed = call(told, "missed", "c1", at(minutes=5))
    call(told, "answered", "c2", at(minutes=5))
    call(told, "missed", "c2", at(minutes=5))  # answered under the same id
    call(told, "out_missed", "c3", at(minutes=5))
    call(told, "missed", "c4", at(days=2))
    flo = smartflo(told, " Inbound", "Missed", "f1")
    smartflo(told, "inbound", "answered", "f2")
    smartflo(told, "outbound", "missed", "f3")
    unknown = smartflo(told, "inbound", None, "f4")
    assert queued(told) == [
        ("missed-call", "telecmi_calls", missed, "queued"),
        ("missed-call", "smartflo_calls", flo, "queued"),
        ("missed-call", "smartflo_calls", unknown, "queued"),
    ]


def test_a_call_whose_answer_is_listed_later_is_not_sent(told: Mirror) -> None:
    call(told, "missed", "c1", at(minutes=5))
    with told.db.read() as conn:
        one = reading.head(conn, "desk")
        assert one is not None
        assert reading.data(conn, one) is not None
    call(told, "answered", "c1", at(minutes=5))
    assert told.read(reading.data, one) is None


@pytest.mark.parametrize("state", ["conflict", "rejected", "held"])
def test_a_change_that_waits_for_a_person_is_sent_once(told: Mirror, state: str) -> None:
    row = told.contact()
    number = told.change(row, "update", "queued")
    for value in (state, "queued", state):
        told.own("UPDATE change_queue SET state = ? WHERE id = ?", value, number)
    assert queued(told) == [(state, "change_queue", number, "queued")]
    born = told.change(row, "update", state)
    assert queued(told)[1:] == [(state, "change_queue", born, "queued")]


def test_a_change_that_a_person_s_statement_makes_is_sent(told: Mirror) -> None:
    """The trigger of the edit writes the change, and so this one."""
    told.accounts(("main", True, False))
    told.contact(contact_id=None, source="user_list")
    told.sql("DELETE FROM telecmi_contacts")
    assert [event for event, *_ in queued(told)] == ["held"]


def test_a_held_listing_is_sent(told: Mirror) -> None:
    hold = told.insert("held", job="telecmi-contacts", account="main", reason="r", rows=9, created_at=at())
    assert queued(told) == [("held", "held", hold, "queued")]


def test_a_late_job_is_sent_once_and_its_recovery_once(told: Mirror) -> None:
    for job, ok in (("telecmi-contacts", at(days=900)), ("telecmi-push", None)):
        told.insert("sync_jobs", job=job, account="main", provider="telecmi", every_s=60, last_ok_at=ok)
    run = told.insert("sync_runs", job="telecmi-contacts", account="main", started_at=at())

    def note(*ran: str) -> int:
        return told.write(outbox.note_late_jobs, at(), {(job, "main") for job in ran})

    assert note("telecmi-push") == 0  # it never succeeded, and the other one has not run since the start
    assert [note("telecmi-contacts"), note("telecmi-contacts")] == [1, 0]
    assert queued(told) == [("stale", "sync_runs", run, "queued")]
    for stamp in (at(), at(), utc_text(datetime.now(UTC))):
        told.own("UPDATE sync_jobs SET last_ok_at = ? WHERE job = 'telecmi-contacts'", stamp)
    assert queued(told)[1:] == [("recovered", "sync_runs", run, "queued")]
    with told.db.read() as conn:
        assert not outbox.has_late_jobs(conn)


def test_a_late_job_that_the_config_drops_is_forgotten(told: Mirror) -> None:
    told.own("INSERT INTO stale_jobs VALUES ('telecmi-contacts', 'main', ?)", at())
    with told.db.write() as conn:
        assert outbox.has_late_jobs(conn)
        outbox.note_late_jobs(conn, at(), ())
    assert told.sql("SELECT * FROM stale_jobs") == []


def test_what_waits_for_a_target_that_is_gone_is_given_up(told: Mirror) -> None:
    voicemail(told, "v1", at())
    assert not told.read(outbox.is_registered, [("phone", "held", 60)])
    wants(told, ("phone", "held", 60))
    assert [state for *_, state in queued(told)] == ["dead"]
    with told.db.read() as conn:
        assert outbox.is_registered(conn, [("phone", "held", 60)])
        assert reading.counts(conn) == {
            "desk": {"queued": 0, "sent": 0, "dead": 1},
            "phone": {"queued": 0, "sent": 0, "dead": 0},
        }
        assert [one["target"] for one in reading.overview(conn)] == ["phone"]
    wants(told, ("desk", "held", 60))
    with told.db.write() as conn:
        assert [outbox.retry(conn, "desk"), outbox.retry(conn, "desk")] == [1, 0]
    assert [state for *_, state in queued(told)] == ["queued"]


def test_a_try_that_fails_and_one_that_works(told: Mirror) -> None:
    voicemail(told, "v1", at())

    def head() -> reading.Notification:
        found = told.read(reading.head, "desk")
        assert found is not None
        return found

    def due(now: datetime) -> tuple[int, str | None]:
        return told.read(outbox.next_due, "desk", now)

    assert due(NOW) == (1, None)
    first = head()
    with told.db.write() as conn:
        assert outbox.mark_failed(conn, first, NOW, "no connection")
    assert (head().attempts, head().last_error) == (1, "no connection")
    assert due(NOW) == (0, at(seconds=-5))
    assert due(NOW + timedelta(seconds=5)) == (1, None)
    assert due(NOW - timedelta(days=400)) == (1, None)  # a clock that was ahead holds nothing up
    second = head()
    with told.db.write() as conn:
        assert not outbox.mark_failed(conn, second, NOW + timedelta(days=1), "no connection")
    assert told.sql("SELECT state, attempts, next_attempt_at FROM outbox") == [("dead", 2, None)]
    with told.db.write() as conn:
        outbox.retry(conn, "desk")
        outbox.mark_sent(conn, second, at())
    assert told.sql("SELECT state, attempts, sent_at, last_error FROM outbox") == [("sent", 1, at(), None)]
    assert due(NOW) == (0, None)


def test_a_try_that_ends_after_its_target_is_gone_brings_nothing_back(told: Mirror) -> None:
    voicemail(told, "v1", at())
    one = told.read(reading.head, "desk")
    assert one is not None
    wants(told)
    with told.db.write() as conn:
        outbox.mark_failed(conn, one, NOW, "no connection")
    assert told.sql("SELECT state, next_attempt_at FROM outbox") == [("dead", None)]


def test_a_first_try_by_a_clock_that_was_ahead_counts_from_now(told: Mirror) -> None:
    voicemail(told, "v1", at())
    told.own("UPDATE outbox SET attempts = 1, first_attempt_at = ?", at(days=-400))
    for hours, again in ((0, True), (23, True), (24, False)):
        with told.db.write() as conn:
            one = reading.head(conn, "desk")
            assert one is not None
            assert outbox.mark_failed(conn, one, NOW + timedelta(hours=hours), "no connection") is again


def test_old_notifications_go_and_waiting_ones_stay(told: Mirror) -> None:
    for name in ("v1", "v2", "v3"):
        voicemail(told, name, at())
    told.own("UPDATE outbox SET state = 'sent' WHERE id = 1")
    told.own("UPDATE outbox SET state = 'dead' WHERE id = 2")
    with told.db.write() as conn:
        assert outbox.delete_old(conn, at(), 10) == 0
        assert outbox.delete_old(conn, at(seconds=-1), 1) == 1
        assert outbox.delete_old(conn, at(seconds=-1), 10) == 1
    assert [state for *_, state in queued(told)] == ["queued"]


def test_forget_reaches_what_waits_and_says_what_was_sent(told: Mirror) -> None:
    row = told.contact()
    voicemail(told, "v1", at())
    voicemail(told, "v2", at(), "+919200000002")
    told.change(row, "update", "conflict")
    told.own("UPDATE outbox SET state = 'sent', attempts = 1 WHERE event = 'voicemail'")
    done = forget.forget(told.db, "+919200000001", at())
    assert done.rows["outbox"] == 2
    assert done.sent == {"desk": 1}
    assert [event for event, *_ in queued(told)] == ["voicemail"]


def test_what_is_known_of_each_event(told: Mirror) -> None:
    row = told.contact(company="Example Ltd")
    told.insert("sync_jobs", job="telecmi-contacts", account="main", provider="telecmi", every_s=60)
    voicemail(told, "v1", at(minutes=1))
    call(told, "missed", "c1", at(minutes=2))
    told.change(row, "update", "conflict", last_error="company differs")
    told.insert("held", job="telecmi-contacts", account="main", reason="r", rows=9, created_at=at())
    told.own("INSERT INTO sync_runs (job, account, started_at) VALUES ('telecmi-contacts', 'main', ?)", at())
    told.own("INSERT INTO stale_jobs VALUES ('telecmi-contacts', 'main', ?)", at())
    who = {"phone": "+919200000001", "name": "Asha Rao", "company": "Example Ltd"}
    where = {"provider": "telecmi", "account": "main", "id": 1}
    found = []
    with told.db.write() as conn:
        while (one := reading.head(conn, "desk")) is not None:
            found.append(reading.data(conn, one))
            outbox.mark_sent(conn, one, at())
        assert found == [
            {"table": "telecmi_voicemails", "at": at(minutes=1), **who, **where},
            {"table": "telecmi_calls", "at": at(minutes=2), **who, **where},
            {
                "table": "change_queue", "operation": "update", "state": "conflict", "contact": row,
                "reason": "company differs", **who, **where,
            },
            {"table": "held", "job": "telecmi-contacts", "rows": 9, "reason": "r", **where},
            {"table": "sync_runs", "job": "telecmi-contacts", **where},
        ]  # fmt: skip
