"""The view `callbacks` follows the rule of core/callbacks.py, over random histories; marks by any SQLite client."""

from __future__ import annotations

import itertools
import sqlite3
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncer.core.callbacks import CallEvent, Mark, decide
from syncer.store.read import call_queries
from syncer.store.write import callbacks
from tests.store.conftest import Mirror

NUMBERS = itertools.count(9200100000)
REGIONS = ("IN",)


def at(second: int) -> str:
    return f"2026-11-21T09:00:{second:02d}.000Z"


def telecmi(mirror: Mirror, kind: str, phone: str | None, second: int, call: str) -> None:
    mirror.insert(
        "telecmi_calls", account="main", kind=kind, cmiuid=call, phone_e164=phone, started_at=at(second)
    )


def smartflo(mirror: Mirror, direction: str, status: str, phone: str, second: int, call: str) -> None:
    mirror.own(
        "INSERT INTO smartflo_calls (account, smartflo_id, direction, status, phone_e164, started_at) "
        "VALUES ('flo', ?, ?, ?, ?, ?)",
        call, direction, status, phone, at(second),
    )  # fmt: skip


def voicemail(mirror: Mirror, phone: str, second: int, name: str) -> None:
    mirror.insert(
        "telecmi_voicemails", account="main", voicename=name, phone_e164=phone, received_at=at(second)
    )


def mark(mirror: Mirror, phone: str, second: int, reopens: int) -> None:
    mirror.insert("callback_marks", phone_e164=phone, marked_at=at(second), reopens=reopens)


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(
            ["missed", "missed", "answered", "out_answered", "out_missed", "flo missed", "flo Answered", "flo out",
             "flo out missed", "voicemail", "mark", "reopen", "both"]
        ),
        st.integers(0, 7),
    ),
    max_size=9,
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(history=EVENTS, late=st.booleans())
def test_the_view_and_the_decision_agree(mirror: Mirror, history: list[tuple[str, int]], late: bool) -> None:
    phone = f"+91{next(NUMBERS)}"
    missed, answered, voicemails, marks = list[CallEvent](), list[CallEvent](), list[str](), list[Mark]()
    for n, (what, second) in enumerate(history):
        call, stamp = f"{phone}-{n}", at(second)
        match what:
            case "missed" | "answered" | "out_answered" | "out_missed":
                telecmi(mirror, what, phone, second, call)
            case "both":  # one id in two lists, and in either order of arrival
                for kind in ("answered", "missed") if late else ("missed", "answered"):
                    telecmi(mirror, kind, phone, second, call)
            case "voicemail":
                voicemail(mirror, phone, second, call)
            case "mark" | "reopen":
                mark(mirror, phone, second, int(what == "reopen"))
            case _:
                direction = "outbound" if "out" in what else " Inbound"
                smartflo(mirror, direction, "missed" if "missed" in what else "Answered", phone, second, call)
        if what in ("missed", "flo missed", "both"):
            missed.append(CallEvent(stamp, call))
        if what in ("answered", "out_answered", "flo Answered", "flo out", "both"):
            answered.append(CallEvent(stamp, call))
        if what == "voicemail":
            voicemails.append(stamp)
        if what in ("mark", "reopen"):
            marks.append(Mark(stamp, what == "reopen"))
    found = mirror.sql(
        "SELECT missed, voicemails, first_at, last_at, closed_at, closed_by FROM callbacks WHERE phone_e164 = ?",
        phone,
    )
    expected = decide(missed=missed, voicemails=voicemails, answered=answered, marks=marks)
    if expected is None:
        assert found == []
    else:
        wanted = (expected.missed, expected.voicemails, expected.first_at, expected.last_at, expected.closed_at,
                  expected.closed_by)  # fmt: skip
        assert found == [wanted]


PHONE = "+919200000001"


def state(mirror: Mirror, phone: str = PHONE) -> Any:
    return mirror.sql("SELECT state, missed, closed_by, note FROM callbacks WHERE phone_e164 = ?", phone)


def test_what_changes_a_row_changes_its_number(mirror: Mirror) -> None:
    telecmi(mirror, "missed", PHONE, 1, "a")
    mirror.own("UPDATE telecmi_calls SET phone_e164 = '+919200000002'")
    assert (state(mirror), state(mirror, "+919200000002")) == ([], [("open", 1, None, None)])
    voicemail(mirror, PHONE, 2, "v")
    mirror.own("UPDATE telecmi_voicemails SET received_at = ?", at(5))
    assert mirror.sql("SELECT first_at FROM callbacks WHERE phone_e164 = ?", PHONE) == [(at(5),)]
    mirror.own("DELETE FROM telecmi_voicemails")
    mirror.own("DELETE FROM telecmi_calls")
    assert mirror.sql("SELECT * FROM callback_numbers") == []


@pytest.mark.parametrize("other", [None, "+919200000002"])
def test_one_id_in_two_lists_is_answered_whatever_number_the_other_list_has(
    mirror: Mirror, other: str | None
) -> None:
    telecmi(mirror, "missed", PHONE, 1, "a")
    assert state(mirror) == [("open", 1, None, None)]
    telecmi(mirror, "answered", other, 1, "a")
    assert state(mirror) == []
    mirror.own("DELETE FROM telecmi_calls WHERE kind = 'answered'")
    assert state(mirror) == [("open", 1, None, None)]


