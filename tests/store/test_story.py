"""One person's story: every table that knows something of them adds to it, in order of time."""

from __future__ import annotations

from typing import Any

from syncer.store.read import people, story, story_words
from tests.store.conftest import Mirror
from tests.store.test_views import PHONE, flo, listed

NUMBER = f"+{PHONE}"
JOBS = {
    "telecmi_contacts": "telecmi-contacts",
    "telecmi_user_contacts": "telecmi-user-contacts",
    "smartflo_contacts": "smartflo-contacts",
}


def at(minute: int) -> str:
    return f"2026-11-20T09:{minute:02d}:00.000Z"


def history(mirror: Mirror, who: str = NUMBER) -> list[tuple[dict[str, Any], str]]:
    """The events, each with its sentence for people."""
    with mirror.db.read() as conn:
        (person,) = people.find(conn, who, {"main": "IN"}, ["shop"], ["IN"])
        events = story.load(conn, person, JOBS).events
    assert [event["at"] for event in events] == sorted(event["at"] for event in events)
    return [(event, story_words.sentence(event)) for event in events]


def log(mirror: Mirror, row: int, minute: int, kind: str, origin: str, *values: str | None) -> int:
    field, old, new = values or (None, None, None)
    return mirror.own(
        "INSERT INTO change_log (at, table_name, row_id, kind, field, old, new, origin) "
        "VALUES (?, 'telecmi_contacts', ?, ?, ?, ?, ?, ?)",
        at(minute), row, kind, field, old, new, origin,
    )  # fmt: skip


def test_what_happens_to_a_row(mirror: Mirror) -> None:
    row = mirror.contact()
    mirror.insert("sync_runs", job="telecmi-contacts", account="main", started_at=at(0), finished_at=at(2))
    log(mirror, row, 1, "insert", "upstream")
    log(mirror, row, 3, "update", "upstream", "company", None, "Acme")
    seq = log(mirror, row, 4, "update", "local", "company", "Acme", "Beta")
    log(mirror, row, 5, "update", "local", "company", "Beta", "Gamma")
    mirror.insert("import_batches", file_name="a.csv", format="csv", by="asha", created_at=at(4))
    mirror.own(f"INSERT INTO import_spans (batch, first_seq, last_seq) VALUES (1, {seq}, {seq})")
    log(mirror, row, 6, "delete", "local")
    log(mirror, row, 7, "update", "local", "deleted_at", at(6), None)
    log(mirror, row, 8, "delete", "upstream")
    mirror.insert("absences", table_name="telecmi_contacts", row_id=row, noted_at=at(9))
    for n, field in enumerate(("", "company")):
        held = mirror.own(
            "INSERT INTO held (job, account, reason, rows, created_at, decided_at, decision) "
            f"VALUES ('telecmi-contacts', 'main', 'too many', 1, '{at(10 + n)}', '{at(20 + n)}', 'rejected')"
        )
        mirror.insert("held_rows", held_id=held, table_name="telecmi_contacts", row_id=row, field=field)
    assert [(event["kind"], sentence) for event, sentence in history(mirror)] == [
        ("first-seen", "first seen, by a listing of telecmi-contacts, run 1"),
        ("edited", 'company: (empty) -> "Acme", by upstream'),
        ("edited", 'company: "Acme" -> "Beta", by import 1 (asha)'),
        ("edited", 'company: "Beta" -> "Gamma", by a local edit'),
        ("removed", "deleted by a local edit"),
        ("restored", "brought back by a local edit"),
        ("removed", "gone from upstream"),
        ("not-listed", "not shown by a complete listing; a second one may remove it"),
        ("held", "held for a person (hold 1): its removal: too many"),
        ("held", "held for a person (hold 2): company would turn blank: too many"),
        ("decided", "hold 1 was rejected"),
        ("decided", "hold 2 was rejected"),
    ]


