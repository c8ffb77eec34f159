"""`syncer calls` and `syncer callbacks`, with right and wrong input."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Syncer

PHONE = "+919200000777"


@pytest.fixture
def called(syncer: Syncer) -> Syncer:
    """A mirror with calls switched on, and one caller who waits."""
    syncer.write_config("voicemails = { since", "calls = { enabled = true }\nvoicemails = { since")
    syncer.as_program(
        "INSERT INTO telecmi_calls (account, kind, cmiuid, phone_e164, started_at, duration) "
        f"VALUES ('main', 'missed', 'a', '{PHONE}', '2026-11-21T09:00:00.000Z', 31), "
        "('main', 'out_answered', 'b', '+919200000778', '2026-11-21T10:00:00.000Z', 65), "
        "('main', 'missed', 'c', NULL, '2026-11-21T11:00:00.000Z', 5)",
        "DELETE FROM telecmi_voicemails",
    )
    return syncer


def test_calls_of_both_vendors_newest_first(called: Syncer) -> None:
    rows = called.ok("calls", "list", "--json").json
    assert [(row["direction"], row["outcome"], row["phone_e164"]) for row in rows] == [
        ("in", "missed", None),
        ("out", "answered", "+919200000778"),
        ("in", "missed", PHONE),
    ]
    assert [row["phone_e164"] for row in called.ok("calls", "list", "--missed", "--json").json] == [
        None,
        PHONE,
    ]
    assert len(called.ok("calls", "list", "--direction", "out", "--json").json) == 1
    assert len(called.ok("calls", "list", "--search", "00000 777", "--json").json) == 1
    assert called.ok("calls", "list", "--account", "smartflo.main", "--json").json == []
    out = called.ok("calls", "list", "--limit", "2").out
    assert "withheld" in out and "2 of 3 calls." in out


def test_a_date_begins_at_local_midnight(called: Syncer) -> None:
    called.env["TZ"] = "Asia/Kolkata"
    called.as_program(
        "UPDATE telecmi_calls SET started_at = '2026-11-20T18:29:59.000Z' WHERE cmiuid = 'a'",
        "UPDATE telecmi_calls SET started_at = '2026-11-20T18:30:00.000Z' WHERE cmiuid = 'b'",
    )
    rows = called.process("calls", "list", "--since", "2026-11-21", "--json").json
    assert [row["started_at"] for row in rows] == ["2026-11-21T11:00:00.000Z", "2026-11-20T18:30:00.000Z"]


def test_a_number_is_closed_and_taken_back(called: Syncer) -> None:
    (row,) = called.ok("callbacks", "list", "--json").json
    assert (row["phone_e164"], row["missed"], row["state"]) == (PHONE, 1, "open")
    assert "is closed" in called.ok("callbacks", "done", "92000 00777", "--note", "rang back").out
    assert called.ok("callbacks", "list", "--json").json == []
    (row,) = called.ok("callbacks", "list", "--all", "--json").json
    assert (row["state"], row["closed_by"], row["note"]) == ("done", "person", "rang back")
    assert "by hand already" in called.ok("callbacks", "done", PHONE).out
    assert "1 missed call" in called.ok("callbacks", "reopen", PHONE).out
    assert called.ok("callbacks", "list", "--json").json[0]["first_at"] == "2026-11-21T09:00:00.000Z"


def test_a_number_that_was_typed_by_hand_is_read_by_any_command(called: Syncer) -> None:
    called.sql("INSERT INTO callback_marks (phone_e164) VALUES ('092000-00777')")
    called.ok("calls", "list")
    assert called.one("SELECT state FROM callbacks WHERE phone_e164 = ?", PHONE) == "done"


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("done", "92000"), "'92000' cannot be read as a phone number"),
        (("done", "withheld"), "'withheld' cannot be read as a phone number"),
        (("done", "+919200000778"), "nobody waits at +919200000778"),
        (("reopen", "+919200000001"), "nobody waits at +919200000001"),
        (("reopen", PHONE), f"{PHONE} is open already"),
    ],
)
def test_bad_input_is_a_sentence_and_exit_1(called: Syncer, args: tuple[str, ...], says: str) -> None:
    done = called("callbacks", *args)
    assert (done.code, done.out) == (1, "") and says in done.err
    assert called.one("SELECT count(*) FROM callback_marks") == 0


def test_a_person_cannot_take_back_what_a_call_closed(called: Syncer) -> None:
    called.as_program(
        "INSERT INTO smartflo_calls (account, smartflo_id, direction, status, phone_e164, started_at) "
        f"VALUES ('main', '1', 'outbound', 'answered', '{PHONE}', '2026-11-21T12:00:00.000Z')"
    )
    done = called("callbacks", "reopen", PHONE)
    assert done.code == 1 and "closed by an answered call" in done.err


def test_status_says_who_waits_and_whether_that_is_all(called: Syncer) -> None:
    known = called("status", "--json").json["callbacks"]
    assert (known["open"], known["oldest_at"], known["trusted"]) == (1, "2026-11-21T09:00:00.000Z", False)
    assert "telecmi-calls of telecmi.main was not read yet" in known["doubts"]
    assert "cannot be trusted at all yet" in " ".join(called("status").out.split())
    called.ok("sync", "telecmi-calls", "telecmi-voicemails")
    known = called("status", "--json").json["callbacks"]
    assert known["trusted"] and known["verified_to"] is not None
    assert "The lists behind it are verified up to" in called.ok("callbacks", "list").out


def test_status_shows_changes_that_wait_below_the_queue(called: Syncer) -> None:
    called.sql("DELETE FROM telecmi_contacts WHERE id = 4")
    out = called.ok("status").out
    assert out.index("Queue: 1 held") < out.index("change 1, held") < out.index("Callbacks:")


def test_forget_reaches_calls_and_marks(called: Syncer) -> None:
    called.ok("callbacks", "done", PHONE, "--note", "a secret")
    removed = called.ok("forget", PHONE, "--yes", "--json").json["removed"]
    assert (removed["telecmi_calls"], removed["callback_marks"]) == (1, 1)
    assert called.one("SELECT count(*) FROM callback_numbers") == 0


def test_without_calls_the_list_says_that_no_call_closes_a_number(syncer: Syncer) -> None:
    for _ in range(2):
        assert "No account pulls calls" in syncer.ok("callbacks", "list").out
        syncer.as_program("DELETE FROM telecmi_voicemails")