def test_a_caller_without_a_number_is_in_calls_only(mirror: Mirror) -> None:
    telecmi(mirror, "missed", None, 1, "a")
    assert mirror.sql("SELECT outcome, phone_e164 FROM calls") == [("missed", None)]
    assert mirror.sql("SELECT * FROM callbacks") == []


def test_any_client_may_mark_a_number_in_any_spelling(mirror: Mirror) -> None:
    telecmi(mirror, "missed", PHONE, 1, "a")
    mirror.sql(
        "INSERT INTO callback_marks (phone_e164, note) VALUES ('092000 00001', 'called from my mobile')"
    )
    assert state(mirror) == [("open", 1, None, None)], "it is read once the program has run"
    numbers = mirror.read(callbacks.unread_marks, REGIONS)
    mirror.write(callbacks.read_marks, numbers)
    assert state(mirror) == [("done", 0, "person", "called from my mobile")]
    assert mirror.sql('SELECT "by", marked_at > ? FROM callback_marks', at(1)) == [("sql", 1)]


def test_a_client_that_chooses_the_id_may_mark_a_number(mirror: Mirror) -> None:
    """Some GUI clients name the next id when a row is added."""
    telecmi(mirror, "missed", PHONE, 1, "a")
    mirror.sql("INSERT INTO callback_marks (id, phone_e164) VALUES (1, ?)", PHONE)
    assert state(mirror) == [("done", 0, "person", None)]


@pytest.mark.parametrize(
    ("statement", "advice"),
    [
        ("INSERT INTO callback_marks (phone_e164) VALUES (' ')", "is empty"),
        ("REPLACE INTO callback_marks (id, phone_e164) VALUES (1, '+919200000002')", "REPLACE is refused"),
        ("INSERT INTO callback_marks (id, phone_e164) VALUES (9223372036854775807, '1')", "leave it out"),
        ("UPDATE callback_marks SET note = 'x'", "take it back with `syncer callbacks reopen`"),
        ("DELETE FROM callback_marks", "stays on record"),
        ("DELETE FROM callback_numbers", "callback_marks"),
        ("DELETE FROM callbacks", "INSERT the number into callback_marks"),
        ("UPDATE calls SET agent = 'x'", "it is a view"),
        ("DELETE FROM telecmi_calls", "it mirrors"),
    ],
)
def test_what_is_not_theirs_is_refused(mirror: Mirror, statement: str, advice: str) -> None:
    telecmi(mirror, "missed", PHONE, 1, "a")
    mark(mirror, PHONE, 2, 0)
    with pytest.raises(sqlite3.IntegrityError, match=advice):
        mirror.sql(statement)
    assert state(mirror) == [("done", 0, "person", None)]


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (
            "SELECT * FROM callbacks WHERE first_at IS NOT NULL ORDER BY first_at LIMIT 9",
            "callback_numbers_first",
        ),
        ("SELECT * FROM callbacks WHERE state = 'open' ORDER BY first_at LIMIT 9", "callback_numbers_first"),
        ("SELECT * FROM calls WHERE phone_e164 = '+919200000001'", "telecmi_calls_phone"),
    ],
)
def test_callbacks_scan_no_calls(mirror: Mirror, query: str, index: str) -> None:
    plan = [row[3] for row in mirror.sql(f"EXPLAIN QUERY PLAN {query}")]
    assert any(index in line for line in plan), plan
    assert not {"SCAN v", "SCAN s", "SCAN t"} & set(plan), plan


def test_names_have_the_order_of_sources_that_voicemails_have(mirror: Mirror) -> None:
    telecmi(mirror, "missed", PHONE, 1, "a")
    smartflo(mirror, "inbound", "missed", PHONE, 2, "s")
    mirror.own(
        "INSERT INTO smartflo_contacts (account, smartflo_id, name, company_name, phone_e164) "
        "VALUES ('flo', '1', 'Asha of Smartflo', 'Acme Example', ?)", PHONE,
    )  # fmt: skip
    shown = "SELECT DISTINCT caller_name, caller_company FROM calls"
    assert mirror.sql(shown) == [("Asha of Smartflo", "Acme Example")]
    mirror.contact(first_name="Asha", last_name="Example", company="Own Example")
    assert mirror.sql(shown) == [("Asha Example", "Own Example")]
    assert mirror.sql("SELECT caller_name, caller_company FROM callbacks") == [
        ("Asha Example", "Own Example")
    ]


def test_listing_calls_looks_up_names_of_what_is_shown(mirror: Mirror) -> None:
    for second in range(5):
        telecmi(mirror, "missed", PHONE, second, str(second))
        smartflo(mirror, "outbound", "answered", PHONE, second, str(second))
    with mirror.db.read() as conn:
        rows = call_queries.list_calls(conn, ["telecmi.main", "smartflo.flo"], limit=3)
        assert (len(rows), rows.total) == (3, 10)
        assert [row["started_at"] for row in rows] == [at(4), at(4), at(3)]
        assert [row["outcome"] for row in call_queries.list_calls(conn, ["telecmi.main"], missed=True)] == [
            "missed"
        ] * 5
        assert len(call_queries.list_calls(conn, ["smartflo.flo"], direction="out", since=at(3))) == 2