def test_what_happens_to_its_changes(mirror: Mirror) -> None:
    row = mirror.contact()
    mirror.own(f"UPDATE telecmi_contacts SET first_seen_at = '{at(0)}'")
    log(mirror, row, 0, "insert", "local")
    sent = mirror.change(
        row, "update", "unknown", created_at=at(1), sent_at=at(9), last_error="it timed out", found_by="scan"
    )
    for minute, answer in ((2, "'refused'"), (9, "NULL")):
        mirror.own(
            "INSERT INTO push_intents (change_id, row_id, operation, fields, sent_at, answer) "
            f"""VALUES ({sent}, {row}, 'update', '{{"company": "Acme"}}', '{at(minute)}', {answer})"""
        )
    mirror.change(row, "add", "rejected", created_at=at(10), last_error="no last name")
    mirror.change(row, "update", "queued", created_at=at(11), last_error="busy")
    mirror.change(row, "update", "queued", created_at=at(12))
    mirror.change(row, "delete", "held", created_at=at(13))
    done = mirror.change(row, "update", "done", created_at=at(14), sent_at=at(16), settled_at=at(15))
    conflict = mirror.change(
        row, "update", "conflict", created_at=at(17), last_error="both sides changed company",
        clashes='{"company": {"base": "A", "local": "B", "remote": ""}}',
    )  # fmt: skip
    mirror.insert("reported", kind="conflict", id=conflict, account="main", at=at(18))
    found = history(mirror)
    assert [(event["at"][14:16], sentence) for event, sentence in found] == [
        ("00", "added by a local edit"),
        ("01", "change 1 (update) was queued, found by a scan"),
        ("02", 'change 1 (update) was sent, refused: company = "Acme"'),
        ("09", 'change 1 (update) was sent: company = "Acme"'),
        ("09", "change 1 (update) got no usable answer: it timed out"),
        ("10", "change 2 (add) was queued"),
        ("10", "change 2 (add) is rejected: no last name"),
        ("11", "change 3 (update) was queued"),
        ("11", "change 3 (update) waits to be tried again: busy"),
        ("12", "change 4 (update) was queued"),
        ("13", "change 5 (delete) was queued"),
        ("13", "change 5 (delete) is held"),
        ("14", f"change {done} (update) was queued"),
        ("16", f"change {done} (update) was sent"),
        ("16", f"change {done} (update) is done: upstream shows it"),
        ("17", "change 7 (update) was queued"),
        (
            "18",
            "change 7 (update) is in conflict: both sides changed company: "
            'company was "A", is "B" locally and (empty) upstream',
        ),
    ]


def test_what_happens_with_the_number(mirror: Mirror) -> None:
    row = listed(mirror, first_seen_at=at(0))
    flo(mirror, first_seen_at=at(1))
    mirror.insert(
        "telecmi_notes", account="main", contact_row=row, msg="calls late", agent="Devan", first_seen_at=at(2)
    )
    for n, (received, state) in enumerate(((at(3), "kept"), (None, None))):
        voicemail = mirror.own(
            "INSERT INTO telecmi_voicemails (account, voicename, phone_e164, received_at, first_seen_at) VALUES ('main', ?, ?, ?, ?)",
            f"v{n}", NUMBER, received, at(4),
        )  # fmt: skip
        if state:
            mirror.insert("voicemail_audio", voicemail=voicemail, state=state, path="a", bytes=1, sha256="b")
    mirror.own(
        "INSERT INTO smartflo_calls (account, smartflo_id, direction, status, phone_e164, started_at, call_duration, agent_name) "
        f"VALUES ('shop', '1', 'outbound', 'answered', '{NUMBER}', '{at(5)}', 75, 'Devan')"
    )
    mirror.insert(
        "telecmi_calls", account="main", kind="missed", cmiuid="a", phone_e164=NUMBER, started_at=at(6)
    )
    for minute, reopens in ((7, 0), (8, 1)):
        mirror.insert(
            "callback_marks", phone_e164=NUMBER, note="rang", by="cli", marked_at=at(minute), reopens=reopens
        )
    assert [sentence for _, sentence in history(mirror)] == [
        "first seen, by a listing of telecmi-user-contacts",
        "first seen, by a listing of smartflo-contacts",
        "note by Devan: calls late",
        "voicemail, recording kept",
        "voicemail, undated: first seen then",
        "outgoing call, answered, 1.2 min, agent Devan",
        "incoming call, missed",
        "marked as called back by cli: rang",
        "the mark was taken back by cli: rang",
    ]
