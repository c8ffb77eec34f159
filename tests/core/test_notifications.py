"""What a notification says, and when it is tried again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from syncer.core.notifications import EVENTS, message_id, next_try, shown, words

FIRST = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("attempts", "seconds"), [(1, 5), (2, 60), (3, 600), (4, 3600), (5, 3600), (27, 3600)]
)
def test_waits_grow_and_end_at_an_hour(attempts: int, seconds: int) -> None:
    assert next_try(attempts, FIRST, FIRST) == FIRST + timedelta(seconds=seconds)


def test_a_day_after_the_first_try_it_is_given_up() -> None:
    day = FIRST + timedelta(days=1)
    assert next_try(20, FIRST, day - timedelta(seconds=1)) is not None
    assert next_try(20, FIRST, day) is None


def test_a_message_keeps_its_id_and_shares_it_with_no_other() -> None:
    ids = {message_id(target, row, at) for target in ("a", "b") for row in (1, 11) for at in ("t", "u")}
    assert len(ids) == 8
    assert message_id("a", 1, "t") == message_id("a", 1, "t")
    assert all(one.startswith("msg_") for one in ids)


DATA: dict[str, Any] = {
    "table": "telecmi_voicemails",
    "id": 7,
    "provider": "telecmi",
    "account": "main",
    "phone": "+919200000001",
    "name": "Asha Example",
    "company": "Example Ltd",
    "at": "2026-03-01T12:00:00.000Z",
    "reason": "phone_no is taken",
    "rows": 3,
    "job": "telecmi-contacts",
    "last_ok_at": "2026-03-01T11:00:00.000Z",
}


def test_a_private_target_gets_numbers_of_rows_alone() -> None:
    assert shown(DATA, private=True) == {key: DATA[key] for key in ("table", "id", "rows", "job")}
    assert shown(DATA, private=False) == DATA


@pytest.mark.parametrize("event", [*EVENTS, "test"])
@pytest.mark.parametrize("private", [True, False])
@pytest.mark.parametrize("table", ["telecmi_voicemails", "held"])
def test_every_event_has_words_for_whatever_is_known(event: str, private: bool, table: str) -> None:
    for data in ({"table": table, "id": 7, "rows": 3}, DATA | {"table": table}):
        known = shown(data, private=private)
        title, text = words(event, known)
        assert title
        assert text
        if private:
            assert "Asha" not in title + text
            assert "+91" not in title + text


def test_words() -> None:
    assert words("voicemail", DATA) == (
        "Voicemail from Asha Example +919200000001 (Example Ltd)",
        "Received at 2026-03-01T12:00:00.000Z\ntelecmi_voicemails row 7",
    )
    assert words("missed-call", {"table": "telecmi_calls", "id": 3}) == ("Missed call", "telecmi_calls row 3")
    assert (
        words("conflict", {"table": "change_queue", "id": 3, "name": "Asha"})[1]
        == "Asha\nsyncer queue show 3"
    )
    assert words("rejected", {"table": "change_queue", "id": 3})[1] == "syncer queue show 3"
    assert words("held", {"table": "held", "id": 2, "rows": 9}) == ("9 rows are held", "syncer held show 2")
    assert words("held", {"table": "change_queue", "id": 3})[0] == "A delete is held"
    for event in ("conflict", "rejected", "held"):
        change = {"table": "change_queue", "id": 3, "state": "done"}
        assert words(event, change)[1] == "It no longer waits for you: done\nsyncer queue show 3"
        assert words(event, change | {"state": event})[1] == "syncer queue show 3"
    assert words("stale", DATA)[0] == "telecmi-contacts of telecmi.main has not succeeded in time"
    assert words("recovered", DATA)[0] == "telecmi-contacts of telecmi.main works again"
